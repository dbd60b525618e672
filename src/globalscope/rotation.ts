/**
 * Replacing the key that hosts encrypt with, as a pure state machine. A generation is announced, and every member
 * accepts it; then all send with it; when none sends with an older one any more, that is retired.
 */
import type { Member } from '../driverapi/keyring.ts';
import { SCHEMA_VERSION } from '../records.ts';

export interface Generation {
  readonly id: number;
  /** 32 bytes, in base64. */
  readonly secret: string;
  readonly createdAt: string;
}

/** The record that all hosts share. */
export interface Keys {
  readonly schema: typeof SCHEMA_VERSION;
  readonly kind: 'encryption';
  /** One to three, the oldest first: the last one, the present one, and the next. */
  readonly generations: readonly Generation[];
  /** The one to send with. */
  readonly sending: number;
}

export const MAX_GENERATIONS = 3;
/** What was on its way when the last member stopped sending with a key arrives within this time. */
export const GRACE_MS = 2_000;

export interface Clock {
  readonly now: number;
  /** Since when all members are known to send with the present key. */
  readonly settledAt: number | undefined;
  /** How old a key gets. */
  readonly rotateMs: number;
}

export type Step =
  | { readonly do: 'write'; readonly keys: Keys }
  /** There will be something to do at this time, if nothing changes before. */
  | { readonly do: 'wait'; readonly until: number }
  /** Until a member tells something new. */
  | { readonly do: 'nothing' };

/** Whom the present step waits for, and what they have not done. */
export function laggardsOf(
  { generations, sending }: Keys,
  members: readonly Member[],
): { readonly hosts: readonly Member[]; readonly lack: string } {
  const newest = generations.at(-1)?.id ?? sending;
  const deaf = members.filter(({ accepts }) => accepts < newest);
  if (deaf.length > 0) return { hosts: deaf, lack: 'did not say that it is accepted' };
  const behind = members.filter(({ sends }) => sends < sending);
  if (behind.length > 0) return { hosts: behind, lack: 'did not say that it is sent with' };
  // The steps are taken by the first of them.
  const [first, ...rest] = members;
  const leader = first && rest.reduce((least, each) => (each.host < least.host ? each : least), first);
  return { hosts: leader ? [leader] : [], lack: 'did not take the next step' };
}

/** Whether no member sends with an older key than the present one. */
export function isSettled({ sending }: Keys, members: readonly Member[]): boolean {
  return members.every(({ sends }) => sends >= sending);
}

/** The keys of a cluster that had none. */
export function firstKeys(secret: string, now: number): Keys {
  return announce({ schema: SCHEMA_VERSION, kind: 'encryption', generations: [], sending: 1 }, secret, now);
}

/** Whether a further generation may be announced: at most three are alive, and one at a time is new. */
export function canAnnounce({ generations, sending }: Keys): boolean {
  return generations.length < MAX_GENERATIONS && generations.every(({ id }) => id <= sending);
}

/** Adds the next generation. */
export function announce(keys: Keys, secret: string, now: number): Keys {
  const { generations } = keys;
  const id = (generations.at(-1)?.id ?? 0) + 1;
  return { ...keys, generations: [...generations, { id, secret, createdAt: new Date(now).toISOString() }] };
}

/** What is to be done next, given all members that are there. `secret` makes a new one. */
export function nextStep(
  keys: Keys,
  members: readonly Member[],
  { now, settledAt, rotateMs }: Clock,
  secret: () => string,
): Step {
  const newest = keys.generations.at(-1);
  if (newest !== undefined && newest.id > keys.sending) {
    const accepted = members.every(({ accepts }) => accepts >= newest.id);
    return accepted ? { do: 'write', keys: { ...keys, sending: newest.id } } : { do: 'nothing' };
  }
  if (keys.generations.length > 1) {
    if (!isSettled(keys, members)) return { do: 'nothing' };
    const until = (settledAt ?? now) + GRACE_MS;
    if (now < until) return { do: 'wait', until };
    const generations = keys.generations.filter(({ id }) => id >= keys.sending);
    return { do: 'write', keys: { ...keys, generations } };
  }
  const due = newest === undefined ? now : Date.parse(newest.createdAt) + rotateMs;
  if (now < due) return { do: 'wait', until: due };
  return { do: 'write', keys: announce(keys, secret(), now) };
}
