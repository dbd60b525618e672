/** The matrix's world as data: who is there, and what is tried. */
import type { DriverNetwork, PortRequest } from '../../../../src/driverapi/driver.ts';
import type { Family } from '../../../../src/ip.ts';
import { labels } from '../../../../src/labels.ts';

/** Containers listen on both; only the first is ever published. */
export const OPEN = 80;
export const SHUT = 81;
/** A service of the host, its neighbour and the remote host that has nothing to do with containers. */
export const SERVICE = 22;

export interface NetworkPlan {
  readonly name: string;
  readonly number: number;
  readonly families: readonly Family[];
  readonly internal?: boolean;
  readonly options?: DriverNetwork['options'];
  readonly policy?: DriverNetwork['policy'];
  /** The containers in it, and what they publish of `OPEN`, as the host's address and port. */
  readonly containers: Readonly<Record<string, readonly Publication[]>>;
}

export interface Publication {
  readonly host?: number;
  readonly address?: string;
}

const BOTH: readonly Family[] = ['ipv4', 'ipv6'];
const mode = (value: string): DriverNetwork['options'] => ({
  [labels.bridge.gatewayMode.ipv4]: value,
  [labels.bridge.gatewayMode.ipv6]: value,
});

export const UPLINK: Readonly<Record<Family, string>> = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' };
/** A second address of the host, which nothing is published on. */
export const SPARE: Readonly<Record<Family, string>> = { ipv4: '192.0.2.9', ipv6: '2001:db8::9' };
export const NEIGHBOUR: Readonly<Record<Family, string>> = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' };
export const REMOTE: Readonly<Record<Family, string>> = { ipv4: '198.51.100.2', ipv6: '2001:db8:1::2' };
const LOOPBACK: Readonly<Record<Family, string>> = { ipv4: '127.0.0.1', ipv6: '::1' };

export const NETWORKS: readonly NetworkPlan[] = [
  {
    name: 'nat',
    number: 1,
    families: BOTH,
    containers: {
      web: [
        { host: 8080 },
        { host: 8081, address: '127.0.0.1' },
        { host: 8082, address: UPLINK.ipv4 },
        { host: 8082, address: UPLINK.ipv6 },
      ],
      worker: [],
    },
  },
  {
    name: 'bare',
    number: 2,
    families: BOTH,
    options: mode('nat-unprotected'),
    containers: { bare: [{ host: 8083 }] },
  },
  { name: 'routed', number: 3, families: BOTH, options: mode('routed'), containers: { routed: [{}] } },
  {
    name: 'inner',
    number: 4,
    families: BOTH,
    internal: true,
    containers: { inner: [{ host: 8084 }], innermost: [] },
  },
  {
    name: 'isolated',
    number: 5,
    families: BOTH,
    internal: true,
    options: mode('isolated'),
    containers: { isolated: [], alone: [] },
  },
  {
    name: 'apart',
    number: 6,
    families: BOTH,
    options: { [labels.bridge.enableIcc]: 'false' },
    containers: { apart: [{ host: 8085 }], aside: [] },
  },
  { name: 'four', number: 7, families: ['ipv4'], containers: { four: [{ host: 8086 }] } },
  { name: 'six', number: 8, families: ['ipv6'], containers: { six: [{ host: 8087 }] } },
  {
    name: 'ruled',
    number: 9,
    families: BOTH,
    policy: [
      // A guest gets at one port of the shop, and at nothing else.
      {
        from: { endpoint: 'guest' },
        to: { endpoint: 'shop' },
        ports: [{ protocol: 'tcp', port: OPEN }],
        action: 'allow',
      },
      { from: { endpoint: 'guest' }, action: 'deny' },
      // The shop is for the world but for the host's neighbour.
      { from: [NEIGHBOUR.ipv4, NEIGHBOUR.ipv6], to: { endpoint: 'shop' }, action: 'deny' },
    ],
    containers: { shop: [{ host: 8088 }], guest: [] },
  },
];

