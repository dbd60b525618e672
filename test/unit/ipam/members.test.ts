import { expect, it, vi } from 'vitest';
import { memoryStore } from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { Members } from '../../../src/ipam/members.ts';

it('gives a lease back under which it could not write its label', async () => {
  const store = memoryStore({ scope: 'global' });
  const release = vi.fn(async () => undefined);
  vi.spyOn(store, 'lease').mockResolvedValueOnce({
    lost: new AbortController().signal,
    put: () => Promise.reject(new LibnetworkError('UNAVAILABLE', 'the store did not answer')),
    release,
  });
  const members = new Members({
    ...{ store, prefix: 'members/', leaseMs: 60_000 },
    name: async () => 'one',
    onNewLabel: async () => undefined,
  });
  await expect(members.label()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(release).toHaveBeenCalledTimes(1);
  expect(await members.label()).toMatch(/^one\//);
  await store.close();
});
