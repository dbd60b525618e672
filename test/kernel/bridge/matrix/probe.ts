/** Tries every pair: on the real kernel with packets, in memory by asking it. */
import { LibnetworkError } from '../../../../src/errors.ts';
import type { FakeKernel } from '../../../../src/osl/fake/index.ts';
import type { Namespace } from '../../../../src/osl/osl.ts';
import { ROWS, type Target } from './places.ts';
import type { Cell, Matrix } from './table.ts';

export type ProbeProtocol = 'tcp' | 'udp' | 'icmp';

/** A first try must not wait long, as most pairs never answer; what should have answered gets a second chance. */
const PATIENCE_MS = 800;
const MORE_PATIENCE_MS = 4_000;

/**
 * Sends packets for every pair at once. Where nothing came back and `expected` says that something should, it is
 * tried again with more time: a busy machine is slow, but never answers what it should not.
 */
export async function probe(
  namespaces: ReadonlyMap<string, Namespace>,
  protocol: ProbeProtocol,
  targets: readonly Target[],
  expected: (row: string, target: number) => boolean,
): Promise<Matrix> {
  const rows = ROWS.map(async (row): Promise<[string, Cell[]]> => {
    const from = namespaces.get(row);
    if (from === undefined) throw new Error(`there is no ${row}`);
    const cells = targets.map(async (target, i) => {
      const first = await tryOne(from, protocol, target, PATIENCE_MS);
      return first === 'none' && expected(row, i) ? tryOne(from, protocol, target, MORE_PATIENCE_MS) : first;
    });
    return [row, await Promise.all(cells)];
  });
  return new Map(await Promise.all(rows));
}

async function tryOne(
  from: Namespace,
  protocol: ProbeProtocol,
  target: Target,
  timeoutMs: number,
): Promise<Cell> {
  if (protocol === 'tcp') return tryTcp(from, target, timeoutMs);
  if (protocol === 'udp') return tryUdp(from, target, timeoutMs);
  return (await from.ping(target.address, { timeoutMs })) === undefined ? 'none' : 'reach';
}

async function tryTcp(from: Namespace, { address, port, who }: Target, timeoutMs: number): Promise<Cell> {
  try {
    const stream = await from.connectTcp(address, port, { timeoutMs });
    let said = '';
    for await (const chunk of stream) said += String(chunk);
    return answered(who, said);
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    return error.errno === 'ECONNREFUSED' ? 'refused' : 'none';
  }
}

/** A refusal by ICMP is not seen by an unconnected socket: it is silence. */
async function tryUdp(from: Namespace, { address, port, who }: Target, timeoutMs: number): Promise<Cell> {
  const socket = await from.bindUdp(address.includes(':') ? '::' : '0.0.0.0', 0);
  try {
    return await new Promise<Cell>((resolve) => {
      const timer = setTimeout(() => resolve('none'), timeoutMs);
      socket.onMessage((data) => {
        clearTimeout(timer);
        resolve(answered(who, String(data)));
      });
      socket.send(Buffer.from('who?'), { address, port });
    });
  } finally {
    socket.close();
  }
}

/** Where a question to the kernel in memory tells less than packets do, and why. */
export const DIVERGENCES = [
  {
    row: 'host',
    label: 'loopback:8080',
    address: '::1',
    predicted: 'reach host',
    cell: 'reach',
    why: 'the question ends at the socket of the proxy, which hands on to the container what it gets',
  },
] as const;

/** What the kernel in memory says of every pair. */
export function predict(
  kernel: FakeKernel,
  path: (row: string) => string,
  protocol: ProbeProtocol,
  targets: readonly Target[],
): Matrix {
  const predictOne = (row: string, { address, port, who }: Target): Cell => {
    const from = row === 'host' ? 'host' : path(row);
    const answer = kernel.reaches(from, address, protocol === 'icmp' ? { protocol } : { protocol, port });
    if (answer.reaches) {
      const name =
        ROWS.find((each) => (each === 'host' ? 'host' : path(each)) === answer.namespacePath) ?? '?';
      return protocol === 'icmp' ? 'reach' : answered(who, name);
    }
    return protocol === 'tcp' && answer.why.startsWith('nothing listens') ? 'refused' : 'none';
  };
  const known = (row: string, target: Target, cell: Cell): Cell =>
    DIVERGENCES.find(
      (each) =>
        each.row === row &&
        each.label === target.label &&
        each.address === target.address &&
        each.predicted === cell,
    )?.cell ?? cell;
  return new Map(
    ROWS.map((row) => [row, targets.map((target) => known(row, target, predictOne(row, target)))]),
  );
}

function answered(who: string, name: string): Cell {
  return name === who ? 'reach' : `reach ${name}`;
}
