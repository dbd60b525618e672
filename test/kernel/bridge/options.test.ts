import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { DriverNetwork } from '../../../src/driverapi/driver.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { bridgeName, vethName } from '../../../src/ids.ts';
import { labels } from '../../../src/labels.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { mirror, seenAs } from '../../support/mirror.ts';
import { ask, isClosed, network } from '../../unit/drivers/setting.ts';
import { BOTH, bridgeOn, port, setUp } from './setting.ts';

/** Who answers at port 80, or `closed`: what is hoped for may take its time on a busy machine, silence is short. */
async function asked(from: Namespace, address: string, hoped: boolean): Promise<string> {
  if (hoped) return ask(from, address, 80);
  return (await isClosed(from, address, 80)) ? 'closed' : 'open';
}

/** Has all packets of the host marked by a rule that is not ours, as early as can be. */
async function markAll(host: Namespace, mark: string): Promise<void> {
  const rules = `table inet marks
    delete table inet marks
    table inet marks { chain early { type filter hook prerouting priority -310; meta mark set ${mark}; }; }`;
  const child = host.spawn('nft', ['-f', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin?.end(rules);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`nft ended with ${code}`);
}

const routes = [
  { op: 'addRoute', destination: '10.9.0.0/24', family: 'ipv4', gateway: '192.0.2.1' },
  { op: 'addRoute', destination: 'fd00:9::/64', family: 'ipv6', gateway: '2001:db8::1' },
] as const;

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `options of bridge networks on the real kernel, by %s ${whyNot}`,
  (engine) => {
    it.for([
      ['is that of the outgoing interface', {}, ['192.0.2.1', '2001:db8::1']],
      [
        'is the address of the host that was named, in each family by itself',
        { [labels.hostAddress.ipv4]: '192.0.2.9' },
        ['192.0.2.9', '2001:db8::1'],
      ],
      [
        "is the container's own without masquerading",
        { [labels.bridge.enableIpMasquerade]: false },
        ['10.9.0.2', 'fd00:9::2'],
      ],
      [
        "is the container's own in a routed family, hidden in the other",
        { [labels.bridge.gatewayMode.ipv6]: 'routed', [labels.hostAddress.ipv4]: '192.0.2.9' },
        ['192.0.2.9', 'fd00:9::2'],
      ],
    ] as [string, DriverNetwork['options'], string[]][])(
      'the source of what leaves %s',
      async ([, options, seen]) => {
        await withTestHost(async (test) => {
          const { web, outside, host } = await setUp(test, [], { options }, engine);
          await host.apply([{ op: 'addAddress', link: 'uplink', address: '192.0.2.9/24' }]);
          await outside.apply(routes);
          await mirror(outside);
          expect([await seenAs(web, '192.0.2.2'), await seenAs(web, '2001:db8::2')]).toEqual(seen);
        });
      },
    );

    it('published ports are reached at the container from trusted interfaces alone', async () => {
      for (const [trusted, reached] of [
        ['other0:uplink', true],
        ['other0', false],
      ] as const)
        await withTestHost(async (test) => {
          const options = { [labels.bridge.trustedHostInterfaces]: trusted };
          const { driver, outside, place, web } = await setUp(
            test,
            [port(80, { host: 8080 })],
            { options },
            engine,
          );
          await outside.apply(routes);
          await web.listenTcp('0.0.0.0', 81, (stream) => stream.end('unpublished'));
          await driver.publish?.(place, BOTH);
          for (const address of ['10.9.0.2', 'fd00:9::2'])
            expect(await asked(outside, address, reached), `${address} with ${trusted}`).toBe(
              reached ? 'web' : 'closed',
            );
          expect(await isClosed(outside, '10.9.0.2', 81)).toBe(true);
          expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');
        });
    });

    it('published ports are reached at the container from everywhere with direct routing, and no others', async () => {
      for (const direct of [true, false])
        await withTestHost(async (test) => {
          const options = { [labels.bridge.allowDirectRouting]: direct };
          const ports = [port(80, { host: 8080 })];
          const { driver, outside, place, web } = await setUp(test, ports, { options }, engine);
          await outside.apply(routes);
          for (const address of ['0.0.0.0', '::'])
            await web.listenTcp(address, 81, (stream) => stream.end('unpublished'));
          await driver.publish?.(place, BOTH);
          for (const address of ['10.9.0.2', 'fd00:9::2']) {
            expect(await asked(outside, address, direct), `${address}, direct: ${direct}`).toBe(
              direct ? 'web' : 'closed',
            );
            expect(await isClosed(outside, address, 81)).toBe(true);
          }
          expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');
        });
    });

    it('what a rule of the host marks comes in, to unpublished ports too, and nothing else does', async () => {
      await withTestHost(async (test) => {
        const options = { [labels.bridge.acceptFwmark]: '0x100/0xf00' };
        const { driver, host, outside, place, web } = await setUp(
          test,
          [port(80, { host: 8080 })],
          { options },
          engine,
        );
        await outside.apply(routes);
        for (const address of ['0.0.0.0', '::'])
          await web.listenTcp(address, 81, (stream) => stream.end('unpublished'));
        await driver.publish?.(place, BOTH);
        const reached = async () =>
          Promise.all(
            ['10.9.0.2', 'fd00:9::2'].flatMap((address) =>
              [80, 81].map(async (number) => !(await isClosed(outside, address, number))),
            ),
          );
        for (const [mark, isReached] of [
          ['0x200', false],
          ['0x123', true],
        ] as const) {
          await markAll(host, mark);
          expect(await reached(), mark).toEqual([isReached, isReached, isReached, isReached]);
        }
        // What is accepted is the network's to say, at any time.
        await driver.updateNetwork?.({ ...place.network, options: {} });
        expect(await reached()).toEqual([false, false, false, false]);
      });
    });

    it('a network without an MTU has that of the default route', async () => {
      await withTestHost(async (test) => {
        const { host } = test;
        await host.apply([
          {
            op: 'createLink',
            name: 'wan',
            link: { kind: 'veth', peer: { name: 'wan-peer' } },
            mtu: 1420,
            up: true,
          },
          { op: 'setLink', name: 'wan-peer', up: true },
          { op: 'addAddress', link: 'wan', address: '198.51.100.1/24' },
          { op: 'addRoute', destination: 'default', family: 'ipv4', gateway: '198.51.100.2' },
        ]);
        const { front, place, web } = await setUp(test, [], {}, engine);
        expect((await host.link(bridgeName(front.id)))?.mtu).toBe(1420);
        expect((await host.link(vethName(place.endpoint.id)))?.mtu).toBe(1420);
        expect((await web.link('eth0'))?.mtu).toBe(1420);
      });
    });

    it('a bridge tells VLANs apart where it is asked to, or says that the kernel can not', async () => {
      await withTestHost(async (test) => {
        const { driver, host } = await bridgeOn(test, engine);
        const front = network({
          options: { [labels.bridge.vlanFiltering]: true, [labels.bridge.name]: 'br-vlan' },
        });
        const refusal = await driver.createNetwork(front).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (refusal === undefined)
          return expect(await host.link('br-vlan')).toMatchObject({ kind: 'bridge' });
        expect(LibnetworkError.is(refusal, 'NOT_IMPLEMENTED') && refusal).toMatchObject({
          field: labels.bridge.vlanFiltering,
          errno: 'EOPNOTSUPP',
        });
        expect(await host.link('br-vlan')).toBeUndefined();
      });
    });
  },
);
