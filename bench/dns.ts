/**
 * The name server of a sandbox: questions per second and their times, from a client inside, beside what it can't
 * beat: a UDP echo of this process for its own names, and the server behind it, asked directly, for the others.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { linuxOsl } from '../src/osl/linux/index.ts';
import type { Namespace } from '../src/osl/osl.ts';
import { NameTable } from '../src/resolver/names.ts';
import { RESOLVER_ADDRESS, startResolver } from '../src/resolver/resolver.ts';
import { type Row, row } from './row.ts';

const ROUNDS = 5;
const ENDPOINTS = 10_000;
const ECHO_ADDRESS = '127.0.0.12';
const SERVER_ADDRESS = '127.0.0.13';

/** What the client prints; times in microseconds. */
interface Load {
  readonly seconds: number;
  readonly answered: number;
  readonly lost: number;
  readonly bad: number;
  readonly p50: number;
  readonly p99: number;
}

/** Whom the client asks, for what. */
interface Target {
  readonly address: string;
  readonly name: string;
  /** Each question another name, so that none are shared. */
  readonly isVaried?: boolean;
}

interface Stage {
  readonly sandbox: Namespace;
  /** The path of a compiled program. */
  readonly program: (name: string) => string;
}

/** Needs root, Linux and a C compiler; without them there are no rows. */
export async function dnsBench(): Promise<readonly Row[]> {
  const compiler = ['cc', 'gcc', 'clang'].find(isThere);
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || compiler === undefined) return [];
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-bench-dns-${process.pid}-`));
  const osl = linuxOsl();
  const path = join(directory, 'sandbox');
  const program = (name: string) => join(directory, name);
  try {
    for (const name of ['dnsload', 'dnsserve'])
      execFileSync(compiler, ['-O2', '-o', program(name), sourceOf(`${name}.c`)]);
    return await onStage({ sandbox: await osl.createNamespace(path), program });
  } finally {
    await osl.deleteNamespace(path);
    await osl.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function onStage(stage: Stage): Promise<readonly Row[]> {
  const { sandbox } = stage;
  const server = await startServer(stage);
  const echo = await sandbox.bindUdp(ECHO_ADDRESS, 53);
  echo.onMessage((message, from) => echo.send(echoed(message), from));
  const resolver = await startResolver({
    namespace: sandbox,
    sandboxId: 'bench',
    names: manyNames(),
    upstreams: () => [{ address: SERVER_ADDRESS, from: 'sandbox' }],
    firewallTable: 'libnetwork-bench',
  });
  try {
    const known = { address: RESOLVER_ADDRESS, name: 'web77.front' };
    const floor = { address: ECHO_ADDRESS, name: 'web77.front' };
    const other = { address: RESOLVER_ADDRESS, name: 'other.example', isVaried: true };
    return [
      ...(await compare(stage, 'dns known name, 1 in flight', 1, 10_000, known, floor)),
      ...(await compare(stage, 'dns known name, 32 in flight', 32, 50_000, known, floor)),
      ...(await compare(stage, 'dns forwarded, 32 in flight', 32, 15_000, other, {
        ...other,
        address: SERVER_ADDRESS,
      })),
    ];
  } finally {
    await resolver.close();
    echo.close();
    server.stdin?.end();
    await once(server, 'exit');
  }
}

/** Asks ours and the floor in turns. */
async function compare(
  stage: Stage,
  name: string,
  inFlight: number,
  count: number,
  ours: Target,
  floor: Target,
): Promise<readonly Row[]> {
  // The first run compiles the code paths, and counts for neither.
  for (const target of [ours, floor]) await load(stage, target, inFlight, count / 5);
  const samples: { ours: Load[]; floor: Load[] } = { ours: [], floor: [] };
  for (let round = 0; round < ROUNDS; round++) {
    samples.ours.push(await load(stage, ours, inFlight, count));
    samples.floor.push(await load(stage, floor, inFlight, count));
  }
  const of = (take: (it: Load) => number) => ({
    ours: samples.ours.map(take),
    floor: samples.floor.map(take),
  });
  return [
    row(
      name,
      'questions/s',
      of((it) => it.answered / it.seconds),
    ),
    row(
      `${name}, p50`,
      'us',
      of((it) => it.p50),
    ),
    row(
      `${name}, p99`,
      'us',
      of((it) => it.p99),
    ),
    row(
      `${name}, lost or wrong`,
      'questions',
      of((it) => it.lost + it.bad),
    ),
  ];
}

async function load(
  { sandbox, program }: Stage,
  target: Target,
  inFlight: number,
  count: number,
): Promise<Load> {
  const words = [target.address, 53, count, inFlight, target.name, target.isVaried ? 1 : 0];
  const child = sandbox.spawn(program('dnsload'), words.map(String), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('the client has no output');
  return JSON.parse(await text(child.stdout));
}

async function startServer({ sandbox, program }: Stage): Promise<ChildProcess> {
  const server = sandbox.spawn(program('dnsserve'), [SERVER_ADDRESS, '53'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (server.stdout !== null) await once(server.stdout, 'data');
  return server;
}

/** As long as the answer that ours gives: the question and one record of 16 bytes. */
function echoed(message: Buffer): Buffer {
  const reply = Buffer.alloc(message.length + 16);
  message.copy(reply);
  reply[2] = (reply[2] ?? 0) | 0x80;
  reply[7] = 1;
  return reply;
}

function manyNames(): NameTable {
  const names = new NameTable();
  names.setSandbox({ id: 'bench', networks: ['front'] });
  for (let i = 0; i < ENDPOINTS; i++) {
    const ipv4 = `10.9.${i >> 8}.${i & 255}`;
    names.setEndpoint({ id: `e${i}`, networkId: 'front', networkName: 'front', names: [`web${i}`], ipv4 });
  }
  return names;
}

/** Where the sources are, seen from the compiled bench as from its source. */
function sourceOf(file: string): string {
  const places = ['./floor/', '../../bench/floor/'].map((place) => new URL(place + file, import.meta.url));
  const place = places.find((url) => existsSync(url));
  if (place === undefined) throw new Error(`bench/floor/${file} is missing`);
  return fileURLToPath(place);
}

function isThere(compiler: string): boolean {
  try {
    execFileSync(compiler, ['--version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
