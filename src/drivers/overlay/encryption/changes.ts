/** From what the kernel has of IPsec to what it should have: which changes, in which order. Pure. */
import { LibnetworkError, show } from '../../../errors.ts';
import type { XfrmChange, XfrmPolicy, XfrmPolicyId, XfrmState, XfrmStateId } from '../../../osl/osl.ts';
import type { Mark } from './associations.ts';

export interface Tables {
  readonly states: readonly XfrmState[];
  readonly policies: readonly XfrmPolicy[];
}

export interface Difference {
  readonly missing: readonly string[];
  readonly orphaned: readonly string[];
  /** States come before the policies that need them, and go after those that did. */
  readonly changes: readonly XfrmChange[];
}

export function policyName({ direction, selector }: XfrmPolicyId): string {
  const { source, sourcePort = '*', destination, destinationPort = '*', protocol = '*' } = selector;
  return `${direction} ${source} ${sourcePort} > ${destination} ${destinationPort} protocol ${protocol}`;
}

export function stateName({ destination, spi }: XfrmStateId): string {
  return `to ${destination} spi 0x${spi.toString(16)}`;
}

/** What of the kernel's tables is this controller's. */
export function ownOf({ states, policies }: Tables, { reqid, priority }: Mark): Tables {
  return {
    states: states.filter((state) => state.reqid === reqid),
    policies: policies.filter(({ template, action, ...policy }) =>
      template ? template.reqid === reqid : action === 'block' && policy.priority === priority,
    ),
  };
}

/**
 * Whether the kernel keeps the key to itself: in lockdown (`lockdown=confidentiality`) it shows zeros instead
 * (net/xfrm/xfrm_user.c, copy_to_user_aead).
 */
export function isHidden({ key }: XfrmState): boolean {
  return key.every((byte) => byte === 0);
}

/**
 * With `onlyAdd` nothing is removed, as it is not known yet what should be there.
 * @throws CONFLICT where somebody else's policy or state stands in the place of one of ours
 */
export function differenceOf(found: Tables, wanted: Tables, mark: Mark, onlyAdd = false): Difference {
  const own = ownOf(found, mark);
  checkPlaces(found, own, wanted);
  const states = compare(own.states, wanted.states, stateName, sameState);
  const policies = compare(own.policies, wanted.policies, policyName, samePolicy);
  const removed = onlyAdd ? { states: [], policies: [] } : { states: states.stale, policies: policies.stale };
  const isThere = new Set(own.states.map(stateName));
  const guardsFirst = [...policies.missing].sort((a, b) => Number(isGuard(b)) - Number(isGuard(a)));
  const set = (policy: XfrmPolicy): XfrmChange => ({ op: 'setPolicy', policy });
  return {
    missing: [
      ...states.missing.map((state) => `association ${stateName(state)}`),
      ...policies.missing.map((policy) => `encryption policy ${policyName(policy)}`),
    ],
    orphaned: [
      ...removed.states.map((state) => `association ${stateName(state)}`),
      ...removed.policies.map((policy) => `encryption policy ${policyName(policy)}`),
    ],
    changes: [
      ...guardsFirst.filter(isGuard).map(set),
      ...states.missing.flatMap((state): XfrmChange[] => [
        // The same name with another key: its other end is another life of its host.
        ...(isThere.has(stateName(state)) ? [{ op: 'deleteState', state } as const] : []),
        { op: 'addState', state },
      ]),
      ...guardsFirst.filter((policy) => !isGuard(policy)).map(set),
      ...removed.policies.map((policy): XfrmChange => ({ op: 'deletePolicy', policy })),
      ...removed.states.map((state): XfrmChange => ({ op: 'deleteState', state })),
    ],
  };
}

/** Those of `guardsOf`: they select more than one host. */
function isGuard({ selector }: XfrmPolicyId): boolean {
  return selector.source.endsWith('/0') || selector.destination.endsWith('/0');
}

function compare<T>(
  found: readonly T[],
  wanted: readonly T[],
  nameOf: (each: T) => string,
  isSame: (a: T, b: T) => boolean,
): { missing: T[]; stale: T[] } {
  const there = new Map(found.map((each) => [nameOf(each), each]));
  const names = new Set(wanted.map(nameOf));
  const missing = wanted.filter((each) => {
    const one = there.get(nameOf(each));
    return one === undefined || !isSame(one, each);
  });
  return { missing, stale: found.filter((each) => !names.has(nameOf(each))) };
}

function sameState(a: XfrmState, b: XfrmState): boolean {
  return a.source === b.source && a.mode === b.mode && Buffer.compare(a.key, b.key) === 0;
}

function samePolicy(a: XfrmPolicy, b: XfrmPolicy): boolean {
  return (
    a.action === b.action &&
    a.priority === b.priority &&
    a.template?.reqid === b.template?.reqid &&
    a.template?.spi === b.template?.spi &&
    !a.template?.optional
  );
}

function checkPlaces(found: Tables, own: Tables, wanted: Tables): void {
  const ours = new Set<XfrmState | XfrmPolicy>([...own.states, ...own.policies]);
  const foreign = [
    ...found.states.filter((each) => !ours.has(each)).map(stateName),
    // With a mark it is another one, whatever it selects.
    ...found.policies.filter((each) => !ours.has(each) && each.mark === undefined).map(policyName),
  ];
  const taken = new Set(foreign);
  for (const name of [...wanted.states.map(stateName), ...wanted.policies.map(policyName)])
    if (taken.has(name))
      throw new LibnetworkError(
        'CONFLICT',
        `somebody else has an IPsec entry where encrypted networks need theirs: ${show(name)}; remove it (ip xfrm)`,
        { holder: name },
      );
}
