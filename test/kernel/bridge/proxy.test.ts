import { describe, expect, it } from 'vitest';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, greetUdp, isClosed, udpClient } from '../../unit/drivers/setting.ts';
import { BOTH, port, setUp } from './setting.ts';

const PORTS = [port(80, { host: 8080 }), port(80, { protocol: 'udp', host: 8080 })];

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `the proxy on the real kernel, by %s ${whyNot}`,
  (engine) => {
    it('leads ::1 to a published port', async () => {
      await withTestHost(async (test) => {
        const { driver, host, place, web } = await setUp(test, PORTS, {}, engine);
        await greetUdp(web, 80, 'web');
        await driver.publish?.(place, BOTH);
        expect(await ask(host, '::1', 8080)).toBe('web');
        const client = await udpClient(host, '::1');
        expect(await client.ask(8080, 3_000)).toBe('web');
        client.close();
      });
    });

    it('leads IPv6 to a container that has IPv4 alone, where that is asked for', async () => {
      await withTestHost(async (test) => {
        const ports = PORTS.map((each) => ({ ...each, hostAddress: '::' }));
        const { driver, outside, place, web } = await setUp(test, ports, { ipv6: [] }, engine);
        await greetUdp(web, 80, 'web');
        expect(await isClosed(outside, '2001:db8::1', 8080)).toBe(true);
        await driver.publish?.(place, BOTH);
        expect(await ask(outside, '2001:db8::1', 8080)).toBe('web');
        const client = await udpClient(outside, '2001:db8::1');
        expect(await client.ask(8080, 3_000)).toBe('web');
        client.close();
      });
    });

    it('serves no link-local neighbour, who has a way past the rules to the socket', async () => {
      await withTestHost(async (test) => {
        const { driver, host, outside, place } = await setUp(test, PORTS, {}, engine);
        await driver.publish?.(place, BOTH);
        const address = (await host.addresses('uplink')).find(({ scope }) => scope === 'link')?.address;
        const script = `const net = require('net'); let said = '';
        const socket = net.connect({ host: '${address?.split('/')[0]}%uplink', port: 8080, timeout: 1000 });
        socket.on('data', (data) => { said += data; });
        for (const end of ['end', 'timeout', 'error']) socket.on(end, () => { console.log('[' + said + ']'); process.exit(); });`;
        const child = outside.spawn(process.execPath, ['-e', script], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let said = '';
        for await (const part of child.stdout ?? []) said += String(part);
        expect(said.trim()).toBe('[]');
      });
    });
  },
);
