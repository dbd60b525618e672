/** What the way through a plugin costs: the same IPAM in this process, and in another one behind a unix socket. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPlugins, remoteIpam } from 'libnetwork';
import { createIpam, type Ipam } from 'libnetwork/ipam';
import { type Row, row } from './row.ts';

const ROUNDS = 2_000;
const IN_FLIGHT = 1_000;
const CONNECTIONS = 16;

export async function pluginBench(): Promise<readonly Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'libnetwork-bench-plugin-'));
  const program = fileURLToPath(new URL('./pluginserver.js', import.meta.url));
  const server = spawn(process.execPath, [program, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  const plugins = openPlugins({
    socketDirectories: [directory],
    specDirectories: [],
    maxConnections: CONNECTIONS,
  });
  try {
    await once(server.stdout, 'data');
    const remote = remoteIpam('bench', { plugins });
    await remote.ready();
    return await measure(createIpam(), remote, server.pid ?? 0);
  } finally {
    plugins.close();
    server.stdin.end();
    await once(server, 'exit');
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(local: Ipam, remote: Ipam, serverPid: number): Promise<readonly Row[]> {
  const [here, there] = [await calls(local), await calls(remote)];
  // What is compiled on the way is not what a call costs.
  for (let i = 0; i < ROUNDS; i++) {
    await here(i);
    await there(i);
  }
  const times = { here: [] as number[], there: [] as number[], over: [] as number[] };
  for (let i = 0; i < ROUNDS; i++) {
    // In turns, so that both see the same machine.
    const a = await timed(() => here(i));
    const b = await timed(() => there(i));
    times.here.push(a);
    times.there.push(b);
    times.over.push(b - a);
  }
  const { ms, connections } = await inFlight(there, serverPid);
  return [
    row('plugin: one call over a unix socket, beside in process', 'ms', {
      ours: times.there,
      floor: times.here,
    }),
    row('plugin: what a call costs more than in process', 'ms', { ours: times.over }),
    row(`plugin: ${IN_FLIGHT} calls at once, until the last`, 'ms', { ours: [ms] }),
    row(`plugin: connections for them (at most ${CONNECTIONS})`, 'n', { ours: [connections] }),
  ];
}

/** Takes an address, or gives it back: every second call undoes the one before. */
async function calls(ipam: Ipam): Promise<(i: number) => Promise<unknown>> {
  const { local } = await ipam.defaultAddressSpaces();
  const pool = await ipam.requestPool({ addressSpace: local, family: 'ipv4', subnet: '10.80.0.0/16' });
  const address = (i: number) => `10.80.${(i >> 8) & 127}.${(i & 254) + 1}`;
  return (i) =>
    i % 2 === 0
      ? ipam.requestAddress({ poolId: pool.id, address: address(i) })
      : ipam.releaseAddress(pool.id, address(i - 1));
}

async function inFlight(
  call: (i: number) => Promise<unknown>,
  serverPid: number,
): Promise<{ ms: number; connections: number }> {
  const began = performance.now();
  const all = Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => call(2 * i)));
  const connections = await socketsOf(serverPid);
  await all;
  return { ms: performance.now() - began, connections };
}

/** The open connections of the server: its sockets, without the one it listens at. */
async function socketsOf(pid: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  const directory = `/proc/${pid}/fd`;
  const links = await Promise.all(
    (await readdir(directory)).map((fd) => readlink(join(directory, fd)).catch(() => '')),
  );
  return links.filter((link) => link.startsWith('socket:')).length - STDIO_AND_LISTENER;
}

/** Node's standard input and output are sockets of its parent's making. */
const STDIO_AND_LISTENER = 3;

async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}
