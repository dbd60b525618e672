/** The static names of networks, and what each lets through to other servers: a projection of the records. */
import type { Core } from './core.ts';
import type { NetworkDnsOptions } from './dnsoptions.ts';
import type { NetworkRecord } from './records.ts';

export function showNetworkNames(core: Core, { id, name, internal, dns }: NetworkRecord): void {
  core.names.setNetwork({ ...dns, id, name, internal });
}

/** What a network says about names, as given. */
export function publicDns({ dns = {} }: NetworkRecord): NetworkDnsOptions {
  return Object.freeze({
    records: frozen(dns.records),
    wildcard: frozen(dns.wildcard),
    forward: dns.forward,
    allow: dns.allow && Object.freeze([...dns.allow]),
  });
}

function frozen(names: NetworkDnsOptions['records']): NetworkDnsOptions['records'] {
  if (names === undefined) return undefined;
  const entries = Object.entries(names).map(([name, list]) => [name, Object.freeze([...list])] as const);
  return Object.freeze(Object.fromEntries(entries));
}
