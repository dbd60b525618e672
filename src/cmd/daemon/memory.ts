/** A daemon rests most of the time: what its start took and left is given back. docs/decisions.md has the figures. */
import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

/**
 * The young generation of the heap stays at its first size of 1 MB, instead of growing to 16 MB and more while the
 * program is loaded. Called before that.
 */
export function keepSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** What is free on the heaps of V8 and of libc goes back to the system. */
export async function giveBack(): Promise<void> {
  await collect();
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  // Other C libraries than glibc have no such call, and need none.
  try {
    libc.func('int malloc_trim(size_t)')(0);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/** As when memory has run out: caches and code that has run its only time go too, and what remains moves together. */
async function collect(): Promise<void> {
  const session = new Session();
  session.connect();
  try {
    await new Promise<void>((resolve, reject) => {
      session.post('HeapProfiler.collectGarbage', (error) => (error ? reject(error) : resolve()));
    });
  } finally {
    session.disconnect();
  }
}
