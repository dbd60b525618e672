import { createHash, randomFillSync } from 'node:crypto';

declare const brand: unique symbol;
type Id<Kind extends string> = string & { readonly [brand]: Kind };

/** 64 hex digits, as Docker's object ids. */
export type NetworkId = Id<'network'>;
export type EndpointId = Id<'endpoint'>;
export type SandboxId = Id<'sandbox'>;

/** A new random object id: 64 hex digits. */
export function newId<T extends NetworkId | EndpointId | SandboxId>(): T {
  return randomHex(32) as T;
}

const randomness = Buffer.allocUnsafeSlow(4096);
let used = randomness.length;

/** Random bytes as hex digits. The system is asked for many at a time: a few cost it as much as a page. */
function randomHex(bytes: number): string {
  if (used + bytes > randomness.length) {
    randomFillSync(randomness);
    used = 0;
  }
  used += bytes;
  return randomness.toString('hex', used - bytes, used);
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
  const digits = randomHex(6);
  // Of the second digit's four bits the lower two say: unicast, locally administered.
  const second = '26ae'.charAt(Number.parseInt(digits.charAt(1), 16) >> 2);
  return `${digits.charAt(0)}${second}${digits.slice(2)}`.replace(/(..)(?=.)/g, '$1:');
}

/** A hash of any text as lower-case hex digits, for names that must be short and stable. */
export function shortHash(text: string, digits = 12): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
