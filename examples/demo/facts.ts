import { readFile } from 'node:fs/promises';
import type { Endpoint } from 'libnetwork';

/** The addresses of an endpoint, IPv4 before IPv6, without the lengths of their prefixes. */
export function addressesOf({ ipv4, ipv6 }: Endpoint): readonly string[] {
  return [ipv4, ipv6].flatMap((cidr) => cidr?.split('/')[0] ?? []);
}

/** The host's port at which an endpoint is published, the same for every address family. */
export function portOf(endpoint: Endpoint): number {
  const ports = new Set(endpoint.ports.map((binding) => binding.host));
  const [port] = ports;
  if (port === undefined || ports.size > 1)
    throw new Error(
      `expected one published port of ${endpoint.name}, found ${[...ports].join(', ') || 'none'}`,
    );
  return port;
}

export function found<T>(thing: T | undefined, name: string): T {
  if (thing === undefined) throw new Error(`expected ${name} to be there`);
  return thing;
}

/** The name server that a container's `resolv.conf` tells its programs to ask. */
export async function nameServer(resolvConf: string): Promise<string> {
  const text = await readFile(resolvConf, 'utf8');
  const server = /^nameserver\s+(\S+)/m.exec(text)?.[1];
  return found(server, `a name server in ${resolvConf}`);
}
