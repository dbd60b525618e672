/** A bridge that Docker, or anybody else, has made and uses: the default bridge of the host. */
import { describe, expect, it } from 'vitest';
import { labels } from '../../../src/labels.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, endpoint, greet, isClosed, join, neighbour, network } from '../../unit/drivers/setting.ts';
import { BOTH, bridgeOn, port } from './setting.ts';

const DEFAULT = { [labels.bridge.defaultBridge]: true };

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `docker0 on the real kernel, by %s ${whyNot}`,
  (engine) => {
    it('is taken over with what is on it, and stays when the network goes', async () => {
      await withTestHost(async (test) => {
        const { host, osl } = test;
        const outside = await neighbour(osl, test.path('neighbour'));
        const theirs = await test.create('theirs');
        await host.apply([
          {
            op: 'createLink',
            name: 'docker0',
            link: { kind: 'bridge' },
            macAddress: '02:42:00:00:00:01',
            up: true,
          },
          { op: 'addAddress', link: 'docker0', address: '10.9.0.1/24' },
          { op: 'addAddress', link: 'docker0', address: 'fd00:9::1/64', noDad: true },
          { op: 'addAddress', link: 'docker0', address: '10.99.0.1/24' },
          {
            op: 'createLink',
            name: 'theirs0',
            link: { kind: 'veth', peer: { name: 'eth0', namespace: theirs } },
            master: 'docker0',
            up: true,
          },
        ]);
        await theirs.apply([
          { op: 'addAddress', link: 'eth0', address: '10.9.0.9/24' },
          { op: 'setLink', name: 'eth0', up: true },
        ]);
        const look = async () => ({
          link: await host
            .link('docker0')
            .then((link) => link && { ...link, statistics: undefined, running: undefined }),
          port: (await host.link('theirs0'))?.master,
          addresses: (await host.addresses('docker0')).filter(({ scope }) => scope !== 'link'),
          localnet: await host.sysctl('net/ipv4/conf/docker0/route_localnet'),
        });
        const before = await look();

        const { driver } = await bridgeOn(test, engine);
        const front = network({ options: DEFAULT });
        await driver.createNetwork(front);
        const place = { network: front, endpoint: endpoint(front, 2, { ports: [port(80, { host: 8080 })] }) };
        const web = await join({ driver, osl }, place, test.path('web'));
        for (const address of ['0.0.0.0', '::']) await greet(web, address, 80, 'web');
        const bindings = (await driver.publish?.(place, BOTH)) ?? [];
        expect(await ask(outside, '192.0.2.1', 8080)).toBe('web');
        expect(await ask(theirs, '10.9.0.2', 80)).toBe('web');
        await outside.apply([
          { op: 'addRoute', destination: '10.9.0.0/24', family: 'ipv4', gateway: '192.0.2.1' },
        ]);
        expect(await isClosed(outside, '10.9.0.2', 80)).toBe(true);
        expect(await look()).toEqual(before);

        await driver.leave({ ...place, endpoint: { ...place.endpoint, bindings } });
        await driver.deleteNetwork(front);
        expect(await look()).toEqual(before);
        expect(await theirs.ping('10.9.0.1')).toBeTypeOf('number');
      });
    });

    it('is not taken without the addresses of the network, nor touched then', async () => {
      await withTestHost(async (test) => {
        const { host } = test;
        await host.apply([
          { op: 'createLink', name: 'docker0', link: { kind: 'bridge' }, up: true },
          { op: 'addAddress', link: 'docker0', address: '172.17.0.1/16' },
        ]);
        const { driver } = await bridgeOn(test, engine);
        await expect(driver.createNetwork(network({ options: DEFAULT }))).rejects.toMatchObject({
          code: 'CONFLICT',
          message: expect.stringContaining('ip address add 10.9.0.1/24 dev docker0'),
        });
        const addresses = (await host.addresses('docker0')).filter(({ family }) => family === 'ipv4');
        expect(addresses.map(({ address }) => address)).toEqual(['172.17.0.1/16']);
      });
    });
  },
);

describe.skipIf(!canUseKernel)(`a bridge of ours on the real kernel ${whyNot}`, () => {
  it('has a link-local address of the kernel’s making once a container is on it', async () => {
    await withTestHost(async (test) => {
      const { driver, host, osl } = await bridgeOn(test);
      const front = network({ options: { [labels.bridge.name]: 'br-front' } });
      await driver.createNetwork(front);
      const place = { network: front, endpoint: endpoint(front, 2) };
      await join({ driver, osl }, place, test.path('web'));
      const linkLocal = async () =>
        (await host.addresses('br-front')).filter(({ address }) => address.startsWith('fe80::')).length;
      await expect.poll(linkLocal, { timeout: 10_000 }).toBe(1);
    });
  });
});
