/** How things read: names, ports, sizes, times. */
import type { EndpointPlace, NetworkPlace, PublishedPort, SandboxPlace, Way } from './topology.ts';

const COLLATOR = new Intl.Collator('en', { numeric: true });

/** `web-2` before `web-10`. */
export function compareNames(a: string, b: string): number {
  return COLLATOR.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** Ids of 64 digits are told by their first 12, as everywhere. */
export function shortName(name: string): string {
  return /^[0-9a-f]{64}$/.test(name) ? name.slice(0, 12) : name;
}

/** What people call a container: the name of its endpoint, where its own id is only a number. */
export function titleOf(
  { containerId, hostname }: SandboxPlace,
  endpoints: readonly EndpointPlace[],
): string {
  if (!/^[0-9a-f]{12,64}$/.test(containerId)) return containerId;
  return endpoints[0]?.name ?? hostname ?? shortName(containerId);
}

/** `10.9.0.5/24` without the prefix's length. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.split('/', 1)[0];
}

export function addressesOf({ ipv4, ipv6 }: EndpointPlace): string[] {
  return [ipv4, ipv6].flatMap((address) => plainAddress(address) ?? []);
}

const ANYWHERE = new Set(['0.0.0.0', '::', '']);

/** Reached from this host alone. */
export function isLocalPort({ hostAddress }: PublishedPort): boolean {
  return hostAddress === '::1' || hostAddress.startsWith('127.');
}

/** Where a port is on the host: `8080`, `53/udp`, `127.0.0.1:8080`. */
export function doorText({ host, container, hostAddress, protocol }: PublishedPort): string {
  const address = hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
  const place = ANYWHERE.has(hostAddress) || host === 0 ? '' : `${address}:`;
  return `${place}${host === 0 ? container : host}${protocol === 'tcp' ? '' : `/${protocol}`}`;
}

/** A port and where it leads, in a sentence. */
export function portSentence(port: PublishedPort): string {
  const { host, container, hostAddress, protocol } = port;
  if (host === 0) return `${protocol} port ${container} is open, at the container’s own address`;
  const where = ANYWHERE.has(hostAddress) ? 'every address of the host' : hostAddress;
  return `${protocol} port ${host} of ${where} leads to port ${container}`;
}

/** Ports that differ by the family of the host's address alone are one. */
export function distinctPorts(ports: readonly PublishedPort[]): PublishedPort[] {
  const seen = new Map<string, PublishedPort>();
  for (const port of ports) {
    const key = `${doorText(port)} ${port.container}`;
    if (!seen.has(key)) seen.set(key, port);
  }
  return [...seen.values()].sort((a, b) => a.host - b.host || a.container - b.container);
}

const WAY_LABELS: Readonly<Record<Way, string>> = {
  nat: 'NAT',
  routed: 'routed',
  wire: 'direct',
  host: 'host stack',
  tunnel: 'tunnel',
  none: 'none',
  driver: 'plugin',
};

const WAY_SENTENCES: Readonly<Record<Way, string>> = {
  nat: 'behind an address of the host (NAT)',
  routed: 'routed, with their own addresses',
  wire: 'directly, on the wire of the parent link',
  host: 'the host’s own stack',
  tunnel: 'to the same network on other hosts, in a tunnel',
  none: 'no way out',
  driver: 'as the plugin decides',
};

/** The ways out of a network, families that agree told once: `NAT`, `NAT, IPv6 routed`. */
export function wayLabel({ ways }: NetworkPlace): string {
  return byFamily(ways, (way) => WAY_LABELS[way]);
}

export function waySentence({ ways }: NetworkPlace): string {
  return byFamily(ways, (way) => WAY_SENTENCES[way]);
}

export function hasWayOut({ ways }: NetworkPlace): boolean {
  return [ways.ipv4, ways.ipv6].some((way) => way !== undefined && way !== 'none');
}

function byFamily({ ipv4, ipv6 }: NetworkPlace['ways'], text: (way: Way) => string): string {
  if (ipv4 === undefined) return text(ipv6 ?? 'none');
  if (ipv6 === undefined || ipv6 === ipv4) return text(ipv4);
  return `${text(ipv4)}, IPv6 ${text(ipv6)}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes, in powers of 1000. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

/** The time of day. */
export function clockText(time: number): string {
  const date = new Date(time);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
