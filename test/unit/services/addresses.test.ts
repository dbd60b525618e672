import { expect, it, vi } from 'vitest';
import { memoryStore } from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { type NetworkId, newId } from '../../../src/ids.ts';
import { claimService, listServices } from '../../../src/services/addresses.ts';

const wanted = {
  networkId: newId() as NetworkId,
  networkName: 'front',
  name: 'web',
  mode: 'vip',
  host: undefined,
} as const;
const taken = { ipv4: { poolId: 'pool', address: '10.9.0.2/24' } };

it('never gives back an address that a record may name, where the answer to its writing was lost', async () => {
  const store = memoryStore();
  const put = store.put.bind(store);
  vi.spyOn(store, 'put').mockImplementationOnce(async (...args) => {
    await put(...args);
    throw new LibnetworkError('UNAVAILABLE', 'the store did not answer');
  });
  const free = vi.fn(async () => undefined);
  const take = vi.fn(async () => taken);
  await expect(claimService(store, wanted, { take, free })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(await listServices(store)).toMatchObject([taken]);
  expect(free).not.toHaveBeenCalled();
  const { record, made } = await claimService(store, wanted, { take, free });
  expect({ record, made }).toMatchObject({ record: taken, made: false });
  expect(take).toHaveBeenCalledTimes(1);
});

it('gives back the address that it took where somebody else was first', async () => {
  const store = memoryStore();
  const free = vi.fn(async () => undefined);
  const other = { ipv4: { poolId: 'pool', address: '10.9.0.3/24' } };
  const take = async () => {
    await claimService(store, wanted, { take: async () => other, free });
    return taken;
  };
  expect(await claimService(store, wanted, { take, free })).toMatchObject({ record: other, made: false });
  expect(free).toHaveBeenCalledExactlyOnceWith(taken, undefined);
});
