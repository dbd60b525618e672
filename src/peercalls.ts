/** Calls of drivers about the peers on networks that hosts share: of one network one after the other. */
import type { Core } from './core.ts';
import { driverNetwork } from './driverviews.ts';
import type { RemoteChange } from './globalscope/part.ts';
import type { NetworkId } from './ids.ts';
import type { NetworkEntry } from './network.ts';
import { peerOf } from './sharednetwork.ts';

export class PeerCalls {
  readonly #core: Core;
  readonly #takesPart: (id: NetworkId) => boolean;
  readonly #last = new Map<NetworkId, Promise<void>>();

  constructor(core: Core, takesPart: (id: NetworkId) => boolean) {
    this.#core = core;
    this.#takesPart = takesPart;
  }

  /** A failure is logged: the next reconcile makes the kernel what the records say. */
  tell({ record }: NetworkEntry, { set, removed }: RemoteChange): Promise<void> {
    const driver = this.#core.driver(record.driver);
    if (!driver.updatePeers) return Promise.resolve();
    const change = { set: set.flatMap(peerOf), removed };
    const call = (this.#last.get(record.id) ?? Promise.resolve()).then(async () => {
      try {
        if (this.#takesPart(record.id)) await driver.updatePeers?.(driverNetwork(record), change);
      } catch (error) {
        this.#core.logger.error(`peers of network ${record.name} could not be set`, { error });
      }
      if (this.#last.get(record.id) === call) this.#last.delete(record.id);
    });
    this.#last.set(record.id, call);
    return call;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
