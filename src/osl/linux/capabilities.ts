import { readFileSync } from 'node:fs';
import { LibnetworkError } from '../../errors.ts';

/** linux/capability.h */
const NEEDED = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

/** The capabilities that the kernel layer needs and this process has not. */
export function missingCapabilities(): readonly string[] {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'));
  const effective = BigInt(`0x${line?.[1] ?? '0'}`);
  return Object.entries(NEEDED)
    .filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n)
    .map(([name]) => name);
}

/** Turns a refusal that a missing capability explains into one that says so; other errors stay as they are. */
export function explainRefusal(error: unknown): unknown {
  if (!LibnetworkError.is(error, 'FORBIDDEN')) return error;
  const missing = missingCapabilities();
  if (missing.length === 0) return error;
  const { errno, operation, kernelMessage } = error;
  const text = `${error.message}; this process lacks ${missing.join(' and ')}: run as root`;
  return new LibnetworkError('FORBIDDEN', text, {
    cause: error,
    ...(errno ? { errno } : {}),
    ...(operation ? { operation } : {}),
    ...(kernelMessage ? { kernelMessage } : {}),
  });
}
