/** One host's process: a controller on etcd, told by lines what to do. It lives in the host's network namespace. */
import { fileURLToPath } from 'node:url';
import {
  type ControllerOptions,
  type Endpoint,
  linuxOsl,
  NetworkController,
  type NetworkOptions,
  type RotateOptions,
  type Sandbox,
} from 'libnetwork';
import { etcdStore } from 'libnetwork/datastore';
import type { Change } from 'libnetwork/osl';
import { Caller, serve } from './protocol.ts';

export interface WorkerConfig {
  readonly hostId: string;
  readonly address: string;
  readonly directory: string;
  readonly etcd: string;
  readonly leaseMs: number;
  readonly firewall: NonNullable<ControllerOptions['firewall']>;
  readonly activeSandboxes: readonly string[];
}

interface Container {
  readonly sandbox: Sandbox;
  readonly endpoint: Endpoint | undefined;
  readonly program: Caller | undefined;
}

const config = JSON.parse(process.argv[2] ?? '') as WorkerConfig;
const osl = linuxOsl();
const globalStore = await etcdStore({ endpoints: config.etcd, timeoutMs: 2_000 });
const controller = await NetworkController.open({
  osl,
  globalStore,
  dataDir: `${config.directory}/data`,
  runDir: `${config.directory}/run`,
  cluster: { hostId: config.hostId, address: config.address, leaseMs: config.leaseMs },
  firewall: config.firewall,
  activeSandboxes: config.activeSandboxes,
  defaultAddressPools: [{ base: '172.20.0.0/16', size: 24 }],
});
const containers = new Map<string, Container>();
const lost: string[] = [];
controller.on('endpoint:lost', ({ name }) => lost.push(name));

function containerOf(name: string): Container {
  const known = containers.get(name);
  const sandbox = known?.sandbox ?? controller.sandbox(`container-${name}`);
  if (!sandbox) throw new Error(`there is no container ${name}`);
  return known ?? { sandbox, endpoint: sandbox.endpoints()[0], program: undefined };
}

function networkOf(name: string) {
  const network = controller.network(name);
  if (!network) throw Object.assign(new Error(`there is no network ${name}`), { code: 'NOT_FOUND' });
  return network;
}

function facts(endpoint: Endpoint) {
  const { name, ipv4, ipv6, macAddress, host } = endpoint;
  return { name, ipv4, ipv6, macAddress, host };
}

/** When a container first gets an answer. A neighbour that does not answer is asked for anew at once. */
async function firstAnswer(from: string, to: string): Promise<bigint> {
  const inside = await osl.openNamespace(containerOf(from).sandbox.namespacePath);
  const [link = 'eth0'] = containerOf(from)
    .sandbox.endpoints()
    .map(({ interfaceName }) => interfaceName);
  try {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
      if ((await inside.ping(to, { timeoutMs: 3 })) !== undefined) return process.hrtime.bigint();
      const forget: Change = { op: 'deleteNeighbour', link, address: to, macAddress: '00:00:00:00:00:01' };
      await inside.apply([forget]).catch(() => undefined);
    }
    throw new Error(`no answer from ${to}`);
  } finally {
    await inside.close();
  }
}

async function ping(from: string, to: string): Promise<number | undefined> {
  const inside = await osl.openNamespace(containerOf(from).sandbox.namespacePath);
  try {
    return await inside.ping(to, { timeoutMs: 1000 });
  } finally {
    await inside.close();
  }
}

serve(
  {
    ready: () => true,
    createNetwork: async (options: NetworkOptions) => {
      const { id, ipam, options: chosen } = await controller.createNetwork(options);
      return { id, subnets: ipam.pools.map(({ subnet }) => subnet), options: chosen };
    },
    networks: () => controller.networks().map(({ name }) => name),
    deleteNetwork: ({ name }: { name: string }) => networkOf(name).delete(),
    endpoints: ({ network }: { network: string }) => networkOf(network).endpoints().map(facts),
    run: async ({ network, name, program = true }: { network: string; name: string; program?: boolean }) => {
      const sandbox = await controller.createSandbox({ containerId: `container-${name}` });
      const endpoint = await networkOf(network).createEndpoint({ name });
      await endpoint.join(sandbox);
      const path = fileURLToPath(new URL('./container.js', import.meta.url));
      const args = ['--pdeathsig', 'KILL', process.execPath, path, `hello from ${name}`];
      const child = program
        ? sandbox.spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'inherit'] })
        : undefined;
      const caller = child && new Caller(child);
      containers.set(name, { sandbox, endpoint, program: caller });
      await caller?.call('ready');
      return facts(endpoint);
    },
    create: async ({ network, name }: { network: string; name: string }) =>
      facts(await networkOf(network).createEndpoint({ name })),
    stop: async ({ name }: { name: string }) => {
      await containerOf(name).sandbox.delete();
      containers.delete(name);
    },
    prepare: async ({ network, name }: { network: string; name: string }) => {
      const sandbox = await controller.createSandbox({ containerId: `container-${name}` });
      const endpoint = await networkOf(network).createEndpoint({ name });
      containers.set(name, { sandbox, endpoint, program: undefined });
      return endpoint.ipv4?.split('/')[0];
    },
    join: async ({ name }: { name: string }) => {
      const { sandbox, endpoint } = containerOf(name);
      const begun = process.hrtime.bigint();
      await endpoint?.join(sandbox);
      return String(begun);
    },
    firstAnswer: async ({ from, to }: { from: string; to: string }) => String(await firstAnswer(from, to)),
    namespacePath: ({ name }: { name: string }) => containerOf(name).sandbox.namespacePath,
    addressOf: ({ name }: { name: string }) => containerOf(name).endpoint?.ipv4?.split('/')[0],
    ping: ({ from, to }: { from: string; to: string }) => ping(from, to),
    resolve: ({ from, name, family = 4 }: { from: string; name: string; family?: number }) =>
      containerOf(from).program?.call('resolve', { name, family }),
    fetch: ({ from, address }: { from: string; address: string }) =>
      containerOf(from).program?.call('fetch', { address }),
    interfaces: ({ name }: { name: string }) =>
      containerOf(name)
        .sandbox.endpoints()
        .map(({ interfaceName }) => interfaceName),
    lost: () => lost,
    rotateKeys: (options: RotateOptions) => controller.rotateKeys(options),
    reconcile: () => controller.reconcile({ dryRun: true }),
  },
  async () => {
    await controller.close();
    await globalStore.close();
    await osl.close();
  },
);
