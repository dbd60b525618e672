/**
 * Rules of Docker 20.10 in eight states, as `iptables-save` showed them, and where ours are others. Ours are in the
 * chains of Docker 28, which has moved what 20.10 has in FORWARD and in its isolation chains.
 */
import type { Intent, NetworkIntent } from '../../../src/osl/firewall/firewall.ts';
import { endpoint, port, resolver } from './intents.ts';

function network(bridge: string, subnet: string, over: Partial<NetworkIntent> = {}): NetworkIntent {
  const ipv4 = { subnet, mode: 'nat', masquerade: true } as const;
  return { kind: 'network', id: bridge, bridge, internal: false, icc: true, ipv4, ipv6: undefined, ...over };
}

const DOCKER0 = network('docker0', '172.17.0.0/16');
const ONE = network('recbr1', '172.28.1.0/24');
const INTERNAL = network('recbr2', '172.28.2.0/24', { internal: true });
const APART = network('recbr3', '172.28.3.0/24', { icc: false });
const BARE = network('recbr4', '172.28.4.0/24', {
  ipv4: { subnet: '172.28.4.0/24', mode: 'nat', masquerade: false },
});
const WEB: Intent = {
  ...endpoint(
    'web',
    port({ hostAddress: '127.0.0.1', hostPort: 28_080, address: '172.28.1.9', port: 80 }),
    port({ protocol: 'udp', hostPort: 28_053, address: '172.28.1.9', port: 53 }),
  ),
  network: 'recbr1',
  bridge: 'recbr1',
};

/** The file of each state, and what we ask for to come to the same. */
export const STATES: Readonly<Record<string, readonly Intent[]>> = {
  'iptables-1-fresh-daemon': [DOCKER0],
  'iptables-2-one-user-network': [DOCKER0, ONE],
  'iptables-3-plus-internal': [DOCKER0, ONE, INTERNAL],
  'iptables-4-plus-icc-off': [DOCKER0, ONE, INTERNAL, APART],
  'iptables-5-plus-no-masquerade': [DOCKER0, ONE, INTERNAL, APART, BARE],
  'iptables-6-plus-published-ports': [DOCKER0, ONE, INTERNAL, APART, BARE, WEB],
  'iptables-7-inside-sandbox-embedded-dns': [{ ...resolver, udpPort: 49_301, tcpPort: 44_607 }],
  'iptables-8-after-all-removed': [DOCKER0],
};

/** A rule of the recordings that we have not as it is there. */
export interface Deviation {
  /** `table CHAIN rule`, with BR for a bridge. */
  readonly recorded: RegExp;
  /** What we have instead, one of them: captured parts as `$1`. None: nothing. */
  readonly instead: readonly string[];
  readonly why: string;
}

const FORWARD = 'Docker 28 has one jump in FORWARD, and its rules in chains of their own';
const STAGES = 'Docker 28 isolates by what is not published, and has no stages';
const PROXY = 'as with the userland proxy off: containers, and 127.0.0.1, are led by rules too';

