/**
 * Fault scripts: fail or crash at step k. A step is one call that changes something outside the process's memory:
 * a kernel call, a write to a store. One script is shared by every part that takes such steps (the fake kernel, a
 * fault-injecting datastore), so that k runs over all of them in the order in which they happen.
 */
import { LibnetworkError } from '../errors.ts';

/** Wraps the steps of a process. */
export interface Faults {
  /** Takes one step: counts it, then acts, unless the script says otherwise. */
  around<T>(name: string, act: () => T): T;
  /** The same for a step that waits. */
  aroundAsync<T>(name: string, act: () => Promise<T>): Promise<T>;
  /** Waits before a call's steps are begun, so that calls under way at once come in another order. */
  readonly pause?: (name: string) => Promise<void>;
  /** How many steps were begun, the one that failed or crashed included. */
  readonly steps: number;
  /** The names of the steps begun, in order; of the first 100,000, since a fake kernel may live for days. */
  readonly trace: readonly string[];
  /** True once the process is dead: nothing acts any more, every step throws `SimulatedCrash`. */
  readonly crashed: boolean;
  /** Kills the process now, as `kill -9` does. */
  crash(): void;
  /** Calls the listener at the moment of the crash; at once when it has already happened. */
  onCrash(listener: () => void): void;
}

export type FaultMode = 'fail' | 'crash-before' | 'crash-after';

export interface FaultPlan {
  /** The step to strike, counted from 1. A script whose step never comes lets everything pass. */
  readonly at: number;
  /**
   * `fail`: the step throws without acting, once. `crash-before`: the process dies without acting.
   * `crash-after`: the step acts, then the process dies without seeing the answer.
   */
  readonly mode: FaultMode;
  /** What a `fail` throws. Default: `INTERNAL` naming the step. */
  readonly error?: Error | ((step: string) => Error);
}

/** What a dead process's calls throw. Code under test never sees it in life, so nothing may handle it. */
export class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash';

  readonly step: string;

  constructor(step: string, cause?: unknown) {
    super(`simulated crash: the process is dead (at ${step})`, cause === undefined ? undefined : { cause });
    this.step = step;
  }

  static is(error: unknown): error is SimulatedCrash {
    return error instanceof Error && error.name === 'SimulatedCrash';
  }
}

export interface FaultOptions {
  /** Calls wait for as many turns of the event loop as this says, by their name, before they act. Default: none. */
  readonly delays?: (name: string) => number;
}

/** A script that strikes once, at one step; without a plan it only counts. */
export function faultScript(plan?: FaultPlan, options?: FaultOptions): Faults {
  return new FaultScript(plan, options);
}

/**
 * Delays of 0 to `most` turns of the event loop, the same for the same seed: what runs at once runs in another order
 * with every seed, and in the same with the same one.
 */
export function seededDelays(seed: number, most = 3): (name: string) => number {
  let state = seed >>> 0;
  return () => {
    // A linear congruential generator (Numerical Recipes, 7.1): its upper bits are random enough.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * (most + 1));
  };
}

/** Counts the steps and lets all of them pass: the length of a run, before it is repeated with a fault at each. */
export function countingFaults(): Faults {
  return new FaultScript(undefined);
}

const MOST_TRACED = 100_000;

export class FaultScript implements Faults {
  readonly #plan: FaultPlan | undefined;
  readonly #trace: string[] = [];
  #steps = 0;
  readonly #listeners: (() => void)[] = [];
  readonly pause?: (name: string) => Promise<void>;
  #crashed = false;

  constructor(plan?: FaultPlan, { delays }: FaultOptions = {}) {
    this.#plan = plan;
    if (delays !== undefined) this.pause = async (name) => await turns(delays(name));
  }

  get steps(): number {
    return this.#steps;
  }

  get trace(): readonly string[] {
    return this.#trace;
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  crash(): void {
    if (this.#crashed) return;
    this.#crashed = true;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  onCrash(listener: () => void): void {
    if (this.#crashed) listener();
    else this.#listeners.push(listener);
  }

  around<T>(name: string, act: () => T): T {
    const crashAfter = this.#enter(name);
    if (!crashAfter) return act();
    try {
      act();
    } catch (error) {
      throw this.#die(name, error);
    }
    throw this.#die(name);
  }

  async aroundAsync<T>(name: string, act: () => Promise<T>): Promise<T> {
    const crashAfter = this.#enter(name);
    if (!crashAfter) {
      const answer = await act();
      // Another step may have killed the process while this one waited: its answer arrives nowhere.
      if (this.#crashed) throw new SimulatedCrash(name);
      return answer;
    }
    try {
      await act();
    } catch (error) {
      throw this.#die(name, error);
    }
    throw this.#die(name);
  }

  /** Counts the step and strikes before it; true when the process must die right after it. */
  #enter(name: string): boolean {
    if (this.#crashed) throw new SimulatedCrash(name);
    this.#steps++;
    if (this.#trace.length < MOST_TRACED) this.#trace.push(name);
    const plan = this.#plan;
    if (plan === undefined || plan.at !== this.#steps) return false;
    if (plan.mode === 'crash-after') return true;
    if (plan.mode === 'fail') throw planned(plan, name);
    throw this.#die(name);
  }

  #die(step: string, cause?: unknown): SimulatedCrash {
    this.crash();
    return new SimulatedCrash(step, cause);
  }
}

function planned(plan: FaultPlan, step: string): Error {
  if (typeof plan.error === 'function') return plan.error(step);
  return plan.error ?? new LibnetworkError('INTERNAL', `injected failure at ${step}`, { operation: step });
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
