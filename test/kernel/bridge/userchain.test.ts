import { describe, expect, it } from 'vitest';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, isClosed } from '../../unit/drivers/setting.ts';
import { run } from '../resolver/setting.ts';
import { BOTH, port, setUp } from './setting.ts';

const TABLE = `libnetwork-${process.pid}`;

describe.skipIf(!canUseKernel)(`the user's chain of nftables on the real kernel ${whyNot}`, () => {
  it('says what goes, before the rules of networks, and is left as it is', async () => {
    await withTestHost(async (test) => {
      const ports = [port(80, { host: 8080 })];
      const { driver, firewall, host, outside, front, place, other } = await setUp(test, ports);
      const bindings = (await driver.publish?.(place, BOTH)) ?? [];
      const nft = (...args: string[]) => run(host, 'nft', args);
      const add = (...rule: string[]) => nft('add', 'rule', 'inet', TABLE, 'user', ...rule);
      const list = () => nft('list', 'chain', 'inet', TABLE, 'user');
      expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');

      await add('ip', 'saddr', '192.0.2.2', 'tcp', 'dport', '80', 'drop');
      expect(await isClosed(outside, '192.0.2.1', 8080)).toBe(true);
      await nft('flush', 'chain', 'inet', TABLE, 'user');
      expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');

      // What a network keeps shut may be let in.
      await outside.apply([
        { op: 'addRoute', destination: '10.9.0.0/24', family: 'ipv4', gateway: '192.0.2.1' },
      ]);
      expect(await isClosed(outside, '10.9.0.2', 80)).toBe(true);
      await add('ip', 'daddr', '10.9.0.2', 'accept');
      expect(await ask(outside, '10.9.0.2', 80)).toBe('web');

      const rules = await list();
      const state = {
        networks: [front],
        endpoints: [{ ...place, endpoint: { ...place.endpoint, bindings }, joined: true }],
      };
      expect((await driver.reconcile(state)).missing).toEqual([]);
      expect(await list()).toBe(rules);
      await driver.leave({ ...place, endpoint: { ...place.endpoint, bindings } });
      await driver.deleteNetwork(front);
      expect(await list()).toBe(rules);
      expect(await nft('list', 'table', 'inet', TABLE)).not.toContain('chain forward');
      await driver.createNetwork({ ...front });
      expect(await list()).toBe(rules);
      expect(await nft('list', 'chain', 'inet', TABLE, 'forward')).toContain('jump user');
      await firewall.destroy();
      expect(await list()).toBe(rules);
      await nft('delete', 'table', 'inet', TABLE);
      await other.close();
      await firewall.close();
    });
  });
});
