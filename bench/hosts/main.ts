/**
 * A simulation of many hosts in one process: each a controller of its own on a kernel of its own in memory, all on one
 * store with the delays of a network. `npm run simulate:hosts -- --hosts 1000 --endpoints 10000 --networks 100`.
 * It tells what a join costs the others, and what a host costs; `--json` for one JSON document.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { NetworkController } from 'libnetwork';
import { memoryBacking, memoryStore } from 'libnetwork/datastore';
import { fakeOsl } from 'libnetwork/osl/fake';
import { type Heard, pause, slowStore } from './slowstore.ts';

const number = (fallback: string) => ({ type: 'string', default: fallback }) as const;
const { values } = parseArgs({
  options: {
    hosts: number('100'),
    endpoints: number('1000'),
    networks: number('10'),
    /** Networks that each host takes part in. */
    each: number('2'),
    joins: number('20'),
    json: { type: 'boolean', default: false },
  },
});
const count = {
  hosts: Number(values.hosts),
  endpoints: Number(values.endpoints),
  networks: Number(values.networks),
  each: Number(values.each),
  joins: Number(values.joins),
};

/** Hosts that work at the same time. */
const AT_ONCE = 32;

interface SimulatedHost {
  readonly id: string;
  readonly controller: NetworkController;
  readonly heard: Heard;
  /** The names of its networks. */
  readonly networks: readonly string[];
}

const directory = mkdtempSync(join(tmpdir(), `libnetwork-${process.pid}-simulation-`));
const resolvConf = join(directory, 'resolv.conf');
writeFileSync(resolvConf, 'nameserver 192.0.2.53\n');
const backing = memoryBacking();
const hosts: SimulatedHost[] = [];
try {
  const before = heap();
  await timed('hosts made', makeHosts);
  const idle = heap();
  await timed('endpoints joined', fill);
  const full = heap();
  const joins = await timed('joins measured', measureJoins);
  report({ idleKiB: perHost(idle - before), fullKiB: perHost(full - before), ...joins });
} finally {
  await eachOf(hosts, ({ controller }) => controller.close());
  rmSync(directory, { recursive: true, force: true });
}

