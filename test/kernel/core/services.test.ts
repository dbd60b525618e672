/** Services with real packets: on one host's bridge, and over two hosts' overlay. */
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import {
  type Endpoint,
  type EndpointOptions,
  type Network,
  NetworkController,
  type Sandbox,
} from '../../../src/index.ts';
import type { Namespace, Osl, UdpSocket } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

const PORT = 80;
const CONNECTIONS = 300;
/** Of 300 draws among three, fewer than this for one would be seven standard deviations away. */
const FEWEST = 45;
const plain = (cidr: string | undefined): string => cidr?.split('/')[0] ?? '';
const familiesOf = (endpoint: Endpoint): string[] => [
  plain(endpoint.service?.ipv4),
  plain(endpoint.service?.ipv6),
];

interface Running {
  readonly sandbox: Sandbox;
  readonly endpoint: Endpoint;
  readonly namespace: Namespace;
}

/** A container on a network whose servers, by TCP and UDP, say its name. */
async function run(
  osl: Osl,
  controller: NetworkController,
  network: Network,
  name: string,
  service?: EndpointOptions['service'],
): Promise<Running> {
  const sandbox = await controller.createSandbox({ containerId: name });
  const endpoint = await network.createEndpoint({ name, service });
  await endpoint.join(sandbox);
  const namespace = await osl.openNamespace(sandbox.namespacePath);
  for (const any of ['0.0.0.0', '::']) {
    await namespace.listenTcp(any, PORT, (stream) => {
      stream.write(`${name}\n`);
      stream.on('data', (data: Buffer) => stream.write(`${name} ${data}`));
      stream.on('end', () => stream.end());
    });
    const socket = await namespace.bindUdp(any, PORT);
    socket.onMessage((_, from) => socket.send(Buffer.from(name), from));
  }
  return { sandbox, endpoint, namespace };
}

/** How often each backend answered that many new connections. */
async function answered(from: Namespace, address: string, times: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const stream = await from.connectTcp(address, PORT, { timeoutMs: 5000 });
    // A backend that dies meanwhile says nothing any more.
    const patience = setTimeout(() => stream.destroy(new Error('no answer')), 3000);
    stream.end();
    const name = (await text(stream).finally(() => clearTimeout(patience))).trim();
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The next words of a connection that stays. */
function next(stream: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    stream.once('data', (data: Buffer) => resolve(data.toString().trim()));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('the connection has ended')));
  });
}

/** Who answers a datagram of a socket. */
function asked(socket: UdpSocket, address: string): Promise<string> {
  return new Promise((resolve) => {
    socket.onMessage((data) => resolve(data.toString()));
    socket.send(Buffer.from('?'), { address, port: PORT });
  });
}

async function withController(
  work: (it: TestHost & { open: (active?: 'all') => Promise<NetworkController> }) => Promise<void>,
): Promise<void> {
  await withTestHost(async (test) => {
    await test.host.setSysctl('net/ipv6/conf/default/accept_dad', '0');
    const opened: NetworkController[] = [];
    const open = async (activeSandboxes?: 'all'): Promise<NetworkController> => {
      const { osl, directory } = test;
      const options = { osl, dataDir: `${directory}/data`, runDir: `${directory}/run`, activeSandboxes };
      const controller = await NetworkController.open(options);
      opened.push(controller);
      return controller;
    };
    try {
      await work({ ...test, open });
    } finally {
      for (const controller of opened) await controller.close();
    }
  });
}

const front = {
  name: 'front',
  ipv6: true,
  ipam: { pools: [{ subnet: '10.9.7.0/24' }, { subnet: 'fd00:97::/64' }] },
};

