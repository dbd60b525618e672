/** A host whose store is down as its controller starts, on the real kernel and with a real etcd. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { etcdStore } from '../../src/datastore/index.ts';
import { NetworkController } from '../../src/index.ts';
import type { Namespace } from '../../src/osl/osl.ts';
import { askFromHere } from '../kernel/resolver/setting.ts';
import { eventually } from '../support/daemon.ts';
import { EtcdServer, etcdMissing } from '../support/etcd.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../support/kernel.ts';

const obstacle = canUseKernel ? (etcdMissing ?? '') : whyNot;
/** The store's own deadline: whoever waits for that waits longer than the test. */
const STORE_MS = 120_000;
const DEADLINE_MS = 60_000;
const ADDRESS = '192.0.2.1';
const LOCAL = { name: 'local', ipam: { pools: [{ subnet: '10.9.8.0/24' }] } };
const SHARED = { name: 'front', driver: 'overlay', ipam: { pools: [{ subnet: '10.9.9.0/24' }] } };

/** A host that a neighbour reaches, and its controllers, one after the other. */
class Machine {
  readonly neighbour: Namespace;
  readonly #test: TestHost;
  readonly #endpoints: readonly string[];
  readonly #closings: (() => Promise<void>)[] = [];

  constructor(test: TestHost, neighbour: Namespace, endpoints: readonly string[]) {
    this.#test = test;
    this.neighbour = neighbour;
    this.#endpoints = endpoints;
  }

  async start(activeSandboxes: readonly string[]): Promise<NetworkController> {
    const { osl, directory } = this.#test;
    const globalStore = await etcdStore({ endpoints: this.#endpoints, timeoutMs: STORE_MS });
    this.#closings.push(() => globalStore.close());
    const controller = await NetworkController.open({
      osl,
      globalStore,
      dataDir: `${directory}/data`,
      runDir: `${directory}/run`,
      cluster: { hostId: 'h1', address: ADDRESS, leaseMs: 60_000, startTimeoutMs: 500 },
      activeSandboxes,
    });
    this.#closings.push(() => controller.close());
    return controller;
  }

  inside(controller: NetworkController, containerId: string): Promise<Namespace> {
    return this.#test.osl.openNamespace(controller.sandbox(containerId)?.namespacePath ?? '');
  }

  async end(): Promise<void> {
    for (const close of this.#closings.splice(0).reverse()) await close();
  }
}

async function withMachine(work: (machine: Machine, etcd: EtcdServer) => Promise<void>): Promise<void> {
  const etcd = await EtcdServer.start();
  try {
    await withTestHost(async (test) => {
      const neighbour = await test.create('neighbour');
      const peer = { name: 'eth0', namespace: neighbour };
      await test.host.apply([{ op: 'createLink', name: 'eth0', link: { kind: 'veth', peer } }]);
      for (const [namespace, address] of [
        [test.host, ADDRESS],
        [neighbour, '192.0.2.9'],
      ] as const)
        await namespace.apply([
          { op: 'addAddress', link: 'eth0', address: `${address}/24` },
          { op: 'setLink', name: 'eth0', up: true },
        ]);
      const machine = new Machine(test, neighbour, etcd.endpoints);
      try {
        await work(machine, etcd);
      } finally {
        await machine.end();
      }
    });
  } finally {
    await etcd.stop();
  }
}

/** What a TCP server says to who connects. */
async function heard(from: Namespace, address: string, port: number): Promise<string> {
  const stream = await from.connectTcp(address, port);
  const [text] = (await once(stream, 'data')) as [Buffer];
  stream.destroy();
  return text.toString();
}

describe.skipIf(obstacle !== '')(`a start while etcd is down ${obstacle}`, () => {
  it(
    'serves the containers that live, their names and ports, and makes local networks; the rest follows',
    () =>
      withMachine(async (machine, etcd) => {
        const first = await machine.start([]);
        const local = await first.createNetwork(LOCAL);
        const front = await first.createNetwork(SHARED);
        const web = await first.createSandbox({ containerId: 'web' });
        const db = await first.createSandbox({ containerId: 'db' });
        const ports = [{ container: 80, host: 8080, protocol: 'tcp' }] as const;
        await (await local.createEndpoint({ name: 'web', ports })).join(web);
        await (await local.createEndpoint({ name: 'db' })).join(db);
        for (const sandbox of [web, db])
          await (await front.createEndpoint({ name: `${sandbox.containerId}-front` })).join(sandbox);
        await machine.end();
        await etcd.kill();

        const second = await machine.start(['web', 'db']);
        const webInside = await machine.inside(second, 'web');
        const dbInside = await machine.inside(second, 'db');
        const listener = await webInside.listenTcp('0.0.0.0', 80, (stream) => stream.end('hello'));
        for (const name of ['web', 'web-front']) {
          const { rcode, answers = [] } = await askFromHere(dbInside, name, 'A');
          expect([name, rcode, answers.length]).toEqual([name, 'NOERROR', 1]);
        }
        expect(await heard(machine.neighbour, ADDRESS, 8080)).toBe('hello');
        const more = await second.createNetwork({ ...LOCAL, name: 'more', ipam: {} });
        const sandbox = await second.createSandbox({ containerId: 'more' });
        await (await more.createEndpoint({ name: 'more' })).join(sandbox);
        await sandbox.delete();

        etcd.run(0);
        await eventually(
          async () => expect(await second.hosts()).toMatchObject([{ live: true }]),
          DEADLINE_MS,
        );
        const back = await second.createNetwork({ name: 'back', driver: 'overlay' });
        await (await back.createEndpoint({ name: 'late' })).delete();
        expect(await second.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
        expect(second.network('front')?.endpoint('web-front')).toBeDefined();
        listener.close();
        for (const namespace of [webInside, dbInside]) await namespace.close();
      }),
    DEADLINE_MS * 2,
  );
});
