/** Which names a sandbox may ask of other servers, as its networks say. */

/** How a server is reached: through the host's network, or from the sandbox itself. */
export type Way = 'host' | 'sandbox';

/** What a network says about questions that its own names do not answer. */
export interface PolicyOptions {
  /** The network has no way out. Default false. */
  readonly internal?: boolean | undefined;
  /**
   * `servers`: questions go on to other servers. `none`: no question does. Default `servers`; for an internal
   * network only servers that the sandbox itself reaches are asked, never those of the host.
   */
  readonly forward?: 'none' | 'servers' | undefined;
  /** The only names let through: `registry.example`, or `*.example` for all below. Default: all. */
  readonly allow?: readonly string[] | undefined;
}

export interface Policy {
  /** It has no way out, and does not say otherwise: it decides only where all networks are like that. */
  readonly isQuiet: boolean;
  readonly ways: readonly Way[];
  /** Folded names; `undefined` allows all. */
  readonly allow: ReadonlySet<string> | undefined;
}

/** Of a network that says nothing. */
export const OPEN: Policy = { isQuiet: false, ways: ['host', 'sandbox'], allow: undefined };

/** @param fold as names are compared */
export function policyOf(
  { internal, forward, allow }: PolicyOptions,
  fold: (name: string) => string,
): Policy {
  const isQuiet = internal === true && forward === undefined;
  if (!isQuiet && forward !== 'none' && allow === undefined) return OPEN;
  const ways = forward === 'none' ? [] : isQuiet ? (['sandbox'] as const) : OPEN.ways;
  return { isQuiet, ways, allow: allow && new Set(allow.map(fold)) };
}

/**
 * One network that lets a folded name through is enough, as one with a way out is for packets. A sandbox in no
 * network asks nobody by the host's network.
 */
export function isLetThrough(policies: readonly Policy[], name: string, way: Way): boolean {
  if (policies.length === 0) return way === 'sandbox';
  const outspoken = policies.filter((policy) => !policy.isQuiet);
  return (outspoken.length === 0 ? policies : outspoken).some(
    ({ ways, allow }) => ways.includes(way) && (allow === undefined || isListed(allow, name)),
  );
}

/** Whether a folded name is on the list, by itself or by a domain above it. */
export function isListed(allow: ReadonlySet<string>, name: string): boolean {
  if (allow.has(name)) return true;
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
    if (allow.has(`*${name.slice(dot)}`)) return true;
  return false;
}