export const DEVIATIONS: readonly Deviation[] = [
  {
    recorded: /^filter FORWARD -j DOCKER-ISOLATION-STAGE-1$/,
    instead: ['filter FORWARD -j DOCKER-FORWARD'],
    why: FORWARD,
  },
  {
    recorded: /^filter FORWARD (-o \S+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT)$/,
    instead: ['filter DOCKER-CT $1'],
    why: FORWARD,
  },
  {
    recorded: /^filter FORWARD (-o \S+ -j DOCKER)$/,
    instead: ['filter DOCKER-BRIDGE $1'],
    why: FORWARD,
  },
  {
    recorded: /^filter FORWARD -i (\S+) ! -o \S+ -j ACCEPT$/,
    instead: ['filter DOCKER-FORWARD -i $1 -j ACCEPT', 'filter DOCKER-FORWARD -i $1 ! -o $1 -j ACCEPT'],
    why: `${FORWARD}; where containers may talk to each other one rule says both`,
  },
  {
    recorded: /^filter FORWARD -i (\S+) -o \S+ -j ACCEPT$/,
    instead: ['filter DOCKER-FORWARD -i $1 -j ACCEPT', 'filter DOCKER-FORWARD -i $1 -o $1 -j ACCEPT'],
    why: `${FORWARD}; where containers may talk to each other one rule says both`,
  },
  {
    recorded: /^filter FORWARD (-i \S+ -o \S+ -j DROP)$/,
    instead: ['filter DOCKER-FORWARD $1'],
    why: FORWARD,
  },
  {
    recorded: /^filter DOCKER-ISOLATION-STAGE-1 -i (\S+) ! -o \S+ -j DOCKER-ISOLATION-STAGE-2$/,
    instead: ['filter DOCKER ! -i $1 -o $1 -j DROP'],
    why: STAGES,
  },
  {
    recorded: /^filter DOCKER-ISOLATION-STAGE-2 -o (\S+) -j DROP$/,
    instead: ['filter DOCKER ! -i $1 -o $1 -j DROP'],
    why: STAGES,
  },
  {
    recorded: /^filter DOCKER-ISOLATION-STAGE-1 ! -s \S+ -o (\S+) -j DROP$/,
    instead: ['filter DOCKER-INTERNAL ! -i $1 -o $1 -j DROP'],
    why: 'judged by interface, so that a forged source does not get in',
  },
  {
    recorded: /^filter DOCKER-ISOLATION-STAGE-1 ! -d \S+ -i (\S+) -j DROP$/,
    instead: ['filter DOCKER-INTERNAL -i $1 ! -o $1 -j DROP'],
    why: 'judged by interface, so that a forged source does not get in',
  },
  {
    recorded: /^filter (DOCKER-USER|DOCKER-ISOLATION-STAGE-[12]) -j RETURN$/,
    instead: [],
    why: 'Docker 28 leaves it away: a chain that ends returns',
  },
  {
    recorded: /^nat OUTPUT ! -d 127\.0\.0\.0\/8 (-m addrtype --dst-type LOCAL -j DOCKER)$/,
    instead: ['nat OUTPUT $1'],
    why: PROXY,
  },
  { recorded: /^nat DOCKER -i \S+ -j RETURN$/, instead: [], why: PROXY },
  {
    recorded: /^nat DOCKER (-d \S+ )?! -i \S+ (.*-j DNAT.*)$/,
    instead: ['nat DOCKER $1$2'],
    why: PROXY,
  },
  {
    recorded: /^nat POSTROUTING -s (\d+\.\d+\.\d+)\.\d+\/32 -d \S+ -p \S+ -m \S+ --dport \d+ -j MASQUERADE$/,
    instead: ['nat POSTROUTING -s $1.0/24 -o recbr1 -m conntrack --ctstate DNAT -j MASQUERADE'],
    why: 'one rule for each network, for all of its containers: neighbours of the published one need it too',
  },
];

/** What we have and 20.10 has not. */
export const ADDITIONS: readonly { readonly ours: RegExp; readonly why: string }[] = [
  { ours: /^filter DOCKER-FORWARD -j DOCKER-(CT|INTERNAL|BRIDGE)$/, why: FORWARD },
  {
    ours: /^raw PREROUTING -d 127\.0\.0\.0\/8 -i \S+ -j DROP$/,
    why: 'bridges route loopback addresses, for ports published on 127.0.0.1: containers must not use that',
  },
  {
    ours: /^raw PREROUTING -d \S+\/32 ! -i \S+ .*-j DROP$/,
    why: 'Docker 28: nobody gets past a published port to the container, or from outside to 127.0.0.1',
  },
  {
    ours: /^nat POSTROUTING -s \S+ -o \S+ -m conntrack --ctstate DNAT -j MASQUERADE$/,
    why: 'for published ports of the network, whether there are some already or not',
  },
  {
    ours: /^nat POSTROUTING -s 127\.0\.0\.0\/8 -o \S+ -j MASQUERADE$/,
    why: PROXY,
  },
  {
    ours: /^filter DOCKER-FORWARD -i \S+ -o \S+ -m conntrack --ctstate DNAT -j ACCEPT$/,
    why: 'published ports are reached from their own network too, which Docker leaves to its proxy',
  },
];

/** Chains whose rules of both are in another order. */
export const REORDERED: ReadonlyMap<string, string> = new Map([
  ['filter DOCKER', 'Docker 28 inserts what it lets in at the top, before what it drops'],
]);
