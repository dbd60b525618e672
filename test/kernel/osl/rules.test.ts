import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAddress, parsePrefix } from '../../../src/ip.ts';
import { LinuxNamespace, type Rule } from '../../../src/osl/linux/index.ts';
import { NETLINK_ROUTE, NLM_F_CREATE } from '../../../src/osl/linux/netlink/message.ts';
import { encodeNewRoute, RTM_NEWROUTE } from '../../../src/osl/linux/netlink/route.ts';
import { NetlinkSocket, throwRefusal } from '../../../src/osl/linux/netlink/socket.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

function linux(namespace: Namespace): LinuxNamespace {
  if (namespace instanceof LinuxNamespace) return namespace;
  throw new Error('not on the real kernel');
}

const nets = [
  { family: 'ipv4', own: '10.9.0.1/24', other: '10.9.0.2', length: 24, far: '10.8.0.1' },
  { family: 'ipv6', own: 'fd00:9::1/64', other: 'fd00:9::2', length: 64, far: 'fd00:8::1' },
] as const;

type Net = (typeof nets)[number];

/** Two namespaces on a wire; the other one has a second address that the first has no route to. */
async function onWire(net: Net, work: (near: LinuxNamespace, path: string) => Promise<void>): Promise<void> {
  await withTestHost(async ({ host, create, path }) => {
    const other = await create('other');
    const link = { kind: 'veth', peer: { name: 'eth0', namespace: other } } as const;
    await host.apply([
      { op: 'createLink', name: 'eth0', link, up: true },
      { op: 'addAddress', link: 'eth0', address: net.own, noDad: true },
    ]);
    await other.apply([
      { op: 'addAddress', link: 'eth0', address: `${net.other}/${net.length}`, noDad: true },
      {
        op: 'addAddress',
        link: 'lo',
        address: `${net.far}/${net.family === 'ipv4' ? 32 : 128}`,
        noDad: true,
      },
      { op: 'setLink', name: 'eth0', up: true },
    ]);
    await expect.poll(() => answers(host, net.other), { timeout: 5000 }).toBe(true);
    await work(linux(host), path('host'));
  });
}

async function answers(from: Namespace, to: string): Promise<boolean> {
  const [answer] = await Promise.allSettled([from.ping(to, { timeoutMs: 300 })]);
  return answer.status === 'fulfilled' && answer.value !== undefined;
}

function prefix(text: string) {
  const parsed = parsePrefix(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

/** A default route in a table of its own. */
async function addDefault(path: string, net: Net, table: number): Promise<void> {
  const fd = openSync(path, 'r');
  const socket = NetlinkSocket.open(NETLINK_ROUTE, fd);
  try {
    const gateway = parseAddress(net.other);
    const payload = encodeNewRoute({ family: net.family, destination: undefined, gateway, table });
    const request = { type: RTM_NEWROUTE, flags: NLM_F_CREATE, payload, operation: 'add a default route' };
    throwRefusal(await socket.request([request]));
  } finally {
    socket.close();
    closeSync(fd);
  }
}

describe.skipIf(!canUseKernel)(`policy routing rules ${whyNot}`, () => {
  it.each(nets)('of $family are those that the kernel has at first', async (net) => {
    await withTestHost(async ({ host }) => {
      const found = (await linux(host).rules(net.family)).map(({ priority, table }) => [priority, table]);
      const main = [32766, 254];
      expect(found).toEqual(net.family === 'ipv4' ? [[0, 255], main, [32767, 253]] : [[0, 255], main]);
    });
  });

  it.each(nets.flatMap((net) => [100, 100_000].map((table) => ({ net, family: net.family, table }))))(
    'send packets by the table $table, $family',
    async ({ net, table }) => {
      await onWire(net, async (near, path) => {
        await addDefault(path, net, table);
        expect(await answers(near, net.far)).toBe(false);
        const rule: Rule = { family: net.family, priority: 500, action: 'lookup', table };
        await near.addRule(rule);
        expect(await near.rules(net.family)).toContainEqual(rule);
        expect(await answers(near, net.far)).toBe(true);
        await near.deleteRule(rule);
        expect(await answers(near, net.far)).toBe(false);
      });
    },
  );

  it.each(nets)('forbid what they select, and nothing else, $family', async (net) => {
    await onWire(net, async (near) => {
      const to = prefix(`${net.other}/${net.family === 'ipv4' ? 32 : 128}`);
      const rule: Rule = { family: net.family, priority: 500, action: 'prohibit', to };
      await near.addRule(rule);
      expect(await answers(near, net.other)).toBe(false);
      await near.deleteRule(rule);
      expect(await answers(near, net.other)).toBe(true);
      await near.addRule({ ...rule, mark: { value: 7, mask: 0xff } });
      expect(await answers(near, net.other)).toBe(true);
    });
  });

  it('are refused a second time, unknown, and without sense', async () => {
    await withTestHost(async ({ host }) => {
      const near = linux(host);
      const rule: Rule = { family: 'ipv4', priority: 500, action: 'lookup', table: 100 };
      await near.addRule(rule);
      await expect(near.addRule(rule)).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        operation: 'add the rule 500: from all lookup 100',
      });
      const missing = near.deleteRule({ ...rule, priority: 501 });
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND', errno: 'ENOENT' });
      const senseless: [Rule, string][] = [
        [{ family: 'ipv4', priority: -1, action: 'blackhole' }, 'priority'],
        [{ family: 'ipv4', priority: 1, action: 'lookup' }, 'table'],
        [{ family: 'ipv4', priority: 1, action: 'prohibit', table: 5 }, 'table'],
        [{ family: 'ipv4', priority: 1, action: 'prohibit', from: prefix('fd00::/8') }, 'from'],
        [{ family: 'ipv4', priority: 1, action: 'prohibit', outLink: 'a/b' }, 'outLink'],
      ];
      for (const [each, field] of senseless)
        await expect(near.addRule(each)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
    });
  });
});
