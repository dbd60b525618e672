import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import type { Firewall, FirewallChange, Intent } from '../../osl/firewall/firewall.ts';
import type { Namespace } from '../../osl/osl.ts';
import { bridged, type Ground, type Net, nets, type OslSuite, promisesOf, refusal } from './ground.ts';

const TABLE = 'libnetwork-services';
const PORT = 80;
const PROBE_MS = 300;
const PATIENT_MS = 5000;

/** A service's address in a namespace: who is reached by it, and what becomes of connections when that changes. */
export function servicePromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe.each(nets)('a service over $family', (net) => {
    const vip = net.at(200);

    it(`${net.family} connections and pings to its address reach its backends, all of them`, async (ground) => {
      const { client, firewall } = await lay(net, ground);
      expect(await client.ping(vip, { timeoutMs: PROBE_MS })).toBeUndefined();
      await firewall.apply(backends(net, vip, [3, 4, 5]));
      expect(await reached(client, vip, 60)).toEqual(['3', '4', '5']);
      expect(await client.ping(vip, { timeoutMs: PATIENT_MS })).toBeGreaterThanOrEqual(0);
    });

    it(`${net.family} connections keep their backend when others come and it goes`, async (ground) => {
      const { client, firewall } = await lay(net, ground);
      // With the last translation of a namespace the kernel ends translating, also for connections that are there.
      await firewall.apply([...backends(net, net.at(201), [4]), ...backends(net, vip, [3])]);
      const stream = await client.connectTcp(vip, PORT, { timeoutMs: PATIENT_MS });
      await firewall.apply(backends(net, vip, [4, 5]));
      expect(await reached(client, vip, 40)).toEqual(['4', '5']);
      await firewall.apply(removal(vip, 2));
      expect(await refusal(client.connectTcp(vip, PORT, { timeoutMs: PROBE_MS }))).toMatchObject({
        code: expect.stringMatching(/^(UNAVAILABLE|TIMEOUT)$/),
      });
      stream.end('still there?');
      expect(await text(stream)).toBe('3');
    });

    it(`${net.family} backends reach their own service, and themselves by it`, async (ground) => {
      const { others } = await lay(net, ground);
      const [backend] = others;
      if (!backend) throw new TypeError('no backend was made');
      const own = await backend.firewall({ engine: 'nftables', table: TABLE });
      await own.apply(backends(net, vip, [3]));
      expect(await reached(backend, vip, 3)).toEqual(['3']);
      await own.apply(backends(net, vip, [3, 4]));
      expect(await reached(backend, vip, 40)).toEqual(['3', '4']);
    });
  });
}

/** A client, and three others (numbers 3 to 5) that answer with their number what they were sent to its end. */
async function lay(
  net: Net,
  ground: Ground,
): Promise<{ client: Namespace; others: Namespace[]; firewall: Firewall }> {
  const [client, ...others] = await bridged(net, ground, ['client', 'one', 'two', 'three']);
  if (client === undefined) throw new TypeError('no namespace was made');
  for (const [index, other] of others.entries())
    await other.listenTcp(net.any, PORT, (stream) => {
      stream.on('end', () => void stream.end(String(index + 3)));
      stream.resume();
    });
  return { client, others, firewall: await client.firewall({ engine: 'nftables', table: TABLE }) };
}

function backends(net: Net, vip: string, numbers: readonly number[]): FirewallChange[] {
  const all: Intent[] = [
    { kind: 'service', id: vip, address: vip, backends: numbers.length },
    ...numbers.map((number, slot): Intent => {
      return { kind: 'backend', id: `${vip} ${slot}`, service: vip, slot, address: net.at(number) };
    }),
  ];
  return all.map((set) => ({ set }));
}

function removal(vip: string, slots: number): FirewallChange[] {
  const ids = Array.from({ length: slots }, (_, slot) => `${vip} ${slot}`);
  return [
    { remove: { kind: 'service', id: vip } },
    ...ids.map((id) => ({ remove: { kind: 'backend', id } as const })),
  ];
}

/** Who answered this many connections, each once. */
async function reached(from: Namespace, vip: string, times: number): Promise<string[]> {
  const seen = new Set<string>();
  for (let i = 0; i < times; i++) {
    const stream = await from.connectTcp(vip, PORT, { timeoutMs: PATIENT_MS });
    stream.end('who are you?');
    seen.add(await text(stream));
  }
  return [...seen].sort();
}
