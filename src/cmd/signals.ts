/** Signals, and what this process knows of who sends them. */
import { readFileSync } from 'node:fs';

/** Calls for each of them, instead of what they do by default, until the answer is called. */
export function onSignals(
  signals: readonly NodeJS.Signals[],
  call: (signal: NodeJS.Signals) => void,
): () => void {
  for (const signal of signals) process.on(signal, call);
  return () => {
    for (const signal of signals) process.off(signal, call);
  };
}

/** True where a terminal sends its signals (Ctrl-C) to the group of processes that this one is in. */
export function isInForeground(stat: string = readFileSync('/proc/self/stat', 'utf8')): boolean {
  // After the name, which may hold anything: state, parent, group, session, terminal, its foreground group.
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return group !== undefined && group === foreground;
}

/** True for a signal that was switched off when this process began, as `nohup` does. */
export function isIgnored(
  number: number,
  status: string = readFileSync('/proc/self/status', 'utf8'),
): boolean {
  const mask = BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((mask >> BigInt(number - 1)) & 1n) === 1n;
}
