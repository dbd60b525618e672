import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Handle } from '../../../src/osl/linux/handle.ts';
import { openNamespaceFile } from '../../../src/osl/linux/mounts.ts';
import { RouteView } from '../../../src/osl/linux/routeview.ts';
import type { Namespace, Route } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

const run = promisify(execFile);

/** A view of a new namespace with two bridges, each up with a port, so that both have a carrier and routes. */
async function withView(
  { create, path }: TestHost,
  name: string,
  work: (view: RouteView, namespace: Namespace, handle: Handle) => Promise<void>,
): Promise<void> {
  const namespace = await create(name);
  const handle = new Handle(name, openNamespaceFile(path(name)));
  try {
    await namespace.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
      { op: 'createLink', name: 'br1', link: { kind: 'bridge' }, up: true },
      { op: 'addAddress', link: 'br0', address: '10.0.0.1/24' },
      { op: 'addAddress', link: 'br0', address: 'fd00::1/64', noDad: true },
    ]);
    await work(new RouteView(handle), namespace, handle);
  } finally {
    handle.close();
    await namespace.close();
  }
}

/** As text, in an order of their own: a view has what was added last at its end. */
function sorted(routes: readonly Route[]): string[] {
  return routes
    .map(
      ({ destination, family, gateway, link, metric }) =>
        `${family} ${destination} by ${gateway} ${link} ${metric}`,
    )
    .sort();
}

/** What programs do to a namespace: whatever of it is refused changes nothing. */
const STEPS = [
  'link set br0 up',
  'link set br0 down',
  'link set br1 up',
  'link set br1 down',
  'link set br1 name br2',
  'link set br2 name br1',
  'link del br2',
  'link add br1 type bridge',
  'addr add 10.0.0.1/24 dev br0',
  'addr del 10.0.0.1/24 dev br0',
  'addr add 10.0.0.9/24 dev br0',
  'addr del 10.0.0.9/24 dev br0',
  'addr add 10.1.0.1/24 dev br1',
  'addr flush dev br1',
  'addr add fd00:1::1/64 dev br1 nodad',
  'addr del fd00:1::1/64 dev br1',
  'route add default via 10.0.0.2',
  'route add default via 10.0.0.3 metric 5',
  'route replace default via 10.0.0.4',
  'route append default via 10.0.0.5',
  'route del default',
  'route add 10.7.0.0/16 nexthop via 10.0.0.2 nexthop via 10.1.0.2',
  'route add 10.8.0.0/16 dev br1 src 10.0.0.9',
  'route add 10.8.0.0/16 dev br1 table 99',
  'route del 10.8.0.0/16',
  'route add blackhole 10.9.0.0/16',
  'route flush root 10.7.0.0/16',
  '-6 route add default via fd00::2',
  '-6 route add fd00:7::/64 nexthop via fd00::2 nexthop via fd00:1::2',
  '-6 route append fd00:7::/64 via fd00::3',
  '-6 route replace fd00:7::/64 via fd00::4',
  '-6 route del fd00:7::/64',
  'nexthop add id 7 via 10.0.0.2 dev br0',
  'nexthop replace id 7 via 10.0.0.6 dev br0',
  'route add 10.6.0.0/16 nhid 7',
  'nexthop del id 7',
];

describe.skipIf(!canUseKernel)(`the view of a host's routes ${whyNot}`, () => {
  it('takes in routes that are added without reading the table again', async () => {
    await withTestHost((test) =>
      withView(test, 'host', async (view, namespace, handle) => {
        expect(sorted(await view.read())).toEqual(sorted(await namespace.routes()));
        const dumps = vi.spyOn(handle.socket, 'dump');
        for (let i = 2; i < 12; i++)
          await namespace.apply([
            { op: 'createLink', name: `br${i}`, link: { kind: 'bridge' }, up: true },
            { op: 'addAddress', link: `br${i}`, address: `10.${i}.0.1/24` },
            { op: 'addAddress', link: `br${i}`, address: `fd00:${i}::1/64`, noDad: true },
          ]);
        expect(sorted(await view.read())).toEqual(sorted(await namespace.routes()));
        expect(dumps).not.toHaveBeenCalled();
        expect((await view.read()).map(({ destination }) => destination)).toContain('10.11.0.0/24');
      }),
    );
  });

  it.each([
    ['a link goes', (host: Namespace) => host.deleteLink('br0')],
    [
      'a link is down, of whose routes the kernel tells nothing',
      (host: Namespace) => host.apply([{ op: 'setLink', name: 'br0', up: false }]),
    ],
    [
      'the last address of a link goes, and its other routes with it',
      (host: Namespace) => host.apply([{ op: 'deleteAddress', link: 'br0', address: '10.0.0.1/24' }]),
    ],
    [
      'a link has another name',
      (host: Namespace) =>
        host.apply([
          { op: 'setLink', name: 'br0', up: false },
          { op: 'setLink', name: 'br0', rename: 'uplink', up: true },
        ]),
    ],
    [
      'more happens than the kernel can tell',
      (host: Namespace) =>
        host.apply(
          Array.from({ length: 2000 }, (_, i) => ({
            op: 'addRoute' as const,
            family: 'ipv4' as const,
            destination: `10.${100 + (i >> 8)}.${i & 255}.0/24`,
            gateway: '10.0.0.2',
          })),
        ),
    ],
  ])('is right when %s', async (_, change) => {
    await withTestHost((test) =>
      withView(test, 'host', async (view, namespace) => {
        await namespace.apply([
          { op: 'addRoute', family: 'ipv4', destination: '10.8.0.0/16', gateway: '10.0.0.2' },
        ]);
        const before = await view.read();
        await change(namespace);
        const after = await view.read();
        expect(sorted(after)).toEqual(sorted(await namespace.routes()));
        expect(sorted(after)).not.toEqual(sorted(before));
      }),
    );
  });

  it('shows what the table has, whatever other programs do to it', async () => {
    await withTestHost(async (test) => {
      let round = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom(...STEPS), { minLength: 10, maxLength: 40 }), (steps) =>
          withView(test, `host${round++}`, async (view, namespace) => {
            for (const step of steps) {
              // Refused ones are part of it.
              await run('nsenter', [`--net=${namespace.path}`, 'ip', ...step.split(' ')]).catch(
                () => undefined,
              );
              expect(sorted(await view.read()), step).toEqual(sorted(await namespace.routes()));
            }
          }),
        ),
        { numRuns: 15 },
      );
    });
  });

  it('reads for many at once, each of whom sees what was there when it asked', async () => {
    await withTestHost((test) =>
      withView(test, 'host', async (view, namespace) => {
        const asked = Array.from({ length: 20 }, async (_, i) => {
          await namespace.apply([
            { op: 'addRoute', family: 'ipv4', destination: `10.${20 + i}.0.0/16`, gateway: '10.0.0.2' },
          ]);
          if (i % 3 === 0) await namespace.deleteLink('br1');
          return (await view.read()).some(({ destination }) => destination === `10.${20 + i}.0.0/16`);
        });
        expect(await Promise.all(asked)).toEqual(asked.map(() => true));
      }),
    );
  });
});
