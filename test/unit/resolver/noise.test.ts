import packet from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameTable } from '../../../src/resolver/names.ts';
import { startResolver } from '../../../src/resolver/resolver.ts';
import { ask, askTcp, query } from './ask.ts';
import { Net } from './net.ts';

async function withResolver(work: (net: Net, warned: unknown[]) => Promise<void>): Promise<void> {
  const net = new Net();
  const warned: unknown[] = [];
  const names = new NameTable();
  names.setSandbox({ id: 's1', networks: ['n1'] });
  names.setEndpoint({ id: 'e1', networkId: 'n1', networkName: 'front', names: ['web'], ipv4: '10.9.0.5' });
  const resolver = await startResolver({
    namespace: net,
    sandboxId: 's1',
    names,
    upstreams: () => [{ address: '10.0.0.1', from: 'sandbox' }],
    firewallTable: 'libnetwork-test',
    limits: { retryMs: 5, timeoutMs: 10, cacheEntries: 100 },
    logger: { warn: (_message, facts) => warned.push(facts?.error) },
  });
  try {
    await work(net, warned);
  } finally {
    await resolver.close();
  }
}

const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));

/** A message with some of its bytes changed and its end cut off. */
function spoil(message: Buffer, changes: readonly (readonly [number, number])[], cut: number): Buffer {
  const spoilt = Buffer.from(message);
  for (const [at, byte] of changes) spoilt[at % spoilt.length] = byte;
  return spoilt.subarray(0, spoilt.length - (cut % spoilt.length));
}

const changes = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 });
const cuts = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(100));

describe('noise', () => {
  it('of clients leaves the server answering others', async () => {
    const questions = fc.oneof(
      noise,
      fc.tuple(changes, cuts).map(([list, cut]) => spoil(query('web', 'A', { edns: 1232 }), list, cut)),
    );
    await withResolver(async (net, warned) => {
      const client = await net.bindUdp('127.0.0.2', 4000);
      const [ports] = net.intents.flatMap((it) => (it.kind === 'resolver' ? [it] : []));
      await fc.assert(
        fc.asyncProperty(questions, async (message) => {
          client.send(message, { address: '127.0.0.11', port: ports?.udpPort ?? 0 });
          const stream = await net.connectTcp('127.0.0.11', ports?.tcpPort ?? 0);
          stream.resume().on('error', () => stream.destroy());
          stream.end(message);
          expect(await ask(net, 'web')).toMatchObject({ rcode: 'NOERROR', answers: [{ data: '10.9.0.5' }] });
          expect(await askTcp(net, ['web'])).toMatchObject([{ rcode: 'NOERROR' }]);
        }),
        { numRuns: 300 },
      );
      expect(warned.filter((error) => error !== undefined)).toEqual([]);
    });
  });

  it('of other servers reaches no client as anything but a DNS message with its id', async () => {
    await withResolver(async (net, warned) => {
      const server = await net.bindUdp('10.0.0.1', 53);
      let answer: (message: Buffer) => Buffer = (message) => message;
      server.onMessage((message, from) => server.send(answer(message), from));
      let asked = 0;
      const [port = 0] = net.intents.flatMap((it) => (it.kind === 'resolver' ? [it.udpPort] : []));
      await fc.assert(
        fc.asyncProperty(changes, cuts, async (list, cut) => {
          answer = (message) => {
            const { id, questions = [] } = packet.decode(message);
            const [question] = questions;
            const answers = [{ type: 'A', name: question?.name ?? '', ttl: 60, data: '192.0.2.1' }] as const;
            const whole = packet.encode({ type: 'response', id, questions, answers: [...answers] });
            // The id and the question are right, so that it is taken for an answer.
            return spoil(
              whole,
              list.map(([at, byte]) => [at + 30, byte] as const),
              cut,
            );
          };
          asked++;
          const id = asked & 0xffff;
          const client = await net.bindUdp('127.0.0.3', 4000);
          const reply = new Promise<Buffer>((resolve) => client.onMessage(resolve));
          client.send(query(`n${asked}.example`, 'A', { id }), { address: '127.0.0.11', port });
          const bytes = await reply;
          client.close();
          expect(bytes.length).toBeGreaterThanOrEqual(12);
          expect(bytes.readUInt16BE(0)).toBe(id);
          expect(bytes.readUInt16BE(2) & 0x8000).toBe(0x8000);
        }),
        { numRuns: 200 },
      );
      expect(warned.filter((error) => error !== undefined)).toEqual([]);
    });
  });
});
