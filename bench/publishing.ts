/** What it costs the firewall to publish ports, by how many are published already. */
import { join } from 'node:path';
import type { EndpointIntent, Firewall, FirewallChange, NetworkIntent } from 'libnetwork/osl';
import { type Ground, timed } from './ground.ts';
import { type Row, row } from './row.ts';

const EXISTING = [0, 100, 1_000, 10_000];
const SAMPLES = 40;
const AT_ONCE = 10_000;
export const FIRST_PORT = 20_000;
export const TABLE = 'libnetwork-bench';

export const NETWORK: NetworkIntent = {
  kind: 'network',
  id: 'bench',
  bridge: 'br0',
  ipv4: { subnet: '10.8.0.0/16', mode: 'nat', masquerade: true },
  ipv6: undefined,
  internal: false,
  icc: true,
};

/** One container with one published port; the number is in its address, and in the port. */
function container(number: number): EndpointIntent {
  const address = `10.8.${(number >> 8) + 1}.${number & 255}`;
  const hostPort = FIRST_PORT + number;
  const port = { protocol: 'udp', hostAddress: '0.0.0.0', hostPort, address, port: 7000 } as const;
  return { kind: 'endpoint', id: `e${number}`, network: NETWORK.id, bridge: NETWORK.bridge, ports: [port] };
}

function containers(from: number, to: number): FirewallChange[] {
  return Array.from({ length: to - from }, (_, i) => ({ set: container(from + i) }));
}

/** Each count of ports has a namespace and a table of its own, and the samples go around: what disturbs one, disturbs all. */
export async function publishingBench(ground: Ground): Promise<readonly Row[]> {
  const tables: { readonly count: number; readonly firewall: Firewall; readonly samples: number[] }[] = [];
  for (const count of EXISTING) {
    const firewall = await open(ground, `published-${count}`);
    if (count > 0) await firewall.apply(containers(1, count + 1));
    tables.push({ count, firewall, samples: [] });
  }
  for (let round = -3; round < SAMPLES; round++) {
    for (const { count, firewall, samples } of tables) {
      const one = container(count + 1);
      const [us] = await timed(() => firewall.apply([{ set: one }]));
      if (round >= 0) samples.push(us);
      await firewall.apply([{ remove: one }]);
    }
  }
  const together = await open(ground, 'published-together');
  const [us] = await timed(() => together.apply(containers(1, AT_ONCE + 1)));
  for (const firewall of [...tables.map((each) => each.firewall), together]) await firewall.close();
  const first = tables[0]?.samples ?? [];
  return [
    // Beside a table without ports, not beside C: how many there are must not be felt.
    ...tables.map(({ count, samples }) =>
      row(`port added at ${count}`, 'us', { ours: samples, floor: first }),
    ),
    row(`${AT_ONCE} ports in one transaction`, 's', { ours: [us / 1e6] }),
  ];
}

async function open({ osl, directory }: Ground, name: string): Promise<Firewall> {
  const namespace = await osl.createNamespace(join(directory, name));
  const firewall = await namespace.firewall({ engine: 'nftables', table: TABLE });
  await firewall.apply([{ set: NETWORK }]);
  return firewall;
}

/** Publishes one port of the host, or `count` of them, all of which lead to the same one of a container. */
export function publication(count: number, address: string, port: number): FirewallChange {
  const ports = Array.from({ length: count }, (_, i) => ({
    protocol: 'udp' as const,
    hostAddress: '0.0.0.0',
    hostPort: FIRST_PORT + i,
    address,
    port,
  }));
  return { set: { ...container(1), ports } };
}
