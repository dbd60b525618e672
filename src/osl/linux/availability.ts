import { missingCapabilities } from './capabilities.ts';
import { libc } from './libc.ts';

export interface KernelAvailability {
  readonly available: boolean;
  /** Why not, as a sentence's end; empty when available. */
  readonly reason: string;
}

/** Whether `linuxOsl` can work here. Changes nothing. */
export function kernelAvailability(): KernelAvailability {
  const reason = whyNot();
  return { available: reason === '', reason };
}

function whyNot(): string {
  if (process.platform !== 'linux') return `the real kernel needs Linux, this is ${process.platform}`;
  const missing = missingCapabilities();
  if (missing.length > 0) return `this process lacks ${missing.join(' and ')}: run as root`;
  try {
    libc();
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
