/** What a namespace tells those who watch it. */
import { describe, expect } from 'vitest';
import type { NamespaceEvent } from '../../osl/osl.ts';
import { address, bridge, nets, type OslSuite, promisesOf, up, veth } from './ground.ts';

export function eventPromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe('who watches a namespace', () => {
    for (const net of nets) {
      it(`is told of what comes and goes there, and of nothing else, ${net.family}`, async ({
        host,
        create,
      }) => {
        const other = await create('other');
        const events = host.watch();
        await other.apply([bridge('elsewhere')]);
        await host.apply([
          bridge('br0'),
          veth('v1', 'v2', other, { master: 'br0', alias: 'one', mtu: 1400 }),
          address(net, 'br0', 1),
          up('br0'),
          up('v1'),
          { op: 'addRoute', destination: net.elsewhere, family: net.family, gateway: net.at(9) },
        ]);
        await host.apply([{ op: 'setLink', name: 'br0', group: 7 }]);
        await host.apply([
          { op: 'deleteRoute', destination: net.elsewhere, family: net.family, gateway: net.at(9) },
        ]);
        await host.deleteLink('v1');
        await host.deleteLink('br0');
        const told = await until(events, (event) => event === 'br0 gone');
        for (const expected of [
          'br0 there',
          'v1 there in br0',
          `${net.at(1)}/${net.length} there on br0`,
          `${net.elsewhere} there by br0`,
          `${net.elsewhere} gone by br0`,
          `${net.at(1)}/${net.length} gone on br0`,
        ])
          expect(told).toContain(expected);
        expect(told.find((each) => each.startsWith('v1 gone'))).toBeDefined();
        expect(told.join()).not.toContain('elsewhere');
        expect(told.indexOf('br0 there')).toBeLessThan(told.indexOf('br0 gone'));
      });
    }

    it('knows the names of links that were there before', async ({ host }) => {
      await host.apply([bridge('br0', { up: true })]);
      const events = host.watch();
      await host.apply([address(nets[0], 'br0', 1)]);
      const told = await until(events, (event) => event.startsWith('10.9.0.1/24'));
      expect(told).toContain('10.9.0.1/24 there on br0');
    });

    it('ends when the signal fires, also while it waits', async ({ host }) => {
      const controller = new AbortController();
      const events = host.watch({ signal: controller.signal });
      const next = events.next();
      controller.abort();
      expect(await next).toEqual({ done: true, value: undefined });
    });
  });
}

/** Everything that is told up to and with what is waited for. */
async function until(
  events: AsyncIterable<NamespaceEvent>,
  isLast: (event: string) => boolean,
): Promise<readonly string[]> {
  const told: string[] = [];
  for await (const event of events) {
    told.push(summary(event));
    if (isLast(told.at(-1) ?? '')) break;
  }
  return told;
}

function summary(event: NamespaceEvent): string {
  if (event.kind === 'lost') return 'lost';
  const verb = event.gone ? 'gone' : 'there';
  switch (event.kind) {
    case 'link':
      return `${event.link.name} ${verb}${event.link.master === undefined ? '' : ` in ${event.link.master}`}`;
    case 'address':
      return `${event.address.address} ${verb} on ${event.address.link}`;
    case 'route':
      return `${event.route.destination} ${verb} by ${event.route.link}`;
  }
}