export function subnet({ number }: NetworkPlan, family: Family): string {
  return family === 'ipv4' ? `10.77.${number}.0/24` : `fd77:${number}::/64`;
}

/** An address in a network: 1 is the bridge's, containers have those after it. */
export function addressIn({ number }: NetworkPlan, family: Family, host: number): string {
  return family === 'ipv4' ? `10.77.${number}.${host}` : `fd77:${number}::${host}`;
}

export function publishedPorts(publications: readonly Publication[]): PortRequest[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) =>
    publications.map(({ host, address }) => ({ protocol, container: OPEN, host, hostAddress: address })),
  );
}

/** The host, its neighbours and all containers, in the order of rows. */
export const ROWS: readonly string[] = [
  'host',
  'neighbour',
  'remote',
  ...NETWORKS.flatMap(({ containers }) => Object.keys(containers)),
];

/** What is tried from everywhere: who should answer, and where. */
export interface Target {
  /** The table that it is a column of. */
  readonly group: string;
  /** The column's head: `web:80`, `uplink:8080`. */
  readonly label: string;
  readonly who: string;
  readonly address: string;
  readonly port: number;
}

/** The targets of a family over tcp and udp, or, without ports, by echo requests. */
export function targets(family: Family, protocol: 'tcp' | 'udp' | 'icmp'): readonly Target[] {
  const all = [...containerTargets(family), ...hostTargets(family)];
  if (protocol !== 'icmp') return all;
  const seen = new Set<string>();
  return all
    .filter(({ address }) => !seen.has(address) && seen.add(address))
    .map((target) => {
      const inside = target.who !== 'host' && target.group.startsWith('containers');
      const who = ['neighbour', 'remote'].includes(target.who) || inside ? target.who : 'host';
      const group = inside ? 'containers' : 'the host and what is around it';
      return { ...target, who, group, label: target.label.replace(/:\d+$/, ''), port: 0 };
    });
}

function containerTargets(family: Family): Target[] {
  return NETWORKS.filter(({ families }) => families.includes(family)).flatMap((network) =>
    Object.keys(network.containers).flatMap((who, i) => {
      const address = addressIn(network, family, i + 2);
      return [OPEN, SHUT].map((port) => {
        const group = `containers, port ${port}: ${port === OPEN ? 'published where a network publishes' : 'never published'}`;
        return { group, label: `${who}:${port}`, who, address, port };
      });
    }),
  );
}

/** Who publishes a port of the host. */
const PUBLISHERS = new Map(
  NETWORKS.flatMap(({ containers }) =>
    Object.entries(containers).flatMap(([who, publications]) =>
      publications.map(({ host }): [number | undefined, string] => [host, who]),
    ),
  ),
);

function hostTargets(family: Family): Target[] {
  const at = (name: string, address: string, ...ports: number[]): Target[] =>
    ports.map((port) => {
      const published = port !== SERVICE;
      const group = published
        ? 'published ports, by addresses of the host'
        : 'the host and what is around it';
      const who = published
        ? (PUBLISHERS.get(port) ?? 'host')
        : ['neighbour', 'remote'].includes(name)
          ? name
          : 'host';
      return { group, label: `${name}:${port}`, who, address, port };
    });
  const gateway = NETWORKS[0] === undefined ? '' : addressIn(NETWORKS[0], family, 1);
  return [
    ...at('uplink', UPLINK[family], 8080, 8081, 8082, 8083, 8084, 8085, 8086, 8087, 8088, SERVICE),
    ...at('spare', SPARE[family], 8080, 8082),
    ...at('loopback', LOOPBACK[family], 8080, 8081, 8082),
    ...at('gateway', gateway, 8080, 8082, SERVICE),
    ...at('neighbour', NEIGHBOUR[family], SERVICE),
    ...at('remote', REMOTE[family], SERVICE),
  ];
}
