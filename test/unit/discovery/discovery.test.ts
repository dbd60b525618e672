import { describe, expect, it } from 'vitest';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import {
  type Discovery,
  forwardHosts,
  type HostEvent,
  staticDiscovery,
  storeDiscovery,
} from '../../../src/discovery/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { eventually } from '../../support/daemon.ts';

const a = { id: 'a', address: '10.0.0.1', data: { api: '10.0.0.1:2376' } };
const b = { id: 'b', address: '2001:db8::2' };

/** Reads a watch as it goes on. */
function follow(discovery: Discovery): { readonly seen: string[]; readonly done: Promise<void> } {
  const seen: string[] = [];
  const done = (async () => {
    for await (const { type, host, self } of discovery.watch())
      seen.push(`${type} ${host.id} ${host.address}${self ? ' self' : ''}`);
  })();
  return { seen, done };
}

function cluster() {
  const backing = memoryBacking();
  const reports: LibnetworkError[] = [];
  const open = () => {
    const store = memoryStore({ backing, scope: 'global' });
    return { store, discovery: storeDiscovery({ store, report: (error) => reports.push(error) }) };
  };
  return { backing, open, reports };
}

describe('hosts on a store', () => {
  it('tells each host of those that are there, then of those that come and go', async () => {
    const { open } = cluster();
    const [one, two] = [open().discovery, open().discovery];
    await one.advertise(a);
    const watch = follow(two);
    await eventually(() => expect(watch.seen).toEqual(['join a 10.0.0.1']));
    const own = await two.advertise(b);
    await eventually(() => expect(watch.seen.at(-1)).toBe('join b 2001:db8::2 self'));
    expect(await one.hosts()).toEqual([a, b]);
    expect(own.live).toBe(true);
    await own.withdraw();
    await own.withdraw();
    await one.close();
    await eventually(() =>
      expect(watch.seen.slice(2)).toEqual(['leave b 2001:db8::2 self', 'leave a 10.0.0.1']),
    );
    await two.close();
    await watch.done;
  });

  it('counts a host as gone when its lease is over, and as there when it is back, without its doing', async () => {
    const { open, backing, reports } = cluster();
    const [one, two] = [open().discovery, open().discovery];
    const advertisement = await one.advertise(a);
    const watch = follow(two);
    await eventually(() => expect(watch.seen).toHaveLength(1));
    backing.expireLeases();
    await eventually(() => expect(watch.seen.slice(1)).toEqual(['leave a 10.0.0.1', 'join a 10.0.0.1']));
    expect(advertisement.live).toBe(true);
    expect(reports.map((error) => error.message).join()).toContain('host a lapsed');
    await one.close();
    await two.close();
  });

  it('does not bring back a host that was withdrawn while its lease was lost', async () => {
    const { open, backing } = cluster();
    const { discovery } = open();
    const advertisement = await discovery.advertise(a);
    backing.expireLeases();
    await advertisement.withdraw();
    expect(await discovery.hosts()).toEqual([]);
    expect(advertisement.live).toBe(false);
  });

  it('takes over what it left before a restart, and refuses an id that lives at another address', async () => {
    const { open } = cluster();
    const [before, after, other] = [open(), open().discovery, open().discovery];
    await before.discovery.advertise(a);
    await before.store.close();
    await after.advertise(a);
    const refused = await other.advertise({ ...a, address: '10.0.0.9' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'CONFLICT', holder: '10.0.0.1' });
    expect(await other.hosts()).toEqual([a]);
  });

  it('tells a host whose address changed as one that left and one that joined', async () => {
    const { open, backing } = cluster();
    const [one, two] = [open().discovery, open().discovery];
    const first = await one.advertise(a);
    const watch = follow(two);
    await eventually(() => expect(watch.seen).toHaveLength(1));
    await first.withdraw();
    await one.advertise({ ...a, address: '10.0.0.7' });
    await eventually(() => expect(watch.seen.slice(1)).toEqual(['leave a 10.0.0.1', 'join a 10.0.0.7']));
    await memoryStore({ backing }).put('docker/network/v1.0/host/a', { ...a, address: '10.0.0.8' });
    await eventually(() => expect(watch.seen.slice(3)).toEqual(['leave a 10.0.0.7', 'join a 10.0.0.8']));
    await two.close();
  });

  it('reports a record that is no host and goes on', async () => {
    const { open, backing, reports } = cluster();
    const { discovery } = open();
    const foreign = memoryStore({ backing });
    await foreign.put('docker/network/v1.0/host/x', { address: 'nonsense' });
    await foreign.put('docker/network/v1.0/host/y', null);
    await discovery.advertise(a);
    expect(await discovery.hosts()).toEqual([a]);
    expect(reports.map((error) => error.field)).toEqual([
      'docker/network/v1.0/host/x',
      'docker/network/v1.0/host/y',
    ]);
  });

  it.each([
    [{ id: '', address: '10.0.0.1' }, 'host.id'],
    [{ id: 'a/b', address: '10.0.0.1' }, 'host.id'],
    [{ id: 'a', address: '10.0.0.1/24' }, 'host.address'],
    [{ id: 'a', address: '10.0.0.1', data: { n: 1 } as unknown as Record<string, string> }, 'host.data'],
  ])('refuses %j, naming the field', async (host, field) => {
    const refused = cluster().open().discovery.advertise(host);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('refuses calls after it was closed, and leaves the store open', async () => {
    const { store, discovery } = cluster().open();
    await discovery.advertise(a);
    await discovery.close();
    await expect(discovery.hosts()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await store.list('')).toEqual([]);
  });
});

describe('a static list', () => {
  it('tells all as joined, knows the own one, and ends when closed', async () => {
    const discovery = staticDiscovery([b, a]);
    await discovery.advertise(a);
    const watch = follow(discovery);
    await eventually(() => expect(watch.seen).toEqual(['join a 10.0.0.1 self', 'join b 2001:db8::2']));
    await discovery.close();
    await watch.done;
  });

  it('refuses a host twice, and to advertise one that it does not list', async () => {
    expect(() => staticDiscovery([a, a])).toThrow(LibnetworkError);
    await expect(staticDiscovery([a]).advertise(b)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('telling drivers', () => {
  it('tells each listener every event in order, also after another failed', async () => {
    const events: string[] = [];
    const reports: LibnetworkError[] = [];
    const tell = (name: string, fails: boolean) => {
      const note = (event: HostEvent): void => {
        events.push(`${name} ${event.type} ${event.host.id}`);
        if (fails) throw new Error('no');
      };
      return { name, hostJoined: note, hostLeft: note };
    };
    const discovery = staticDiscovery([a, b]);
    const forwarding = forwardHosts(discovery, [tell('bad', true), tell('good', false)], (error) =>
      reports.push(error),
    );
    await eventually(() => expect(events).toHaveLength(4));
    await discovery.close();
    await forwarding;
    expect(events).toEqual(['bad join a', 'good join a', 'bad join b', 'good join b']);
    expect(reports.map((error) => error.message)).toEqual([
      'bad failed at the join of host a',
      'bad failed at the join of host b',
    ]);
  });
});
