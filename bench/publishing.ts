/** What it costs the firewall to publish ports, by how many are published already. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointIntent, Firewall, FirewallChange, NetworkIntent } from 'libnetwork/osl';
import { type Ground, timed } from './ground.ts';
import { type Row, row } from './row.ts';

const EXISTING = [0, 100, 1_000, 10_000];
/** iptables replaces whole tables: the kernel gets time to clear up before each sample, and none is for warming up. */
const PLANS = {
  nftables: { warmUps: 3, samples: 40, restMs: 0 },
  iptables: { warmUps: 0, samples: 3, restMs: 100 },
} as const;
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

type Engine = keyof typeof PLANS;

export async function publishingBench(ground: Ground): Promise<readonly Row[]> {
  const rows = [...(await oneMore(ground, 'nftables')), await allAtOnce(ground)];
  return hasIptables() ? [...rows, ...(await oneMore(ground, 'iptables'))] : rows;
}

/**
 * Each count of ports has a namespace and a table of its own, and the samples go around: what disturbs one disturbs
 * all.
 */
async function oneMore(ground: Ground, engine: Engine): Promise<readonly Row[]> {
  const tables: { readonly count: number; readonly firewall: Firewall; readonly samples: number[] }[] = [];
  for (const count of EXISTING) {
    const firewall = await open(ground, `${engine}-${count}`, engine);
    if (count > 0) await firewall.apply(containers(1, count + 1));
    tables.push({ count, firewall, samples: [] });
  }
  const plan = PLANS[engine];
  for (let round = -plan.warmUps; round < plan.samples; round++) {
    for (const { count, firewall, samples } of tables) {
      const one = container(count + 1);
      if (plan.restMs > 0) await sleep(plan.restMs);
      const [us] = await timed(() => firewall.apply([{ set: one }]));
      if (round >= 0) samples.push(us);
      await firewall.apply([{ remove: one }]);
    }
  }
  for (const { firewall } of tables) await firewall.close();
  const first = tables[0]?.samples ?? [];
  const suffix = engine === 'nftables' ? '' : `, ${engine}`;
  // Beside a table without ports, not beside C: how many there are must not be felt.
  return tables.map(({ count, samples }) =>
    row(`port added at ${count}${suffix}`, 'us', { ours: samples, floor: first }),
  );
}

async function allAtOnce(ground: Ground): Promise<Row> {
  const firewall = await open(ground, 'at-once', 'nftables');
  const [us] = await timed(() => firewall.apply(containers(1, AT_ONCE + 1)));
  await firewall.close();
  return row(`${AT_ONCE} ports in one transaction`, 's', { ours: [us / 1e6] });
}

/** The engine iptables works by a program that not every machine has. */
function hasIptables(): boolean {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories.some((directory) => existsSync(join(directory, 'iptables-restore')));
}

async function open({ osl, directory }: Ground, name: string, engine: Engine): Promise<Firewall> {
  const namespace = await osl.createNamespace(join(directory, name));
  const firewall = await namespace.firewall({ engine, table: TABLE });
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
