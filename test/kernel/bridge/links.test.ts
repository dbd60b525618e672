import { describe, expect, it } from 'vitest';
import type { DriverEndpoint, DriverNetwork, EndpointPlace } from '../../../src/driverapi/driver.ts';
import { labels } from '../../../src/labels.ts';
import type { FirewallEngine } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, endpoint, greet, isClosed, join, network } from '../../unit/drivers/setting.ts';
import { bridgeOn } from './setting.ts';

const APART = { [labels.bridge.enableIcc]: false };
const DB = { name: 'db', exposedPorts: [{ protocol: 'tcp', port: 80 }] } as const;
const linked = (...names: string[]) => ({ options: { [labels.endpoint.links]: names.join(',') } });

async function inSetting(
  engine: FirewallEngine,
  more: Partial<DriverNetwork>,
  work: (it: Awaited<ReturnType<typeof setting>>) => Promise<void>,
) {
  await withTestHost(async (test) => work(await setting(test, engine, more)));
}

async function setting(
  test: Parameters<typeof bridgeOn>[0],
  engine: FirewallEngine,
  more: Partial<DriverNetwork>,
) {
  const on = await bridgeOn(test, engine);
  const front = network({ options: APART, ...more });
  await on.driver.createNetwork(front);
  const places: EndpointPlace[] = [];
  const add = async (n: number, of: Partial<DriverEndpoint>): Promise<Namespace> => {
    const place = { network: front, endpoint: endpoint(front, n, of) };
    const namespace = await join(on, place, test.path(`c${n}-${places.length}`));
    places.push(place);
    for (const address of ['0.0.0.0', '::'])
      for (const port of [80, 81]) await greet(namespace, address, port, place.endpoint.name);
    // A bridge's port forwards nothing before the kernel has seen it come up.
    await expect.poll(() => reached(on.host, n), { timeout: 20_000 }).toEqual([true, true]);
    return namespace;
  };
  const leave = async (name: string) => {
    const place = places.find((each) => each.endpoint.name === name);
    if (place) await on.driver.leave(place);
    return place;
  };
  return { ...on, front, places, add, leave };
}

/** Of both families, whether the port of a container is reached. */
async function reached(from: Namespace, n: number, port = 80): Promise<boolean[]> {
  return Promise.all(
    [`10.9.0.${n}`, `fd00:9::${n}`].map(async (address) => !(await isClosed(from, address, port))),
  );
}

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `links between containers that may not talk, by %s ${whyNot}`,
  (engine) => {
    it.each([
      ['a network', {}],
      ['an internal network', { internal: true }],
    ])('let one reach the exposed ports of another in %s, and nothing else', async (_what, more) => {
      await inSetting(engine, more, async (it) => {
        const db = await it.add(2, DB);
        const web = await it.add(3, { name: 'web', ...linked('db') });
        const other = await it.add(4, { name: 'other' });
        expect(await reached(web, 2)).toEqual([true, true]);
        expect(await ask(web, '10.9.0.2', 80)).toBe('db');
        expect(await reached(web, 2, 81)).toEqual([false, false]);
        expect(await reached(db, 3)).toEqual([false, false]);
        expect(await reached(other, 2)).toEqual([false, false]);
        expect(await reached(web, 4)).toEqual([false, false]);
      });
    });

    it('hold whoever comes first, and until either leaves', async () => {
      await inSetting(engine, {}, async (it) => {
        const web = await it.add(3, { name: 'web', ...linked('db', 'cache') });
        await it.add(2, DB);
        expect(await reached(web, 2)).toEqual([true, true]);
        await it.leave('db');
        await it.add(2, { ...DB, name: 'another' });
        expect(await reached(web, 2)).toEqual([false, false]);
        await it.add(4, { ...DB, name: 'cache' });
        expect(await reached(web, 4)).toEqual([true, true]);
        expect(it.firewall.intents().filter(({ kind }) => kind === 'link')).toHaveLength(1);
        await it.leave('web');
        expect(it.firewall.intents().filter(({ kind }) => kind === 'link')).toEqual([]);
      });
    });

    it('are found right after a restart, and end with what keeps containers apart', async () => {
      await inSetting(engine, {}, async (it) => {
        const web = await it.add(3, { name: 'web', ...linked('db') });
        await it.add(2, DB);
        const endpoints = it.places.map((place) => ({ ...place, joined: true }));
        const state = { networks: [it.front], endpoints };
        await it.driver.restore(state);
        expect(await it.driver.reconcile(state)).toEqual({ missing: [], orphaned: [] });
        expect(await reached(web, 2)).toEqual([true, true]);
        await it.driver.updateNetwork?.({ ...it.front, options: {} });
        expect(it.firewall.intents().filter(({ kind }) => kind === 'link')).toEqual([]);
        await it.driver.updateNetwork?.(it.front);
        expect(await reached(web, 2)).toEqual([true, true]);
        expect(await reached(web, 2, 81)).toEqual([false, false]);
      });
    });
  },
);
