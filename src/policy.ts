/** A network's policy: the option, checked, and who can hold to it. */
import * as v from 'valibot';
import type { Driver, PolicyRule } from './driverapi/driver.ts';
import { invalid, LibnetworkError } from './errors.ts';
import { address, labels, line, name, port, subnet } from './fields.ts';

/** The most rules that a policy has. */
export const MAX_POLICY_RULES = 256;
/** The most combinations of `from`, `to` and `ports` that all its rules come to: each is a rule of the firewall. */
export const MAX_POLICY_COMBINATIONS = 4_096;

const pattern = v.pipe(
  line,
  v.regex(/^(\*\.)?[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*$/, 'must be a host name, or "*." and a domain'),
);
const WORDS = 'must be "outside", "host", an address, a subnet, { labels }, { endpoint } or { names }';
const selector = v.union(
  [
    v.literal('outside'),
    v.literal('host'),
    address,
    subnet,
    v.strictObject({
      labels: v.pipe(
        labels,
        v.check((all) => Object.keys(all).length > 0, 'must not be empty'),
      ),
    }),
    v.strictObject({ endpoint: name }),
    v.strictObject({ names: v.pipe(v.array(pattern), v.minLength(1, 'must not be empty')) }),
  ],
  WORDS,
);
const selectors = v.union([selector, v.pipe(v.array(selector), v.minLength(1, WORDS))], WORDS);

const policyPort = v.pipe(
  v.strictObject({
    protocol: v.picklist(['tcp', 'udp', 'sctp', 'icmp'], 'must be "tcp", "udp", "sctp" or "icmp"'),
    port: v.optional(port),
    portEnd: v.optional(port),
  }),
  v.check((p) => p.protocol !== 'icmp' || (p.port ?? p.portEnd) === undefined, 'icmp has no ports'),
  v.check(
    (p) => p.portEnd === undefined || (p.port !== undefined && p.portEnd >= p.port),
    'portEnd must not be below port',
  ),
);

export const policy = v.pipe(
  v.array(
    v.strictObject({
      from: v.optional(selectors),
      to: v.optional(selectors),
      ports: v.optional(v.pipe(v.array(policyPort), v.minLength(1, 'must not be empty'))),
      action: v.picklist(['allow', 'deny'], 'must be "allow" or "deny"'),
    }),
  ),
  v.maxLength(MAX_POLICY_RULES, `must have at most ${MAX_POLICY_RULES} rules (MAX_POLICY_RULES)`),
);

/**
 * @param allow the names that the network's sandboxes may ask for
 * @throws NOT_IMPLEMENTED for a driver that holds nobody to a policy; INVALID_ARGUMENT for names that never open
 */
export function checkPolicy(
  driver: Driver,
  wanted: readonly PolicyRule[] | undefined,
  allow: readonly string[] | undefined,
): void {
  if (wanted === undefined || wanted.length === 0) return;
  if (driver.capability.enforcesPolicy !== true)
    throw new LibnetworkError(
      'NOT_IMPLEMENTED',
      `the driver ${driver.name} can't hold a network to a policy: leave policy away`,
      { field: 'policy', value: wanted },
    );
  const combinations = wanted.reduce(
    (sum, { from, to, ports }) => sum + sizeOf(from) * sizeOf(to) * sizeOf(ports),
    0,
  );
  if (combinations > MAX_POLICY_COMBINATIONS)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `policy: its rules come to ${combinations} combinations of from, to and ports; at most ${MAX_POLICY_COMBINATIONS}`,
      { field: 'policy', value: combinations, limit: 'MAX_POLICY_COMBINATIONS' },
    );
  for (const [i, { from, to }] of wanted.entries()) {
    if (namesIn(from).length > 0)
      throw invalid(`policy[${i}].from`, from, 'names tell who is connected to, not who connects');
    const [unasked] = namesIn(to).filter((each) => !allow?.some((listed) => covers(listed, each)));
    if (unasked !== undefined)
      throw invalid(`policy[${i}].to`, unasked, 'must be among dns.allow too, whose answers open the way');
  }
}

function sizeOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 1;
}

function namesIn(selectors: PolicyRule['from']): readonly string[] {
  const all = selectors === undefined ? [] : Array.isArray(selectors) ? selectors : [selectors];
  return all.flatMap((each) => (typeof each === 'object' && 'names' in each ? each.names : []));
}

/** True when a listed name or pattern lets through all that another means. */
function covers(listed: string, other: string): boolean {
  const [a, b] = [listed.toLowerCase(), other.toLowerCase()];
  return a === b || (a.startsWith('*.') && b.endsWith(a.slice(1)));
}