describe.skipIf(!canUseKernel)(`a service with real packets ${whyNot}`, { timeout: 60_000 }, () => {
  it('spreads new connections over its backends, in both families, by TCP and UDP; pings are answered', () =>
    withController(async ({ osl, open }) => {
      const controller = await open();
      const network = await controller.createNetwork(front);
      const client = await run(osl, controller, network, 'client');
      const web = { name: 'web' };
      const backends = [];
      for (const name of ['w1', 'w2', 'w3']) backends.push(await run(osl, controller, network, name, web));
      for (const address of familiesOf((backends[0] as Running).endpoint)) {
        const counts = await answered(client.namespace, address, CONNECTIONS);
        expect(Object.keys(counts).sort()).toEqual(['w1', 'w2', 'w3']);
        expect(Math.min(...Object.values(counts))).toBeGreaterThanOrEqual(FEWEST);
        expect(await client.namespace.ping(address)).toEqual(expect.any(Number));
        const seen = new Set<string>();
        for (let i = 0; i < 40; i++) {
          const socket = await client.namespace.bindUdp(address.includes(':') ? '::' : '0.0.0.0', 0);
          seen.add(await asked(socket, address));
          socket.close();
        }
        expect([...seen].sort()).toEqual(['w1', 'w2', 'w3']);
        // A backend is a client like any other, and may be led to itself.
        for (const { namespace } of backends)
          expect(Object.keys(await answered(namespace, address, 60)).sort()).toEqual(['w1', 'w2', 'w3']);
      }
    }));

  it('lets connections go on while their backend is drained, others come and the controller is replaced', () =>
    withController(async ({ osl, open }) => {
      const controller = await open();
      const network = await controller.createNetwork(front);
      const client = await run(osl, controller, network, 'client');
      const old = await run(osl, controller, network, 'old', { name: 'web' });
      const [address = '', sixth = ''] = familiesOf(old.endpoint);
      const streams: Duplex[] = [];
      for (const each of [address, sixth]) {
        const stream = await client.namespace.connectTcp(each, PORT, { timeoutMs: 5000 });
        expect(await next(stream)).toBe('old');
        streams.push(stream);
      }
      const socket = await client.namespace.bindUdp('0.0.0.0', 0);
      expect(await asked(socket, address)).toBe('old');
      const goesOn = async (said: string): Promise<void> => {
        for (const stream of streams) {
          const answer = next(stream);
          stream.write(said);
          expect(await answer).toBe(`old ${said}`);
        }
        expect(await asked(socket, address)).toBe('old');
      };

      // With it goes the last rule that leads anywhere.
      await old.endpoint.update({ service: { enabled: false } });
      await goesOn('the only one is drained');
      await old.endpoint.update({ service: { enabled: true } });
      await run(osl, controller, network, 'new', { name: 'web' });
      await goesOn('others came');
      await old.endpoint.update({ service: { enabled: false } });
      for (const each of [address, sixth])
        expect(await answered(client.namespace, each, 60)).toEqual({ new: 60 });
      await goesOn('drained');

      await controller.close();
      const again = await open('all');
      await goesOn('replaced');
      expect(await answered(client.namespace, address, 30)).toEqual({ new: 30 });
      expect(await again.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });

      await again.sandbox('old')?.delete();
      for (const stream of streams) stream.destroy();
      // What has no connection of its own goes to who is left.
      await vi.waitFor(async () => expect(await asked(socket, address)).toBe('new'), { timeout: 5000 });
      await again.sandbox('new')?.delete();
      expect(await client.namespace.ping(address, { timeoutMs: 300 })).toBeUndefined();
      expect(await again.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
    }));

  it('leads to backends on all hosts of an overlay, and no more to those of a host that is gone', () =>
    withTestHost(async (test) => {
      const backing = memoryBacking();
      const stores = [1, 2].map(() => memoryStore({ backing, scope: 'global' }));
      const [one, two] = [await test.create('one'), await test.create('two')];
      const wire = { kind: 'veth', peer: { name: 'eth0', namespace: two } } as const;
      await one.apply([{ op: 'createLink', name: 'eth0', link: wire }]);
      const open = async (host: Namespace, n: number): Promise<NetworkController> => {
        await host.setSysctl('net/ipv6/conf/default/accept_dad', '0');
        await host.apply([
          { op: 'addAddress', link: 'eth0', address: `192.0.2.${n}/24` },
          { op: 'setLink', name: 'eth0', up: true },
        ]);
        return NetworkController.open({
          osl: { ...test.osl, host },
          runDir: `${test.directory}/run-${n}`,
          globalStore: stores[n - 1],
          cluster: { hostId: `h${n}`, address: `192.0.2.${n}`, leaseMs: 2000 },
        });
      };
      const [first, second] = [await open(one, 1), await open(two, 2)];
      try {
        const network = await first.createNetwork({ ...front, driver: 'overlay' });
        const there = await vi.waitFor(() => second.network('front') ?? expect.fail('not seen yet'));
        const client = await run(test.osl, first, network, 'client');
        const near = await run(test.osl, first, network, 'near', { name: 'web' });
        const far = await run(test.osl, second, there, 'far', { name: 'web' });
        expect(far.endpoint.service).toEqual(near.endpoint.service);
        for (const address of familiesOf(near.endpoint)) {
          const both = () => answered(client.namespace, address, 40).then((it) => Object.keys(it).sort());
          await vi.waitFor(async () => expect(await both()).toEqual(['far', 'near']), { timeout: 10_000 });
          // From the other host, too.
          const back = () => answered(far.namespace, address, 40).then((it) => Object.keys(it).sort());
          await vi.waitFor(async () => expect(await back()).toEqual(['far', 'near']), { timeout: 10_000 });
          expect(await client.namespace.ping(address)).toEqual(expect.any(Number));
        }
        await far.endpoint.update({ service: { enabled: false } });
        const [address = ''] = familiesOf(near.endpoint);
        await vi.waitFor(async () =>
          expect(await answered(client.namespace, address, 40)).toEqual({ near: 40 }),
        );
        await far.endpoint.update({ service: { enabled: true } });
        await vi.waitFor(async () =>
          expect(Object.keys(await answered(client.namespace, address, 40))).toHaveLength(2),
        );
        await second.close();
        // With it the lease is not renewed any more.
        await stores[1]?.close();
        await vi.waitFor(() => expect(network.endpoints()).toHaveLength(2), { timeout: 15_000 });
        await vi.waitFor(
          async () => expect(await answered(client.namespace, address, 40)).toEqual({ near: 40 }),
          {
            timeout: 15_000,
          },
        );
      } finally {
        await first.close();
        await second.close();
      }
    }));
});
