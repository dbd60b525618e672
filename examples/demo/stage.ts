import { setTimeout as sleep } from 'node:timers/promises';
import type { Report, StepResult } from './report.ts';
import type { World } from './world.ts';

/** No step of the demo waits longer than this, in milliseconds. */
const PATIENCE = 15_000;

/** Thrown by a step after it was reported: the rest of the story makes no sense. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
}

/** Takes the steps of the story, one by one, and keeps what they came to. */
export class Stage {
  readonly world: World;
  /** The demo's own directory: store, namespaces, files. */
  readonly directory: string;
  readonly results: StepResult[] = [];
  readonly #report: Report;
  readonly #signal: AbortSignal;

  constructor(world: World, directory: string, report: Report, signal: AbortSignal) {
    this.world = world;
    this.directory = directory;
    this.#report = report;
    this.#signal = signal;
  }

  note(text: string): void {
    this.#report.note(text);
  }

  /** Acts, reports the time and whether it held; a step that did not ends the story. */
  async step<T>(name: string, act: () => Promise<T>): Promise<T> {
    return this.#take(name, () => {
      this.#signal.throwIfAborted();
      return act();
    });
  }

  /** A step that is taken whatever happened, also after an interruption, and does not throw. */
  async afterwards(name: string, act: () => Promise<void>): Promise<void> {
    try {
      await this.#take(name, act);
    } catch (error) {
      // It was reported, and counts in `results`.
      if (!(error instanceof StepFailed)) throw error;
    }
  }

  async #take<T>(name: string, act: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const finish = (error?: unknown) => {
      const ms = Math.round((performance.now() - start) * 100) / 100;
      const failure = error === undefined ? {} : { error: explain(error) };
      const result: StepResult = { name, ok: error === undefined, ms, ...failure };
      this.results.push(result);
      this.#report.step(result);
    };
    try {
      const value = await inTime(act());
      finish();
      return value;
    } catch (error) {
      finish(error);
      throw new StepFailed(name, { cause: error });
    }
  }
}

/** A check of the demo: what should hold, in words, and what was found. */
export function check(holds: boolean, expected: string, found?: unknown): void {
  if (!holds)
    throw new Error(`expected ${expected}${found === undefined ? '' : `, found ${JSON.stringify(found)}`}`);
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(PATIENCE, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`no answer in ${PATIENCE / 1000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? `${String(error.code)}: ` : '';
  const cause = error.cause === undefined ? '' : ` (${explain(error.cause)})`;
  return `${code}${error.message}${cause}`;
}
