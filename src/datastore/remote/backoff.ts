import { pause } from '../../sleep.ts';

/** Pauses between attempts: short at first, doubling up to `mostMs`, with a random part so that many do not meet. */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  #nextMs: number;

  constructor(firstMs = 50, mostMs = 1_000) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#nextMs = firstMs;
  }

  wait(signal: AbortSignal): Promise<void> {
    const ms = this.#nextMs * (0.5 + Math.random() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#mostMs);
    return pause(ms, signal);
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
