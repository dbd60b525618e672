/** Nobody but the host itself gets at its loopback addresses, also where its kernel would route them. */
import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, greet, greetUdp, isClosed, udpClient } from '../../unit/drivers/setting.ts';
import { BOTH, port, setUp } from './setting.ts';

/** Makes 127.0.0.0/8 somebody else's: packets to it go to the host. */
async function turnToHost(from: Namespace, link: string, host: string): Promise<void> {
  await from.apply([{ op: 'deleteAddress', link: 'lo', address: '127.0.0.1/8' }]);
  await from.setSysctl(`net/ipv4/conf/${link}/route_localnet`, '1');
  await from.apply([{ op: 'addRoute', destination: '127.0.0.0/8', family: 'ipv4', gateway: host, link }]);
}

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `loopback addresses of the host on the real kernel, by %s ${whyNot}`,
  (engine) => {
    it('are reached by it alone, also where its uplink routes them', async () => {
      await withTestHost(async (test) => {
        const published = [
          port(80, { host: 8080, hostAddress: '127.0.0.1' }),
          port(80, { host: 8080, hostAddress: '127.0.0.1', protocol: 'udp' }),
        ];
        const { driver, host, outside, web, other, place } = await setUp(test, published, {}, engine);
        await greet(host, '127.0.0.1', 9090, 'a service of the host');
        await greetUdp(web, 80, 'web');
        await driver.publish?.(place, BOTH);
        await host.setSysctl('net/ipv4/conf/uplink/route_localnet', '1');
        await turnToHost(outside, 'uplink', '192.0.2.1');
        await turnToHost(other, 'eth0', '10.9.0.1');
        expect(await ask(host, '127.0.0.1', 8080)).toBe('web');
        for (const from of [outside, other]) {
          expect(await isClosed(from, '127.0.0.1', 8080), from.path).toBe(true);
          const client = await udpClient(from, '127.0.0.1');
          expect(await client.ask(8080, 300), from.path).toBe('nobody');
          client.close();
        }
        expect(await isClosed(other, '127.0.0.1', 9090)).toBe(true);
      });
    });

    it('would be reached without the rules', async () => {
      await withTestHost(async (test) => {
        const published = [port(80, { host: 8080, hostAddress: '127.0.0.1' })];
        const { driver, firewall, host, outside, place } = await setUp(test, published, {}, engine);
        await greet(host, '127.0.0.1', 9090, 'a service of the host');
        await driver.publish?.(place, BOTH);
        await host.setSysctl('net/ipv4/conf/uplink/route_localnet', '1');
        await turnToHost(outside, 'uplink', '192.0.2.1');
        await firewall.destroy();
        expect(await ask(outside, '127.0.0.1', 9090)).toBe('a service of the host');
      });
    });
  },
);
