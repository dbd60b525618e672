import { describe, expect, it } from 'vitest';
import { bridgeName, vethName } from '../../../src/ids.ts';
import { labels } from '../../../src/labels.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, endpoint, isClosed, join, network } from '../../unit/drivers/setting.ts';
import { BOTH, port, setUp } from './setting.ts';

describe.skipIf(!canUseKernel)(`bridge networks on the real kernel ${whyNot}`, () => {
  it('let their endpoints reach each other, the host, and what is beside it', async () => {
    await withTestHost(async (test) => {
      const { web, other, outside } = await setUp(test, []);
      for (const address of ['10.9.0.3', '10.9.0.1', '192.0.2.2', 'fd00:9::3', 'fd00:9::1', '2001:db8::2'])
        expect(await web.ping(address), address).toBeTypeOf('number');
      expect(await ask(other, '10.9.0.2', 80)).toBe('web');
      expect(await ask(other, 'fd00:9::2', 80)).toBe('web');
      expect(await outside.ping('192.0.2.1')).toBeTypeOf('number');
    });
  });

  it('publish a port to the neighbours, the host and the containers, in both families', async () => {
    await withTestHost(async (test) => {
      const { driver, host, outside, place, web, other } = await setUp(test, [port(80, { host: 8080 })]);
      expect(await isClosed(outside, '192.0.2.1', 8080)).toBe(true);
      const bindings = (await driver.publish?.(place, BOTH)) ?? [];
      expect(bindings.map((binding) => [binding.host, binding.hostAddress])).toEqual([
        [8080, '0.0.0.0'],
        [8080, '::'],
      ]);
      expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');
      expect(await ask(outside, '2001:db8::1', 8080)).toBe('web');
      for (const from of [host, other, web]) {
        expect(await ask(from, '192.0.2.1', 8080), from.path).toBe('web');
        expect(await ask(from, '2001:db8::1', 8080), from.path).toBe('web');
      }
      expect(await ask(host, '127.0.0.1', 8080)).toBe('web');
      const recorded = { ...place, endpoint: { ...place.endpoint, bindings } };
      await driver.publish?.(recorded, { ipv4: false, ipv6: true });
      expect(await isClosed(outside, '192.0.2.1', 8080)).toBe(true);
      expect(await ask(outside, '2001:db8::1', 8080)).toBe('web');
      await driver.leave(recorded);
      expect(await isClosed(outside, '2001:db8::1', 8080)).toBe(true);
    });
  });

  it('keep a port on 127.0.0.1 for the host alone', async () => {
    await withTestHost(async (test) => {
      const loopback = [port(80, { host: 8080, hostAddress: '127.0.0.1' })];
      const { driver, host, outside, place } = await setUp(test, loopback);
      await driver.publish?.(place, BOTH);
      expect(await ask(host, '127.0.0.1', 8080)).toBe('web');
      expect(await isClosed(outside, '192.0.2.1', 8080)).toBe(true);
      await outside.apply([
        { op: 'addRoute', destination: '127.0.0.0/8', family: 'ipv4', gateway: '192.0.2.1', link: 'uplink' },
      ]);
      expect(await isClosed(outside, '127.0.0.1', 8080)).toBe(true);
    });
  });

  it('open a port of a routed network at the address of the container', async () => {
    await withTestHost(async (test) => {
      const options = {
        [labels.bridge.gatewayMode.ipv4]: 'routed',
        [labels.bridge.gatewayMode.ipv6]: 'routed',
      };
      const { driver, outside, place } = await setUp(test, [port(80)], { options });
      await outside.apply([
        { op: 'addRoute', destination: '10.9.0.0/24', family: 'ipv4', gateway: '192.0.2.1' },
        { op: 'addRoute', destination: 'fd00:9::/64', family: 'ipv6', gateway: '2001:db8::1' },
      ]);
      expect(await isClosed(outside, '10.9.0.2', 80)).toBe(true);
      await driver.publish?.(place, BOTH);
      expect(await ask(outside, '10.9.0.2', 80)).toBe('web');
      expect(await ask(outside, 'fd00:9::2', 80)).toBe('web');
    });
  });

  it('keep containers apart where they may not talk to each other', async () => {
    await withTestHost(async (test) => {
      const { other, outside } = await setUp(test, [], { options: { [labels.bridge.enableIcc]: 'false' } });
      expect(await isClosed(other, '10.9.0.2', 80)).toBe(true);
      expect(await other.ping('192.0.2.2')).toBeTypeOf('number');
      expect(await outside.ping('192.0.2.1')).toBeTypeOf('number');
    });
  });

  it('are closed when they are internal', async () => {
    await withTestHost(async (test) => {
      const { driver, web, other, outside, place } = await setUp(test, [port(80, { host: 8080 })], {
        internal: true,
      });
      expect(await driver.publish?.(place, BOTH)).toEqual([]);
      expect(await ask(other, '10.9.0.2', 80)).toBe('web');
      await web.apply([
        { op: 'addRoute', destination: 'default', family: 'ipv4', gateway: '10.9.0.1', link: 'eth0' },
      ]);
      expect(await web.ping('192.0.2.2', { timeoutMs: 300 })).toBeUndefined();
      expect(await outside.ping('192.0.2.1')).toBeTypeOf('number');
    });
  });

  it('reach each other by published ports only', async () => {
    await withTestHost(async (test) => {
      const { driver, osl, host, place } = await setUp(test, [port(80, { host: 8080 })]);
      const back = network({
        name: 'back',
        ipv4: [{ subnet: '10.8.0.0/24', gateway: '10.8.0.1/24', auxAddresses: {} }],
        ipv6: [{ subnet: 'fd00:8::/64', gateway: 'fd00:8::1/64', auxAddresses: {} }],
      });
      await driver.createNetwork(back);
      const stranger = await join(
        { driver, osl },
        { network: back, endpoint: endpoint(back, 5) },
        test.path('stranger'),
      );
      await driver.publish?.(place, BOTH);
      expect(await isClosed(stranger, '10.9.0.2', 80)).toBe(true);
      expect(await isClosed(stranger, 'fd00:9::2', 80)).toBe(true);
      expect(await ask(stranger, '192.0.2.1', 8080)).toBe('web');
      expect(await host.ping('10.8.0.5')).toBeTypeOf('number');
    });
  });

  it('have the links that were asked for', async () => {
    await withTestHost(async (test) => {
      const { host, front, place, web } = await setUp(test, [port(80)], {
        options: { [labels.driver.mtu]: 1400 },
      });
      const bridge = await host.link(bridgeName(front.id));
      expect(bridge).toMatchObject({
        kind: 'bridge',
        up: true,
        mtu: 1400,
        alias: expect.stringContaining(front.id) as string,
      });
      expect(await host.link(vethName(place.endpoint.id))).toMatchObject({
        kind: 'veth',
        up: true,
        mtu: 1400,
        master: bridgeName(front.id),
        alias: expect.stringContaining(place.endpoint.id) as string,
      });
      expect(await web.link('eth0')).toMatchObject({ mtu: 1400, macAddress: place.endpoint.macAddress });
      expect(await host.sysctl(`net/ipv6/conf/${bridgeName(front.id)}/accept_ra`)).toBe('0');
      expect(await host.sysctl('net/ipv4/ip_forward')).toBe('1');
    });
  });

  it('come back whole after their bridge was deleted', async () => {
    await withTestHost(async (test) => {
      const { driver, host, front, place, web, outside, other } = await setUp(test, [
        port(80, { host: 8080 }),
      ]);
      const bindings = (await driver.publish?.(place, BOTH)) ?? [];
      await host.deleteLink(bridgeName(front.id));
      const recorded = { ...place, endpoint: { ...place.endpoint, bindings } };
      const state = { networks: [front], endpoints: [{ ...recorded, joined: true }] };
      const { missing } = await driver.reconcile(state);
      expect(missing).toHaveLength(2);
      expect(await web.ping('10.9.0.1')).toBeTypeOf('number');
      expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');
      // The second endpoint is in no record: reconcile took its link away.
      expect(await other.link('eth0')).toBeUndefined();
    });
  });
});
