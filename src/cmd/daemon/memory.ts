/** A daemon rests most of the time: what its start took and left is given back. docs/decisions.md has the figures. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * The young generation of the heap stays at its first size of 1 MB, instead of growing to 16 MB and more while the
 * program is loaded. Called before that.
 */
export function keepSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** What is free on the heaps of V8 and of libc goes back to the system. */
export async function giveBack(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  // As when memory has run out: caches go too, and what remains moves together.
  if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  // Other C libraries than glibc have no such call, and need none.
  try {
    libc.func('int malloc_trim(size_t)')(0);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
