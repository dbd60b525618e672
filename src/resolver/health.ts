/** Which servers answer. A server that missed several questions in a row is dead, and asked last for a while. */
export class Health {
  readonly #states = new Map<string, { misses: number; deadUntil: number }>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The living first, each group in its own order. */
  order<T>(servers: readonly T[], key: (server: T) => string): readonly T[] {
    const alive = servers.filter((server) => !this.isDead(key(server)));
    return alive.length === servers.length
      ? servers
      : [...alive, ...servers.filter((server) => !alive.includes(server))];
  }

  isDead(key: string): boolean {
    return (this.#states.get(key)?.deadUntil ?? 0) > this.#now();
  }

  answered(key: string): void {
    this.#states.delete(key);
  }

  /** True when this miss made it dead. One that was dead before dies again at its first miss. */
  missed(key: string): boolean {
    const misses = (this.#states.get(key)?.misses ?? 0) + 1;
    const isDead = misses >= MISSES;
    const died = isDead && !this.isDead(key);
    this.#states.set(key, { misses, deadUntil: isDead ? this.#now() + DEAD_MS : 0 });
    return died;
  }
}

const MISSES = 3;
const DEAD_MS = 30_000;
