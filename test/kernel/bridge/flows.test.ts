import { describe, expect, it } from 'vitest';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';
import { endpoint, greetUdp, join, udpClient } from '../../unit/drivers/setting.ts';
import { BOTH, port, setUp } from './setting.ts';

const dns = port(53, { protocol: 'udp', host: 5300 });

async function served(test: TestHost) {
  const setting = await setUp(test, [dns]);
  await greetUdp(setting.web, 53, 'first');
  const bindings = (await setting.driver.publish?.(setting.place, BOTH)) ?? [];
  const { place } = setting;
  return { ...setting, recorded: { ...place, endpoint: { ...place.endpoint, bindings } } };
}

describe.skipIf(!canUseKernel)(`flows on the real kernel ${whyNot}`, () => {
  it.for(['192.0.2.1', '2001:db8::1'])(
    'to %s by udp follow a published port to its new owner',
    async (address) => {
      await withTestHost(async (test) => {
        const setting = await served(test);
        const client = await udpClient(setting.outside, address);
        expect(await client.ask(5300, 3_000)).toBe('first');
        await setting.driver.publish?.(setting.recorded, { ipv4: false, ipv6: false });
        // Begun while nobody has the port: it leads to the host.
        expect(await client.ask(5300, 200)).toBe('nobody');
        const second = { network: setting.front, endpoint: endpoint(setting.front, 4, { ports: [dns] }) };
        await greetUdp(await join(setting, second, test.path('second')), 53, 'second');
        await setting.driver.publish?.(second, BOTH);
        expect(await client.ask(5300, 3_000)).toBe('second');
        client.close();
      });
    },
  );

  it('by udp are forgotten when their endpoint leaves', async () => {
    await withTestHost(async (test) => {
      const { host, driver, outside, recorded } = await served(test);
      const client = await udpClient(outside, '192.0.2.1');
      expect(await client.ask(5300, 3_000)).toBe('first');
      await driver.leave(recorded);
      expect(await host.flushConntrack([{ address: '10.9.0.2' }, { address: 'fd00:9::2' }])).toBe(0);
      client.close();
    });
  });
});