/** Tells how it goes on: a large simulation takes minutes. */
async function timed<T>(what: string, act: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await act();
  console.error(`${what} after ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Host by host: networks are dealt out in turn, so that each has as many hosts as any other. */
async function makeHosts(): Promise<void> {
  for (let i = 0; i < count.hosts; i++) {
    const heard: Heard = { events: 0, bytes: 0 };
    const networks = Array.from(
      { length: count.each },
      (_, k) => `n${(i * count.each + k) % count.networks}`,
    );
    const id = `h${i}`;
    const controller = await NetworkController.open({
      osl: fakeOsl(),
      store: memoryStore(),
      globalStore: slowStore(backing, heard),
      runDir: join(directory, id),
      hostResolvConf: resolvConf,
      cluster: { hostId: id, address: `192.0.${2 + (i >> 8)}.${i & 255}`, leaseMs: 600_000 },
    });
    hosts.push({ id, controller, heard, networks });
  }
  const [first] = hosts;
  for (let n = 0; n < count.networks; n++)
    await first?.controller.createNetwork({ name: `n${n}`, driver: 'overlay', internal: true });
  for (const { controller } of hosts) while (controller.networks().length < count.networks) await pause(5);
}

/** Side by side, so that the delays of the store are waited for together. */
async function eachOf<T>(all: readonly T[], act: (each: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const worker = async (): Promise<void> => {
    for (const each of left) await act(each);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Containers with an endpoint on each network of their host. */
async function fill(): Promise<void> {
  const perSandbox = count.each;
  const sandboxes = Math.max(1, Math.round(count.endpoints / count.hosts / perSandbox));
  await eachOf(hosts, async (host) => {
    for (let i = 0; i < sandboxes; i++) await addContainer(host, `c${i}`);
  });
  for (const host of hosts) while (seenBy(host) < expectedOf(host, sandboxes)) await pause(5);
}

async function addContainer(host: SimulatedHost, name: string): Promise<void> {
  const sandbox = await host.controller.createSandbox({ containerId: `${host.id}-${name}` });
  await Promise.all(
    host.networks.map(async (network) => {
      const made = await host.controller.network(network)?.createEndpoint({ name: `${host.id}-${name}` });
      await made?.join(sandbox);
    }),
  );
}

function seenBy({ controller, networks }: SimulatedHost): number {
  return networks.reduce((sum, name) => sum + (controller.network(name)?.endpoints().length ?? 0), 0);
}

function expectedOf({ networks }: SimulatedHost, sandboxes: number): number {
  return networks.reduce((sum, name) => sum + membersOf(name).length * sandboxes, 0);
}

function membersOf(network: string): SimulatedHost[] {
  return hosts.filter(({ networks }) => networks.includes(network));
}

interface Joins {
  /** From the call of `join` until every host that takes part knows. */
  readonly convergenceMs: number;
  readonly eventsPerMember: number;
  readonly bytesPerMember: number;
  readonly eventsPerOther: number;
}

async function measureJoins(): Promise<Joins> {
  const times: number[] = [];
  let [events, bytes, members, others, elsewhere] = [0, 0, 0, 0, 0];
  for (let i = 0; i < count.joins; i++) {
    const host = hosts[(i * 37) % hosts.length];
    const name = host?.networks[0];
    if (!host || name === undefined) throw new Error('there is a host');
    const sandbox = await host.controller.createSandbox({ containerId: `late-${i}` });
    for (const each of hosts) Object.assign(each.heard, { events: 0, bytes: 0 });
    const made = await host.controller.network(name)?.createEndpoint({ name: `late-${i}` });
    const start = performance.now();
    await made?.join(sandbox);
    const fellows = membersOf(name).filter((each) => each !== host);
    // Two events: it was made, and it joined. The second tells all.
    for (const fellow of fellows) while (fellow.heard.events < 2) await pause(0);
    times.push(performance.now() - start);
    await pause(20);
    for (const each of hosts) {
      if (each === host) continue;
      const isFellow = fellows.includes(each);
      events += isFellow ? each.heard.events : 0;
      bytes += isFellow ? each.heard.bytes : 0;
      members += isFellow ? 1 : 0;
      others += isFellow ? 0 : each.heard.events;
      elsewhere += isFellow ? 0 : 1;
    }
  }
  times.sort((a, b) => a - b);
  return {
    convergenceMs: times[times.length >> 1] ?? 0,
    eventsPerMember: events / Math.max(1, members),
    bytesPerMember: bytes / Math.max(1, members),
    eventsPerOther: others / Math.max(1, elsewhere),
  };
}

function heap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}

function perHost(bytes: number): number {
  return bytes / count.hosts / 1024;
}

function report(found: Joins & { readonly idleKiB: number; readonly fullKiB: number }): void {
  if (values.json) {
    console.log(JSON.stringify({ ...count, ...found }));
    return;
  }
  const { hosts: h, endpoints, networks, each } = count;
  console.log(`${h} hosts, ${endpoints} endpoints, ${networks} networks, each host on ${each}`);
  console.log(`  join to all that take part:      ${found.convergenceMs.toFixed(1)} ms`);
  console.log(
    `  a new endpoint, to a host there:  ${found.eventsPerMember.toFixed(2)} events, ${found.bytesPerMember.toFixed(0)} bytes`,
  );
  console.log(`  the same, to another host:        ${found.eventsPerOther.toFixed(2)} events`);
  console.log(
    `  memory of a host: idle ${found.idleKiB.toFixed(0)} KiB, with its endpoints and peers ${found.fullKiB.toFixed(0)} KiB`,
  );
}
