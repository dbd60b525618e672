import { afterEach, expect, it, vi } from 'vitest';
import { memoryStore } from '../../../src/datastore/index.ts';
import { Debts } from '../../../src/globalscope/debts.ts';
import { SharedNetworks } from '../../../src/globalscope/networks.ts';
import type { NetworkId } from '../../../src/ids.ts';
import type { NetworkRecord } from '../../../src/records.ts';
import { refusal } from '../core/setting.ts';

const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

const network = (id: string, state: NetworkRecord['state'] = 'ready'): NetworkRecord => ({
  schema: 1,
  kind: 'network',
  state,
  id: id.padEnd(64, '0') as NetworkId,
  name: 'front',
  driver: 'overlay',
  scope: 'global',
  ipv4: true,
  ipv6: false,
  internal: false,
  labels: {},
  options: {},
  ipam: { driver: 'default', options: {}, addressSpace: 'GlobalDefault', requested: [] },
  pools: [],
  createdAt: '2026-01-01T00:00:00.000Z',
});

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function host(store = memoryStore()) {
  const onNetwork = vi.fn();
  const shared = new SharedNetworks({
    store,
    logger,
    debts: new Debts(logger),
    onNetwork,
    onGone: () => undefined,
  });
  ends.push(() => shared.end());
  return { shared, onNetwork, store };
}

it('takes a name that its network has already for its own, where it could not follow the store yet', async () => {
  const { shared, store } = host();
  await shared.save(network('a'));
  // Another life of a host: it answers, but has listed nothing so far.
  vi.spyOn(store, 'list').mockReturnValue(new Promise(() => undefined));
  const later = host(store);
  await later.shared.save(network('a', 'deleting'));
  expect(await later.shared.now(network('a').id)).toMatchObject({ state: 'deleting' });
  expect(later.onNetwork).toHaveBeenCalledWith(network('a'));
  expect(await refusal(later.shared.save(network('b')))).toMatchObject({
    code: 'ALREADY_EXISTS',
    field: 'name',
  });
  ends.pop();
});
