/** Runs tasks one after the other, in the order they came. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    // A task that fails must not keep the next one from running; its caller hears of it.
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}
