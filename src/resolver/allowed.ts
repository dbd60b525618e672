import { LibnetworkError } from '../errors.ts';
import type { NameSource } from './names.ts';

/** An address that an allowed name stands for, and how long it does. */
export interface AllowedAddress {
  /** Canonical text. */
  readonly address: string;
  readonly ttlSeconds: number;
}

/**
 * Told what a name stands for that a network's `allow` list lets through, before a client is: the place to open an
 * egress filter. The client waits for it, and gets SERVFAIL when it fails.
 */
export type OnAllowed = (
  networkId: string,
  name: string,
  addresses: readonly AllowedAddress[],
) => Promise<void>;

export interface AllowancesOptions {
  readonly names: NameSource;
  readonly sandboxId: string;
  readonly onAllowed?: OnAllowed | undefined;
  /** How long all of them may take for one answer, in milliseconds. */
  readonly waitMs: number;
}

/** Sees to it that a client learns of an allowed name's addresses only when it can reach them. */
export class Allowances {
  readonly #options: AllowancesOptions;
  #waiting = 0;

  constructor(options: AllowancesOptions) {
    this.#options = options;
  }

  /** Answers that wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The networks that are to be told of a name. */
  networks(name: string): readonly string[] {
    const { names, sandboxId, onAllowed } = this.#options;
    return onAllowed === undefined ? [] : (names.allowedBy?.(sandboxId, name) ?? []);
  }

  /** Waits until all networks have it. @throws what a network throws; TIMEOUT when one takes too long */
  async tell(networks: readonly string[], name: string, addresses: readonly AllowedAddress[]): Promise<void> {
    const { onAllowed, waitMs } = this.#options;
    if (onAllowed === undefined || networks.length === 0 || addresses.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const facts = { limit: 'dns.allowMs', value: waitMs };
      const error = () =>
        new LibnetworkError('TIMEOUT', `${name} was not let through within ${waitMs} ms`, facts);
      timer = setTimeout(() => reject(error()), waitMs);
    });
    this.#waiting++;
    try {
      await Promise.race([
        Promise.all(networks.map(async (network) => onAllowed(network, name, addresses))),
        late,
      ]);
    } finally {
      clearTimeout(timer);
      this.#waiting--;
    }
  }
}
