/** A random machine as data: bridges, containers, a way out, packet filter intents, settings. */
import type { Intent, NetworkIntent, PublishedPort } from '../../../src/osl/firewall/firewall.ts';
import { Random } from '../differential/random.ts';

export interface Plan {
  readonly family: 'ipv4' | 'ipv6';
  readonly networks: readonly NetworkPlan[];
  readonly containers: readonly ContainerPlan[];
  readonly settings: readonly (readonly [key: string, value: string])[];
  /** The machine outside knows the way to the host's networks. */
  readonly routedOutside: boolean;
  readonly intents: readonly Intent[];
}

export interface NetworkPlan {
  readonly bridge: string;
  readonly number: number;
}

export interface ContainerPlan {
  readonly name: string;
  /** The networks it is on, the first with its default route; each with its number there. */
  readonly on: readonly { readonly network: number; readonly number: number }[];
  readonly hairpin: boolean;
}

export interface Words {
  readonly any: string;
  readonly loopback: string;
  readonly length: number;
  address(network: number, number: number): string;
  subnet(network: number): string;
  readonly host: string;
  readonly outside: string;
}

/** How the two families write what is the same. */
export const words: Readonly<Record<Plan['family'], Words>> = {
  ipv4: {
    any: '0.0.0.0',
    loopback: '127.0.0.1',
    length: 24,
    address: (network, number) => `10.9.${network + 1}.${number}`,
    subnet: (network) => `10.9.${network + 1}.0/24`,
    host: '192.0.2.1',
    outside: '192.0.2.7',
  },
  ipv6: {
    any: '::',
    loopback: '::1',
    length: 64,
    address: (network, number) => `fd00:9:${network + 1}::${number}`,
    subnet: (network) => `fd00:9:${network + 1}::/64`,
    host: '2001:db8::1',
    outside: '2001:db8::7',
  },
};

/** Servers listen here in every container, on the host, and outside. */
export const SERVER_PORTS = [80, 81] as const;
export const PUBLISHED = [8080, 8081, 8082] as const;

export function makePlan(seed: number): Plan {
  const random = new Random(seed);
  const family = random.pick<Plan['family']>(['ipv4', 'ipv6']);
  const networks = Array.from({ length: 1 + random.below(3) }, (_, i) => ({ bridge: `br${i}`, number: i }));
  const containers = Array.from({ length: 2 + random.below(3) }, (_, i) =>
    containerPlan(random, i, networks.length),
  );
  return {
    family,
    networks,
    containers,
    settings: settingsOf(random, family, networks),
    routedOutside: random.chance(0.5),
    intents: random.chance(0.85) ? intentsOf(random, family, networks, containers) : [],
  };
}

function containerPlan(random: Random, index: number, networks: number): ContainerPlan {
  const first = random.below(networks);
  const second = random.below(networks);
  const also = random.chance(0.3) && second !== first ? [{ network: second, number: index + 2 }] : [];
  return {
    name: `c${index}`,
    on: [{ network: first, number: index + 2 }, ...also],
    hairpin: random.chance(0.3),
  };
}

function settingsOf(
  random: Random,
  family: Plan['family'],
  networks: readonly NetworkPlan[],
): readonly (readonly [string, string])[] {
  const tables = family === 'ipv4' ? 'iptables' : 'ip6tables';
  const all: [string, string][] = [
    [`net/${family}/conf/all/forwarding`, random.chance(0.8) ? '1' : '0'],
    [`net/bridge/bridge-nf-call-${tables}`, random.chance(0.6) ? '1' : '0'],
  ];
  if (family === 'ipv6') return all;
  all.push(['net/ipv4/conf/all/rp_filter', random.pick(['0', '0', '1', '2'])]);
  for (const { bridge } of networks) {
    if (random.chance(0.5)) all.push([`net/ipv4/conf/${bridge}/route_localnet`, '1']);
  }
  return all;
}

function intentsOf(
  random: Random,
  family: Plan['family'],
  networks: readonly NetworkPlan[],
  containers: readonly ContainerPlan[],
): readonly Intent[] {
  const own = networks.map(({ bridge, number }): NetworkIntent => {
    const mode = random.pick<'nat' | 'nat-unprotected' | 'routed' | 'isolated'>([
      'nat',
      'nat',
      'nat-unprotected',
      'routed',
      'isolated',
    ]);
    const settings = { subnet: words[family].subnet(number), mode, masquerade: random.chance(0.8) };
    return {
      kind: 'network',
      id: `n${number}`,
      bridge,
      ipv4: family === 'ipv4' ? settings : undefined,
      ipv6: family === 'ipv6' ? settings : undefined,
      internal: random.chance(0.2),
      icc: random.chance(0.7),
    };
  });
  const published = containers.flatMap((container, i): readonly Intent[] => {
    const home = container.on[0];
    const hostPort = PUBLISHED[i];
    if (home === undefined || hostPort === undefined || random.chance(0.3)) return [];
    const { any, host, loopback, address } = words[family];
    const places = family === 'ipv4' ? ([any, any, host, loopback] as const) : ([any, any, host] as const);
    const port = (protocol: PublishedPort['protocol'], hostAddress: string): PublishedPort => ({
      protocol,
      hostAddress,
      hostPort,
      address: address(home.network, home.number),
      port: 80,
    });
    const hostAddress = random.pick<string>(places);
    const ports = [port('tcp', hostAddress), port('udp', hostAddress)];
    return [
      {
        kind: 'endpoint',
        id: container.name,
        network: `n${home.network}`,
        bridge: `br${home.network}`,
        ports,
      },
    ];
  });
  return [...own, ...published];
}
