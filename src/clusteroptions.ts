/** What this host is among those that share a store. */
import * as v from 'valibot';
import { address, fields, name } from './fields.ts';

export interface ClusterOptions {
  /** What tells this host from the others, always the same. @default a random one, kept in `store` */
  readonly hostId?: string | undefined;
  /** The address that other hosts reach this one by. @default that of the link of the default route */
  readonly address?: string | undefined;
  /**
   * After how many milliseconds of silence this host counts as gone, and the others take back what it had. A restart
   * must be shorter. @default 30000
   */
  readonly leaseMs?: number | undefined;
  /**
   * How long a start waits for an answer of the store, in milliseconds. Where there is none, it goes on without: what
   * is local works, and so do the containers that live. @default 3000
   */
  readonly startTimeoutMs?: number | undefined;
  /** How old the key of encrypted networks gets, in milliseconds: 1,000 to 2,147,483,647. @default 43200000 (12 h) */
  readonly rotateKeysMs?: number | undefined;
}

/** Timers of Node take no more. */
const MAX_TIMER_MS = 2_147_483_647;

/** A time that a timer of Node's can wait for. */
function timerMs(least: number) {
  return v.pipe(
    v.number('must be a number'),
    v.minValue(least, `must be ${least} milliseconds or more`),
    v.maxValue(MAX_TIMER_MS, `must be ${MAX_TIMER_MS} milliseconds or less`),
  );
}

export const cluster = fields({
  hostId: v.optional(name),
  address: v.optional(address),
  leaseMs: v.optional(
    v.pipe(v.number('must be a number'), v.minValue(500, 'must be 500 milliseconds or more')),
    30_000,
  ),
  startTimeoutMs: v.optional(timerMs(0), 3_000),
  rotateKeysMs: v.optional(timerMs(1_000), 43_200_000),
});
