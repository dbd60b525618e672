/** Asks on whatever kernel whether packets get somewhere, by sending them. */
import { text } from 'node:stream/consumers';
import { LibnetworkError } from '../../../src/errors.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { need } from './build.ts';
import { type Plan, PUBLISHED, SERVER_PORTS, words } from './plan.ts';

export interface Question {
  readonly from: string;
  readonly to: string;
  readonly how: 'ping' | 'udp' | 'tcp';
  readonly port: number;
}

export function questionsOf(plan: Plan): readonly Question[] {
  const { address, host, outside, loopback } = words[plan.family];
  const inside = plan.containers.flatMap(({ on }) => on.map((at) => address(at.network, at.number)));
  const gateways = plan.networks.map(({ number }) => address(number, 1));
  const froms = ['host', 'outside', ...plan.containers.map((container) => container.name)];
  const all: Question[] = [];
  for (const from of froms) {
    for (const to of [...inside, ...gateways, host, outside]) {
      all.push({ from, to, how: 'ping', port: 0 });
      for (const port of SERVER_PORTS) all.push({ from, to, how: port === 80 ? 'udp' : 'tcp', port });
    }
    for (const to of [host, ...gateways, ...(from === 'host' ? [loopback] : [])])
      for (const port of PUBLISHED) all.push({ from, to, how: 'udp', port }, { from, to, how: 'tcp', port });
  }
  return all;
}

export function showQuestion({ from, to, how, port }: Question): string {
  return `${from} ${how} ${to}${how === 'ping' ? '' : ` port ${port}`}`;
}

/** The answer in a few words: who answered and as whom the asker was seen, or how it failed. */
export async function ask(
  places: ReadonlyMap<string, Namespace>,
  { from, to, how, port }: Question,
  timeoutMs: number,
): Promise<string> {
  const namespace = need(places, from);
  if (how === 'ping') return (await namespace.ping(to, { timeoutMs })) === undefined ? 'lost' : 'answered';
  return how === 'udp'
    ? await askUdp(namespace, to, port, timeoutMs)
    : await askTcp(namespace, to, port, timeoutMs);
}

async function askUdp(namespace: Namespace, to: string, port: number, timeoutMs: number): Promise<string> {
  const socket = await namespace.bindUdp(to.includes(':') ? '::' : '0.0.0.0', 0);
  try {
    return await new Promise<string>((resolve) => {
      setTimeout(() => resolve('lost'), timeoutMs);
      socket.onMessage((data, from) =>
        resolve(
          from.address === to && from.port === port
            ? String(data)
            : `answered by ${from.address} ${from.port}`,
        ),
      );
      socket.send(Buffer.from('?'), { address: to, port });
    });
  } finally {
    socket.close();
  }
}

async function askTcp(namespace: Namespace, to: string, port: number, timeoutMs: number): Promise<string> {
  try {
    const stream = await namespace.connectTcp(to, port, { timeoutMs });
    stream.end();
    return await text(stream);
  } catch (error) {
    if (LibnetworkError.is(error)) return error.errno === 'ECONNREFUSED' ? 'refused' : 'lost';
    throw error;
  }
}
