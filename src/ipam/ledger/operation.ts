import type { LedgerPage } from './page.ts';

/** A change of one bit of a page. It is applied in memory at once, and counts when the store has accepted it. */
export type Change =
  | { readonly kind: 'take'; readonly bit: number; readonly owner: string; wokeFrom?: number | undefined }
  | {
      readonly kind: 'release';
      readonly bit: number;
      readonly owner: string;
      /** Until when it rests; omitted: not at all. */
      readonly restUntil?: number | undefined;
    }
  | { readonly kind: 'relabel'; readonly bit: number; readonly owner: string; readonly to: string };

/** What came of a change: done, or lost to another controller, with who holds the bit now. */
export type Outcome = { readonly done: true } | { readonly done: false; readonly owner: string | undefined };

const DONE: Outcome = { done: true };

/** Applies a change to a page, unless the bit has come into other hands. */
export function apply(page: LedgerPage, change: Change): Outcome {
  const owner = page.ownerOf(change.bit);
  if (change.kind === 'take') {
    // Held by its own taker: an earlier write arrived although its answer did not.
    if (owner !== undefined) return owner === change.owner ? DONE : { done: false, owner };
    change.wokeFrom = page.wake(change.bit);
    page.hold(change.bit, change.owner);
    return DONE;
  }
  if (owner !== change.owner) return { done: false, owner };
  page.drop(change.bit, change.owner);
  if (change.kind === 'relabel') page.hold(change.bit, change.to);
  else if (change.restUntil !== undefined) page.rest(change.bit, change.restUntil);
  return DONE;
}

/** Takes back a change that the store did not accept. */
export function undo(page: LedgerPage, change: Change): void {
  if (change.kind === 'take') {
    page.drop(change.bit, change.owner);
    if (change.wokeFrom !== undefined) page.rest(change.bit, change.wokeFrom);
    return;
  }
  if (change.kind === 'relabel') page.drop(change.bit, change.to);
  else page.wake(change.bit);
  page.hold(change.bit, change.owner);
}
