/** Options about names: of a network, and of the controller. */
import * as v from 'valibot';
import { address, fields, hostname, line, record } from './fields.ts';
import { LIMIT_RANGES, type LimitOptions, type ResolverLimits } from './resolver/options.ts';

/** Names of a network beside those of its endpoints, and what its sandboxes may ask elsewhere. */
export interface NetworkDnsOptions {
  /** Static names: `{ 'db.example': ['10.9.0.9', 'fd00::9'] }`. An endpoint's name goes before. */
  readonly records?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Addresses of every name below a domain: `{ 'apps.example': ['10.9.0.9'] }`. Static names go before. */
  readonly wildcard?: Readonly<Record<string, readonly string[]>> | undefined;
  /**
   * Where questions for other names go: on to servers, or (`none`) nowhere, and the answer is NXDOMAIN. A sandbox in
   * several networks may ask what one of them lets through.
   * @default 'servers'; on an internal network only servers that the sandbox itself reaches, never those of the host
   */
  readonly forward?: 'none' | 'servers' | undefined;
  /** The only other names let through: `registry.example`, or `*.example` for all below. @default all */
  readonly allow?: readonly string[] | undefined;
}

/** How the name servers of all sandboxes run. Each limit holds for each sandbox. */
export interface DnsOptions extends LimitOptions {
  /**
   * They run in a thread of their own, so that they answer while this one is busy. Needs the real kernel.
   * @default false
   */
  readonly worker?: boolean | undefined;
}

const addresses = record(hostname, v.pipe(v.array(address), v.minLength(1, 'must not be empty')));
const pattern = v.pipe(
  line,
  v.check((text) => v.is(hostname, text.replace(/^\*\./, '')), 'must be a host name, or "*." and a domain'),
);

export const networkDns = fields({
  records: v.optional(addresses),
  wildcard: v.optional(addresses),
  forward: v.optional(v.picklist(['none', 'servers'], 'must be "none" or "servers"')),
  allow: v.optional(v.array(pattern)),
});

export const controllerDns = fields({
  worker: v.optional(v.boolean('must be true or false'), false),
  inFlight: limit('inFlight'),
  tcpConnections: limit('tcpConnections'),
  tcpIdleMs: limit('tcpIdleMs'),
  timeoutMs: limit('timeoutMs'),
  retryMs: limit('retryMs'),
  allowMs: limit('allowMs'),
  ttl: limit('ttl'),
  cacheEntries: limit('cacheEntries'),
});

function limit(name: keyof ResolverLimits) {
  const [least, most] = LIMIT_RANGES[name];
  const message = `must be a whole number from ${least} to ${most}`;
  return v.optional(
    v.pipe(v.number(message), v.integer(message), v.minValue(least, message), v.maxValue(most, message)),
  );
}
