/** The daemon: what HTTP adds to a call, requests a second, a crowd of clients, memory, and the command line's answer. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LibnetworkError, NetworkController } from 'libnetwork';
import { Client, connectTo } from 'libnetwork/client';
import { fakeOsl } from 'libnetwork/osl/fake';
import { type Row, row } from './row.ts';

const program = fileURLToPath(new URL('../../dist/cmd/dnet.js', import.meta.url));
const ROUNDS = 200;
const WARM = 3_000;
const READ_MS = 5_000;
const READERS = 16;
const CROWD = 200;
const CROWD_MS = Number(process.env.BENCH_CROWD_MS ?? 60_000);

export async function apiBench(): Promise<readonly Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'libnetwork-bench-api-'));
  const socket = join(directory, 'dnet.sock');
  const config = join(directory, 'dnet.json');
  // Room for a crowd: /29 out of a /8.
  await writeFile(config, JSON.stringify({ defaultAddressPools: [{ base: '10.0.0.0/8', size: 29 }] }));
  const daemon = spawn(
    process.execPath,
    [
      program,
      'daemon',
      '--fake',
      '--config',
      config,
      '--host',
      `unix://${socket}`,
      '--data-dir',
      join(directory, 'data'),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DNET_RUN_DIR: join(directory, 'run') } },
  );
  try {
    await ready(daemon);
    const idle = await memoryOf(daemon);
    const client = new Client(connectTo(`unix://${socket}`));
    const rows = [
      row('daemon: idle memory', 'MiB', { ours: [idle] }),
      ...(await overhead(client, join(directory, 'beside'))),
      ...(await reads(socket, daemon)),
      ...(await crowd(client, daemon)),
      await commandLine(`unix://${socket}`),
    ];
    await client.close();
    return rows;
  } finally {
    daemon.kill('SIGTERM');
    if (daemon.exitCode === null) await once(daemon, 'exit');
    await rm(directory, { recursive: true, force: true });
  }
}

async function ready({ stderr }: ChildProcess): Promise<void> {
  let log = '';
  for await (const chunk of stderr ?? []) {
    log += String(chunk);
    if (log.includes('"ready"')) break;
  }
  stderr?.resume();
}

async function memoryOf({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** User and system time, in milliseconds; the kernel counts in hundredths of a second. */
async function processorMs({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function timed<T>(samples: number[], act: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await act();
  samples.push(performance.now() - start);
  return result;
}

/** Over the socket and in this process, each with a store on disk, taking turns. */
async function overhead(client: Client, directory: string): Promise<readonly Row[]> {
  const controller = await NetworkController.open({
    osl: fakeOsl(),
    dataDir: join(directory, 'data'),
    runDir: join(directory, 'run'),
    defaultAddressPools: [{ base: '10.0.0.0/8', size: 29 }],
  });
  const ours: Record<string, number[]> = { create: [], inspect: [], delete: [] };
  const floor: Record<string, number[]> = { create: [], inspect: [], delete: [] };
  const into = (set: Record<string, number[]>, name: string): number[] => set[name] ?? [];
  for (let i = 0; i < ROUNDS; i++) {
    const name = `bench-${i}`;
    await timed(into(ours, 'create'), () => client.createNetwork({ name }));
    const network = await timed(into(floor, 'create'), () => controller.createNetwork({ name }));
    await timed(into(ours, 'inspect'), () => client.network(name));
    await timed(into(floor, 'inspect'), async () => controller.network(name)?.ipam);
    await timed(into(ours, 'delete'), () => client.deleteNetwork(name));
    await timed(into(floor, 'delete'), () => network.delete());
  }
  await controller.close();
  return ['create', 'inspect', 'delete'].map((name) =>
    row(`api: ${name} a network, beside in process`, 'ms', {
      ours: into(ours, name),
      floor: into(floor, name),
    }),
  );
}

async function reads(socketPath: string, daemon: ChildProcess): Promise<readonly Row[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: READERS });
  const read = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const asked = request({ socketPath, path: '/v1.48/networks/bridge', agent }, (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`inspect was answered ${answer.statusCode}`));
        answer.resume();
        answer.once('end', resolve);
      });
      asked.once('error', reject);
      asked.end();
    });
  // Until the hot code is compiled.
  for (let i = 0; i < WARM; i += READERS) await Promise.all(Array.from({ length: READERS }, read));
  const times: number[] = [];
  const [start, used] = [performance.now(), await processorMs(daemon)];
  const reader = async (): Promise<void> => {
    while (performance.now() - start < READ_MS) await timed(times, read);
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  const seconds = (performance.now() - start) / 1000;
  const busy = ((await processorMs(daemon)) - used) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  return [
    row('api: inspect, a second', '1/s', { ours: [times.length / seconds] }),
    row('api: inspect, a second of one core', '1/s', { ours: [times.length / busy] }),
    row('api: inspect, 99th of 100', 'ms', { ours: [times[Math.floor(times.length * 0.99)] ?? 0] }),
  ];
}

/** Each makes and deletes networks with an endpoint, as fast as it can. */
async function crowd(client: Client, daemon: ChildProcess): Promise<readonly Row[]> {
  const start = performance.now();
  const memory: number[] = [];
  const outcome = { done: 0, refused: 0, failed: 0 };
  const one = async (number: number): Promise<void> => {
    for (let i = 0; performance.now() - start < CROWD_MS; i++) {
      const name = `crowd-${number}-${i}`;
      try {
        await client.createNetwork({ name });
        await client.createEndpoint(name, { name: 'e' });
        await client.deleteEndpoint(name, 'e');
        await client.deleteNetwork(name);
        outcome.done++;
      } catch (error) {
        if (LibnetworkError.is(error) && error.code !== 'INTERNAL') outcome.refused++;
        else outcome.failed++;
      }
    }
  };
  const watch = setInterval(async () => memory.push(await memoryOf(daemon)), CROWD_MS / 12);
  await Promise.all(Array.from({ length: CROWD }, (_, number) => one(number)));
  clearInterval(watch);
  const left = (await client.networks()).filter(({ name }) => name.startsWith('crowd-')).length;
  const { missing, orphaned } = await client.reconcile({ dryRun: true });
  return [
    row('api: 200 clients, rounds done', 'n', { ours: [outcome.done] }),
    row('api: 200 clients, typed refusals', 'n', { ours: [outcome.refused] }),
    row('api: 200 clients, other errors', 'n', { ours: [outcome.failed] }),
    row('api: 200 clients, left behind', 'n', { ours: [left + missing.length + orphaned.length] }),
    row('api: 200 clients, memory after 1/4', 'MiB', { ours: memory.slice(2, 4) }),
    row('api: 200 clients, memory at the end', 'MiB', { ours: memory.slice(-2) }),
  ];
}

async function commandLine(host: string): Promise<Row> {
  const times: number[] = [];
  const run = promisify(execFile);
  for (let i = 0; i < 11; i++)
    await timed(times, () => run(process.execPath, [program, '--host', host, 'network', 'ls']));
  return row('dnet network ls, from start to end', 'ms', { ours: times });
}
