import { expect, it } from 'vitest';
import { memoryStore } from '../../../src/datastore/index.ts';
import type { Driver } from '../../../src/driverapi/driver.ts';
import { overlayDriver } from '../../../src/drivers/overlay/overlay.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { SharedKeyring } from '../../../src/globalscope/keyring.ts';
import { encryptionMemberKey } from '../../../src/globalscope/shapes.ts';
import { createIdm } from '../../../src/ipam/idm.ts';
import { labels } from '../../../src/labels.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { networkOf, silent } from '../../../src/testing/driver-fixtures.ts';

it('reconciles encrypted networks also while this host has no lease, and is a member once it has one', async () => {
  const store = memoryStore({ scope: 'global' });
  await store.put(encryptionMemberKey('other'), { address: '192.0.2.2', number: 1, accepts: 1, sends: 1 });
  const keyring = new SharedKeyring({ store, host: 'this', rotateMs: 3_600_000, logger: silent });
  let hasLease = false;
  keyring.connect({
    put: async (key, value) => {
      if (!hasLease) throw new LibnetworkError('UNAVAILABLE', 'this host has no lease');
      await store.put(key, value);
    },
    remove: async (key) => void (await store.delete(key)),
  });
  const osl = fakeOsl();
  const subject = {
    name: 'overlay',
    factory: overlayDriver,
    open: () => Promise.reject(new Error('unused')),
  };
  const network = networkOf(subject, 1, { options: { [labels.overlay.vxlanIds]: '5001', encrypted: '' } });
  const driver: Driver = await overlayDriver({
    ...{ osl, instance: 'test', runDir: '/run/test', logger: silent, address: '192.0.2.1', keyring },
    firewall: await osl.host.firewall({ engine: 'none', table: 'test' }),
    numbers: createIdm,
  });
  const state = { networks: [network], endpoints: [] };
  await driver.restore(state);
  await keyring.known();
  await driver.reconcile(state);
  // A guard each way, and the way to the other host.
  expect(await osl.host.xfrmPolicies()).toHaveLength(3);
  expect(await store.get(encryptionMemberKey('this'))).toBeUndefined();
  hasLease = true;
  await expect.poll(() => store.get(encryptionMemberKey('this')), { timeout: 10_000 }).toBeDefined();
  await driver.close?.();
  await keyring.end();
  await store.close();
});
