/** Waits, or ends early, without an error, when the signal fires. It keeps no process alive, unless that is asked for. */
export function sleep(ms: number, signal?: AbortSignal, { keepAlive = false } = {}): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (!keepAlive) timer.unref();
    signal?.addEventListener('abort', done, { once: true });
    if (signal?.aborted) done();
  });
}
