import { describe, expect, it } from 'vitest';
import { withTestHost } from '../support/kernel.ts';
import { address, doesNotReach, nets, reaches, up, whyNot, wire } from './support.ts';

const noIpvlan = await whyNot('ipvlan');
const noVlan = await whyNot('vlan');
const noDummy = await whyNot('dummy');

describe.skipIf(noIpvlan)(`ipvlan ${noIpvlan}`, () => {
  it.each(nets)('in mode l2 joins containers and the network outside, $family', async (net) => {
    await withTestHost(async ({ host, create }) => {
      const [outside, a, b] = [await create('outside'), await create('a'), await create('b')];
      await wire([host, 'p'], [outside, 'q']);
      await outside.apply([address('q', net, 1, 1)]);
      for (const [i, namespace] of [a, b].entries()) {
        const link = { kind: 'ipvlan', parent: 'p', mode: 'l2' } as const;
        await host.apply([{ op: 'createLink', name: `ipv${i}`, link, namespace }]);
        await namespace.apply([address(`ipv${i}`, net, 1, i + 2), up(`ipv${i}`)]);
      }
      await reaches(a, net.at(1, 3));
      await reaches(b, net.at(1, 2));
      await reaches(a, net.at(1, 1));
      await reaches(outside, net.at(1, 3));
      const [parent, child] = [await host.link('p'), await a.link('ipv0')];
      expect(child).toMatchObject({
        kind: 'ipvlan',
        macAddress: parent?.macAddress,
        peerIndex: parent?.index,
      });
    });
  });

  it.each(nets.flatMap((net) => (['l3', 'l3s'] as const).map((mode) => ({ net, mode, family: net.family }))))(
    'in mode $mode routes between subnets on one link, $family',
    async ({ net, mode }) => {
      await withTestHost(async ({ host, create }) => {
        const [outside, a, b] = [await create('outside'), await create('a'), await create('b')];
        await wire([host, 'p'], [outside, 'q']);
        await host.apply([address('p', net, 1, 254)]);
        await outside.apply([address('q', net, 1, 1)]);
        for (const [i, namespace] of [a, b].entries()) {
          const subnet = i + 2;
          await host.apply([
            { op: 'createLink', name: 'ipv', link: { kind: 'ipvlan', parent: 'p', mode }, namespace },
          ]);
          await namespace.apply([
            address('ipv', net, subnet, 2),
            up('ipv'),
            { op: 'addRoute', family: net.family, destination: 'default', link: 'ipv' },
          ]);
          const destination = `${net.at(subnet, 0)}/${net.length}`.replace('::0/', '::/');
          await outside.apply([{ op: 'addRoute', family: net.family, destination, gateway: net.at(1, 254) }]);
        }
        await reaches(a, net.at(3, 2));
        await reaches(b, net.at(2, 2));
        await reaches(outside, net.at(2, 2));
        await reaches(a, net.at(1, 1));
      });
    },
  );

  it('keeps containers apart with the flag private', async () => {
    await withTestHost(async ({ host, create }) => {
      const [net] = nets;
      const [outside, a, b] = [await create('outside'), await create('a'), await create('b')];
      await wire([host, 'p'], [outside, 'q']);
      await outside.apply([address('q', net, 1, 1)]);
      for (const [i, namespace] of [a, b].entries()) {
        const link = { kind: 'ipvlan', parent: 'p', mode: 'l2', flag: 'private' } as const;
        await host.apply([{ op: 'createLink', name: 'ipv', link, namespace }]);
        await namespace.apply([address('ipv', net, 1, i + 2), up('ipv')]);
      }
      await reaches(a, net.at(1, 1));
      await reaches(b, net.at(1, 1));
      await doesNotReach(a, net.at(1, 3));
    });
  });

  it('is refused beside a macvlan on the same parent', async () => {
    await withTestHost(async ({ host, create }) => {
      await wire([host, 'p'], [await create('outside'), 'q']);
      const macvlan = { kind: 'macvlan', parent: 'p', mode: 'bridge' } as const;
      await host.apply([{ op: 'createLink', name: 'mv', link: macvlan }]);
      const ipvlan = { kind: 'ipvlan', parent: 'p', mode: 'l2' } as const;
      const refused = host.apply([{ op: 'createLink', name: 'ipv', link: ipvlan }]);
      await expect(refused).rejects.toMatchObject({ code: 'CONFLICT', errno: 'EBUSY' });
    });
  });
});

describe.skipIf(noVlan)(`vlan ${noVlan}`, () => {
  it.each(nets)('joins those with the same tag over one wire, and nobody else, $family', async (net) => {
    await withTestHost(async ({ host, create }) => {
      const far = await create('far');
      await wire([host, 'p'], [far, 'q']);
      for (const id of [7, 8]) {
        await host.apply([
          { op: 'createLink', name: `p.${id}`, link: { kind: 'vlan', parent: 'p', id }, up: true },
          address(`p.${id}`, net, id, 1),
        ]);
      }
      await far.apply([
        { op: 'createLink', name: 'q.7', link: { kind: 'vlan', parent: 'q', id: 7 }, up: true },
        address('q.7', net, 7, 2),
        { op: 'createLink', name: 'q.9', link: { kind: 'vlan', parent: 'q', id: 9 }, up: true },
        address('q.9', net, 8, 2),
      ]);
      await reaches(host, net.at(7, 2));
      await reaches(far, net.at(7, 1));
      await doesNotReach(host, net.at(8, 2));
      expect(await host.link('p.7')).toMatchObject({ kind: 'vlan', running: true });
    });
  });

  it('carries a macvlan in another namespace', async () => {
    await withTestHost(async ({ host, create }) => {
      const [net] = nets;
      const [far, inside] = [await create('far'), await create('inside')];
      await wire([host, 'p'], [far, 'q']);
      await host.apply([
        { op: 'createLink', name: 'p.100', link: { kind: 'vlan', parent: 'p', id: 100 }, up: true },
        {
          op: 'createLink',
          name: 'eth0',
          link: { kind: 'macvlan', parent: 'p.100', mode: 'bridge' },
          namespace: inside,
        },
      ]);
      await inside.apply([address('eth0', net, 1, 2), up('eth0')]);
      await far.apply([
        { op: 'createLink', name: 'q.100', link: { kind: 'vlan', parent: 'q', id: 100 }, up: true },
        address('q.100', net, 1, 1),
      ]);
      await reaches(inside, net.at(1, 1));
    });
  });
});

describe.skipIf(noDummy)(`dummy ${noDummy}`, () => {
  it.each(nets)('holds an address that others reach, $family', async (net) => {
    await withTestHost(async ({ host, create }) => {
      const far = await create('far');
      await wire([host, 'p'], [far, 'q']);
      await host.apply([
        address('p', net, 1, 1),
        { op: 'createLink', name: 'dm0', link: { kind: 'dummy' }, up: true, alias: 'a service' },
        address('dm0', net, 5, 5),
      ]);
      await far.apply([
        address('q', net, 1, 2),
        { op: 'addRoute', family: net.family, destination: 'default', gateway: net.at(1, 1) },
      ]);
      await reaches(far, net.at(5, 5));
      expect(await host.link('dm0')).toMatchObject({ kind: 'dummy', alias: 'a service' });
    });
  });
});
