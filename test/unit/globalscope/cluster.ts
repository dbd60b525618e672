/** Several hosts on one fake kernel: each a namespace on a common wire, with a controller and a disk of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, vi } from 'vitest';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import type { MemoryBacking } from '../../../src/datastore/memory-backing.ts';
import {
  type ControllerOptions,
  type Endpoint,
  type Network,
  NetworkController,
  type NetworkOptions,
  type Sandbox,
} from '../../../src/index.ts';
import { FakeKernel, fakeOsl } from '../../../src/osl/fake/index.ts';
import { onHost } from '../../../src/osl/onhost.ts';
import type { Osl } from '../../../src/osl/osl.ts';
import { type Cuttable, cuttable } from './cuttable.ts';

const SWITCH = '/run/hosts/switch';

export class Host {
  readonly name: string;
  readonly address: string;
  readonly osl: Osl;
  readonly disk: MemoryBacking = memoryBacking();
  readonly complaints: string[] = [];
  readonly #cluster: Cluster;
  global: Cuttable;
  controller: NetworkController;

  constructor(cluster: Cluster, name: string, address: string, osl: Osl) {
    this.#cluster = cluster;
    this.name = name;
    this.address = address;
    this.osl = osl;
    this.global = cuttable(cluster.globalStore());
    // Set by `start`, which is part of making it.
    this.controller = undefined as unknown as NetworkController;
  }

  /** Starts a process on it. */
  async start(active: readonly string[] = [], more: ControllerOptions = {}): Promise<this> {
    const complain = (message: string, facts?: object): void => {
      this.complaints.push(`${message} ${String((facts as { error?: unknown } | undefined)?.error ?? '')}`);
    };
    const quiet = (): void => undefined;
    this.global = cuttable(this.#cluster.globalStore());
    this.controller = await NetworkController.open({
      osl: this.osl,
      store: memoryStore({ backing: this.disk }),
      globalStore: this.global.store,
      runDir: `${this.#cluster.runDir}/${this.name}`,
      hostResolvConf: this.#cluster.resolvConf,
      cluster: { hostId: this.name, address: this.address, leaseMs: this.#cluster.leaseMs },
      activeSandboxes: active,
      logger: { debug: quiet, info: quiet, warn: complain, error: complain },
      ...more,
    });
    return this;
  }

  /** The host's power fails: nothing that it does arrives any more. */
  kill(): void {
    this.global.kill();
  }

  network(name: string): Network {
    const network = this.controller.network(name);
    if (!network) throw new Error(`host ${this.name} has no network ${name}`);
    return network;
  }

  /** A container on a network. */
  async run(
    network: string,
    name: string,
    more: object = {},
  ): Promise<{ sandbox: Sandbox; endpoint: Endpoint }> {
    const sandbox = await this.controller.createSandbox({ containerId: `${name}-container` });
    const endpoint = await this.network(network).createEndpoint({ name, ...more });
    await endpoint.join(sandbox);
    return { sandbox, endpoint };
  }
}

const clusters: Cluster[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.end();
  vi.unstubAllEnvs();
});

export class Cluster {
  readonly kernel = new FakeKernel();
  readonly backing = memoryBacking();
  readonly runDir = mkdtempSync(join(tmpdir(), 'libnetwork-cluster-'));
  readonly resolvConf = join(this.runDir, 'resolv.conf');
  readonly hosts: Host[] = [];
  readonly leaseMs: number;

  constructor(leaseMs = 60_000) {
    vi.stubEnv('LIBNETWORK_CHECK_LOCKS', '1');
    this.leaseMs = leaseMs;
    writeFileSync(this.resolvConf, 'nameserver 192.0.2.53\n');
    clusters.push(this);
  }

  globalStore() {
    return memoryStore({ backing: this.backing, scope: 'global' });
  }

  async keys(): Promise<string[]> {
    const store = this.globalStore();
    const entries = await store.list('');
    await store.close();
    return entries.map(({ key }) => key).filter((key) => !key.includes('/ipam/') && !key.includes('/idm/'));
  }

  /** A host whose name is `h1`, `h2`, … */
  async host(): Promise<Host> {
    const n = this.hosts.length + 1;
    const name = `h${n}`;
    const osl = await this.#machine(name, n);
    const host = new Host(this, name, `192.0.2.${n}`, osl);
    this.hosts.push(host);
    return host.start();
  }

  async some(count: number): Promise<Host[]> {
    const made: Host[] = [];
    for (let i = 0; i < count; i++) made.push(await this.host());
    return made;
  }

  reaches(from: Sandbox, to: string): boolean {
    return this.kernel.reaches(from.namespacePath, to.split('/')[0] ?? '', { protocol: 'icmp' }).reaches;
  }

  async end(): Promise<void> {
    for (const { controller, global } of this.hosts) {
      global.kill();
      await controller.close().catch(() => undefined);
    }
    rmSync(this.runDir, { recursive: true, force: true });
  }

  async #machine(name: string, n: number): Promise<Osl> {
    const kernel = fakeOsl({ kernel: this.kernel });
    const wire = await kernel.createNamespace(SWITCH);
    if ((await wire.link('br0')) === undefined)
      await wire.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true }]);
    const host = await kernel.createNamespace(`/run/hosts/${name}`);
    const peer = { name: 'eth0', namespace: host };
    await wire.apply([
      { op: 'createLink', name: `p${n}`, link: { kind: 'veth', peer }, master: 'br0', up: true },
    ]);
    await host.apply([
      { op: 'addAddress', link: 'eth0', address: `192.0.2.${n}/24` },
      { op: 'setLink', name: 'eth0', up: true },
    ]);
    return onHost(kernel, host);
  }
}

export const overlay = (name: string, more: Partial<NetworkOptions> = {}): NetworkOptions => ({
  name,
  driver: 'overlay',
  ...more,
});

/** Waits until it holds, with a deadline that only a failure reaches. */
export function until(assertion: () => unknown): Promise<void> {
  return vi.waitFor(
    async () => {
      expect(await assertion()).toBeTruthy();
    },
    { timeout: 15_000, interval: 10 },
  );
}
