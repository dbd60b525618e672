/** The promises of a driver, also after a crash at any step, with a network that is encrypted and a host to encrypt for. */
import { memoryBacking, memoryStore } from '../../src/datastore/index.ts';
import type { DriverFactory } from '../../src/driverapi/driver.ts';
import { overlayDriver } from '../../src/drivers/overlay/overlay.ts';
import { SharedKeyring } from '../../src/globalscope/keyring.ts';
import { encryptionMemberKey } from '../../src/globalscope/shapes.ts';
import { labels } from '../../src/labels.ts';
import { driverContract } from '../../src/testing/driver.ts';
import { openFakeWorld } from '../support/fakeworld.ts';

const store = memoryStore({ backing: memoryBacking(), scope: 'global' });
await store.put(encryptionMemberKey('other'), { address: '192.0.2.77', number: 1, accepts: 1, sends: 1 });

/** The same numbers each time, so that two dumps of the same can be compared. */
class SameNumber extends SharedKeyring {
  override async newNumber(): Promise<number> {
    return 2;
  }
}

const factory: DriverFactory = (host) => {
  const { logger } = host;
  const keyring = new SameNumber({ store, host: 'this', rotateMs: 3_600_000, logger });
  keyring.connect({
    put: async (key, value) => void (await store.put(key, value)),
    remove: async (key) => void (await store.delete(key)),
  });
  return overlayDriver({ ...host, keyring });
};

driverContract({
  name: 'an encrypted overlay on the fake kernel',
  factory,
  open: openFakeWorld,
  options: (n) => ({ [labels.overlay.vxlanIds]: String(5000 + n), encrypted: '' }),
  deviations: ['no-ports'],
});
