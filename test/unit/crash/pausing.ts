import { FaultScript } from '../../../src/testing/faults.ts';

/** A fault script that looks away while a test looks at the process: what is looked at is no step. */
export class PausingFaults extends FaultScript {
  #paused = false;

  async without<T>(look: () => Promise<T>): Promise<T> {
    this.#paused = true;
    try {
      return await look();
    } finally {
      this.#paused = false;
    }
  }

  override around<T>(name: string, act: () => T): T {
    return this.#paused ? act() : super.around(name, act);
  }

  override aroundAsync<T>(name: string, act: () => Promise<T>): Promise<T> {
    return this.#paused ? act() : super.aroundAsync(name, act);
  }
}
