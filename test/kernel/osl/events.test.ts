import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../src/ip.ts';
import { involves, LinuxNamespace, wasBegunTo } from '../../../src/osl/linux/index.ts';
import type { Namespace, NamespaceEvent } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

/** What the real kernel offers beyond the contract. */
function linux(namespace: Namespace): LinuxNamespace {
  if (namespace instanceof LinuxNamespace) return namespace;
  throw new Error('not on the real kernel');
}

function summary(event: NamespaceEvent): string {
  const verb = 'gone' in event && event.gone ? 'gone' : 'there';
  switch (event.kind) {
    case 'link':
      return `${event.link.name} ${verb}`;
    case 'address':
      return `${event.address.address} ${verb}`;
    case 'route':
      return `${event.route.destination} ${verb}`;
    default:
      return event.kind;
  }
}

describe.skipIf(!canUseKernel)(`watching a namespace ${whyNot}`, () => {
  it('tells of links, addresses and routes that come and go, there and nowhere else', async () => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      const told: string[] = [];
      const events = linux(host).watch();
      await other.apply([{ op: 'createLink', name: 'elsewhere', link: { kind: 'bridge' } }]);
      await host.apply([
        { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
        { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
        { op: 'addRoute', family: 'ipv4', destination: '10.8.0.0/16', gateway: '10.9.0.2' },
      ]);
      await host.deleteLink('br0');
      for await (const event of events) {
        told.push(summary(event));
        if (told.at(-1) === 'br0 gone') break;
      }
      expect(told).toEqual(
        expect.arrayContaining(['br0 there', '10.9.0.1/24 there', '10.8.0.0/16 there', '10.9.0.1/24 gone']),
      );
      expect(told.join()).not.toContain('elsewhere');
    });
  });

  it('ends when its signal fires, also while it waits', async () => {
    await withTestHost(async ({ host }) => {
      const controller = new AbortController();
      const events = linux(host).watch({ signal: controller.signal });
      const next = events.next();
      controller.abort();
      expect(await next).toEqual({ done: true, value: undefined });
    });
  });

  it('says that events were lost when more were told than taken, and goes on', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true }]);
      const events = linux(host).watch();
      const aliases = Array.from({ length: 15_000 }, (_, i) => `alias ${i}`);
      await host.apply(aliases.map((alias) => ({ op: 'setLink', name: 'br0', alias })));
      const kinds = new Set<string>();
      for await (const event of events) {
        kinds.add(event.kind);
        if (event.kind === 'lost')
          await host.apply([{ op: 'createLink', name: 'br1', link: { kind: 'bridge' } }]);
        if (summary(event) === 'br1 there') break;
      }
      expect([...kinds]).toContain('lost');
    });
  });
});

describe.skipIf(!canUseKernel)(`tracked connections ${whyNot}`, () => {
  it.each([
    { family: 'ipv4', address: '127.0.0.1' },
    { family: 'ipv6', address: '::1' },
  ] as const)('of $family are read, and forgotten by address and by port', async ({ family, address }) => {
    await withTestHost(async ({ host }) => {
      // Nothing is tracked until a rule asks for it.
      const firewall = await host.firewall({ engine: 'nftables', table: 'libnetwork-test' });
      await firewall.apply([
        {
          set: {
            kind: 'network',
            id: 'n',
            bridge: 'br0',
            ipv4: { subnet: '10.9.0.0/24', mode: 'nat', masquerade: true },
            ipv6: { subnet: 'fd00:9::/64', mode: 'nat', masquerade: true },
            internal: false,
            icc: true,
          },
        },
      ]);
      const server = await host.bindUdp(address, 5353);
      const client = await host.bindUdp(address, 0);
      let arrive = (): void => undefined;
      server.onMessage(() => arrive());
      const speak = async () => {
        const arrived = new Promise<void>((resolve) => {
          arrive = resolve;
        });
        client.send(Buffer.from('hello'), { address, port: 5353 });
        await arrived;
      };
      await speak();
      const parsed = parseAddress(address);
      if (!parsed) throw new Error(address);
      const [connection, ...others] = await linux(host).connections(family);
      expect(others).toEqual([]);
      expect(connection?.original).toEqual({
        source: parsed,
        destination: parsed,
        protocol: 17,
        sourcePort: client.port,
        destinationPort: 5353,
      });
      expect(connection?.reply).toMatchObject({ sourcePort: 5353, destinationPort: client.port });
      expect(await linux(host).forgetConnections(family, wasBegunTo(6, 5353))).toBe(0);
      expect(await linux(host).forgetConnections(family, wasBegunTo(17, 5353))).toBe(1);
      expect(await linux(host).forgetConnections(family, involves(parsed))).toBe(0);
      await speak();
      expect(await linux(host).forgetConnections(family, involves(parsed))).toBe(1);
      expect(await linux(host).connections(family)).toEqual([]);
      server.close();
      client.close();
      await firewall.close();
    });
  });
});
