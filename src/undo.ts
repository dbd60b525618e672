import { LibnetworkError } from './errors.ts';

/** The way back from a half-done operation: steps that undo, run in reverse when it fails. */
export class Undo {
  readonly #steps: { readonly name: string; readonly act: () => Promise<unknown> }[] = [];

  /** Notes how to undo what was just done, or is about to be done. */
  push(name: string, act: () => Promise<unknown>): void {
    this.#steps.push({ name, act });
  }

  /** Undoes everything, latest first, past failures; the names of the steps that failed. */
  async run(): Promise<string[]> {
    const failed: string[] = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step.act();
      } catch (error) {
        failed.push(`${step.name}: ${messageOf(error)}`);
      }
    }
    return failed;
  }
}

/**
 * Runs an operation that is all or nothing. When it fails, what it noted in `undo` is undone, and the error is
 * thrown; where an undo step failed too, the error says so in `notUndone`.
 */
export async function allOrNothing<T>(operation: (undo: Undo) => Promise<T>): Promise<T> {
  const undo = new Undo();
  try {
    return await operation(undo);
  } catch (error) {
    const notUndone = await undo.run();
    if (notUndone.length === 0) throw error;
    const known = LibnetworkError.is(error) ? error : undefined;
    throw new LibnetworkError(
      known?.code ?? 'INTERNAL',
      `${messageOf(error)}; not undone: ${notUndone.join('; ')}`,
      // What a part of the operation could not undo is still left.
      {
        ...(known && factsOf(known)),
        cause: error,
        notUndone: [...(known?.notUndone ?? []), ...notUndone],
      },
    );
  }
}

/** Teardown: runs every step past failures, then throws what failed, all of it. */
export async function allOfThem(what: string, steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) {
    throw new LibnetworkError('INTERNAL', `${what}: ${errors.map(messageOf).join('; ')}`, {
      cause: new AggregateError(errors),
    });
  }
}

/** Runs work side by side and waits for all of it, also when some fails: then throws what failed, all of it. */
export async function together(what: string, work: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  await allOfThem(
    what,
    failed.map((reason) => () => Promise.reject(reason)),
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function factsOf(error: LibnetworkError): object {
  const { field, value, holder, errno, kernelMessage, operation, limit } = error;
  return Object.fromEntries(
    Object.entries({ field, value, holder, errno, kernelMessage, operation, limit }).filter(
      ([, fact]) => fact !== undefined,
    ),
  );
}
