/** What the attempts came to, with the policy and without. */
import type { Attempt } from './attempts.ts';
import type { Told } from './cell.ts';

export type Judged = Pick<Attempt, 'id' | 'what' | 'answer' | 'impossible'>;

/** What happened while the code ran: what it tells itself, and what arrived anywhere. */
export interface Run {
  readonly told: readonly Told[];
  readonly seen: readonly string[];
}

export interface Row {
  readonly attempt: string;
  readonly must: 'reach' | 'fail';
  readonly confined: 'reached' | 'failed';
  /** The same code on the same network without a policy: shows that there was something to reach. */
  readonly unconfined: 'reached' | 'failed';
  readonly held: boolean;
}

export function rowsOf(attempts: readonly Judged[], confined: Run, unconfined: Run): Row[] {
  return attempts.map((attempt) => {
    const { what, answer, impossible = false } = attempt;
    const reached = isRight(attempt, confined);
    const isThere = isReached(attempt, unconfined);
    return {
      attempt: what,
      must: answer === undefined ? 'fail' : 'reach',
      confined: reached ? 'reached' : 'failed',
      unconfined: isThere ? 'reached' : 'failed',
      held: reached === (answer !== undefined) && (isThere || impossible),
    };
  });
}

/** Where somebody certain is to answer, only that one counts. */
function isRight(attempt: Judged, run: Run): boolean {
  return attempt.answer === undefined ? isReached(attempt, run) : saidTo(attempt, run) === attempt.answer;
}

/** What answered, and what got there without an answer. */
function isReached(attempt: Judged, run: Run): boolean {
  const sent = new RegExp(`\\b${attempt.id}\\b`);
  return saidTo(attempt, run) !== undefined || run.seen.some((line) => sent.test(line));
}

function saidTo({ id }: Judged, { told }: Run): string | undefined {
  const own = told.find((each) => each.id === id);
  return own && 'answer' in own ? own.answer : undefined;
}

/** What arrived though no allowed attempt accounts for it. */
export function strays(attempts: readonly Judged[], { seen }: Run, names: readonly string[]): string[] {
  const accounted = new Set([
    ...names.flatMap((name) => ['A', 'AAAA'].map((type) => `name server: ${type} ${name}`)),
    ...attempts.flatMap(({ id, answer }) => (answer === undefined ? [] : [`${answer}: GET /${id}`])),
  ]);
  return seen.filter((line) => !accounted.has(line));
}

export function table(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ attempt }) => attempt.length));
  const line = (first: string, ...rest: readonly string[]) =>
    [first.padEnd(width), ...rest.map((each) => each.padEnd(11))].join('  ').trimEnd();
  return [
    line('', 'confined', 'unconfined', 'held'),
    ...rows.map(({ attempt, confined, unconfined, held }) =>
      line(attempt, confined, unconfined, held ? '✓' : '✗'),
    ),
  ].join('\n');
}
