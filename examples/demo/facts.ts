import { readFile } from 'node:fs/promises';
import type { Endpoint } from 'libnetwork';
import { check } from './stage.ts';

/** An address without the length of its prefix. */
export function plain(cidr: string | undefined): string {
  return cidr?.split('/')[0] ?? '';
}

/** Where an endpoint's first port is published on the host. */
export function publication(endpoint: Endpoint): { readonly address: string; readonly port: number } {
  const binding = endpoint.ports[0];
  check(binding !== undefined, `a published port of ${endpoint.name}`);
  return { address: binding?.hostAddress ?? '', port: binding?.host ?? 0 };
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
