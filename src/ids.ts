import { createHash, randomBytes } from 'node:crypto';

declare const brand: unique symbol;
type Id<Kind extends string> = string & { readonly [brand]: Kind };

/** 64 hex digits, as Docker's object ids. */
export type NetworkId = Id<'network'>;
export type EndpointId = Id<'endpoint'>;
export type SandboxId = Id<'sandbox'>;

/** A new random object id: 64 hex digits. */
export function newId<T extends NetworkId | EndpointId | SandboxId>(): T {
  return randomBytes(32).toString('hex') as T;
}

/** The host end of an endpoint's veth: `v` and 11 hex digits of the endpoint's id (design rule 2). */
export function vethName(endpointId: string): string {
  return `v${endpointId.slice(0, 11)}`;
}

/** The default name of a network's bridge: `br-` and 12 hex digits of the network's id, as Docker's. */
export function bridgeName(networkId: string): string {
  return `br-${networkId.slice(0, 12)}`;
}

/** The mark that every link of ours carries as its alias. */
export function stamp(instance: string, id: string): string {
  return `libnetwork:${instance}:${id}`;
}

/** The parts of a link's alias, or `undefined` for a link that is not ours. */
export function parseStamp(alias: string | undefined): { instance: string; id: string } | undefined {
  const match = /^libnetwork:([^:]+):([^:]+)$/.exec(alias ?? '');
  return match?.[1] && match[2] ? { instance: match[1], id: match[2] } : undefined;
}

/** A random MAC address: unicast, locally administered (IEEE 802, 8.4). */
export function newMacAddress(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

/** A hash of any text as lower-case hex digits, for names that must be short and stable. */
export function shortHash(text: string, digits = 12): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
