/**
 * The name server of a sandbox: questions per second and their times, from a client inside, beside what it can't
 * beat: a UDP echo of this process for its own names, and the server behind it, asked directly, for the others.
 * Then beside the name servers of other programs, where they are installed.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxOsl } from '../src/osl/linux/index.ts';
import type { Namespace } from '../src/osl/osl.ts';
import { NameTable } from '../src/resolver/names.ts';
import { RESOLVER_ADDRESS, startResolver } from '../src/resolver/resolver.ts';
import { type Load, Programs, rowsOf, type Target } from './dnsclient.ts';
import { dnsPeersBench } from './dnspeers.ts';
import { type Row, row } from './row.ts';

const ROUNDS = 5;
const ENDPOINTS = 10_000;
const LOOK_UPS = 100_000;
const ECHO_ADDRESS = '127.0.0.12';
const SERVER_ADDRESS = '127.0.0.13';

/** Needs root, Linux and a C compiler; without them there are no rows. */
export async function dnsBench(): Promise<readonly Row[]> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return [];
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-bench-dns-${process.pid}-`));
  const osl = linuxOsl();
  const path = join(directory, 'sandbox');
  const clean = async () => {
    await osl.deleteNamespace(path);
    await osl.close();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const programs = Programs.compile(directory);
    if (programs === undefined) return [];
    const rows = await besideFloor(await osl.createNamespace(path), programs);
    return [lookUps(), ...rows, ...(await dnsPeersBench(programs, clean))];
  } finally {
    await clean();
  }
}

async function besideFloor(client: Namespace, programs: Programs): Promise<readonly Row[]> {
  const server = await startServer(client, programs);
  const echo = await client.bindUdp(ECHO_ADDRESS, 53);
  echo.onMessage((message, from) => echo.send(echoed(message), from));
  const resolver = await startResolver({
    namespace: client,
    sandboxId: 'bench',
    names: manyNames(ENDPOINTS),
    upstreams: () => [{ address: SERVER_ADDRESS, from: 'sandbox' }],
    firewallTable: 'libnetwork-bench',
  });
  const known = { client, address: RESOLVER_ADDRESS, name: 'web77.front' };
  const floor = { ...known, address: ECHO_ADDRESS };
  const other = { client, address: RESOLVER_ADDRESS, name: 'other.example', isVaried: true };
  const compare = async (name: string, inFlight: number, count: number, ours: Target, theirs: Target) => {
    // The first run compiles the code paths, and counts for neither.
    for (const target of [ours, theirs]) await programs.load(target, inFlight, count / 5);
    const samples: { ours: Load[]; floor: Load[] } = { ours: [], floor: [] };
    for (let round = 0; round < ROUNDS; round++) {
      samples.ours.push(await programs.load(ours, inFlight, count));
      samples.floor.push(await programs.load(theirs, inFlight, count));
    }
    return rowsOf(name, samples.ours, samples.floor);
  };
  try {
    return [
      ...(await compare('dns known name, 1 in flight', 1, 10_000, known, floor)),
      ...(await compare('dns known name, 32 in flight', 32, 50_000, known, floor)),
      ...(await compare('dns forwarded, 32 in flight', 32, 15_000, other, {
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

async function startServer(client: Namespace, programs: Programs): Promise<ChildProcess> {
  const server = client.spawn(programs.path('dnsserve'), [SERVER_ADDRESS, '53'], {
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

/** What a look-up costs in a large network, beside a small one. */
function lookUps(): Row {
  const tables = { ours: manyNames(ENDPOINTS), floor: manyNames(10) };
  const times = { ours: [] as number[], floor: [] as number[] };
  for (let round = 0; round < ROUNDS; round++)
    for (const which of ['ours', 'floor'] as const) {
      const start = performance.now();
      for (let i = 0; i < LOOK_UPS; i++) tables[which].lookup('bench', `web${i % 10}.front`, 'ipv4');
      times[which].push(((performance.now() - start) * 1000) / LOOK_UPS);
    }
  return row(`dns look-up among ${ENDPOINTS} endpoints, beside among 10`, 'us', times);
}

function manyNames(count: number): NameTable {
  const names = new NameTable();
  names.setSandbox({ id: 'bench', networks: ['front'] });
  for (let i = 0; i < count; i++) {
    const ipv4 = `10.9.${i >> 8}.${i & 255}`;
    names.setEndpoint({ id: `e${i}`, networkId: 'front', networkName: 'front', names: [`web${i}`], ipv4 });
  }
  return names;
}
