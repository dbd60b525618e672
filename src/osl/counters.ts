/** What this process has asked of the kernel since it started. Counting costs nothing worth mentioning. */
export interface KernelCounters {
  /** Sends to the kernel by netlink, each of one message or many. */
  requests: number;
  /** Changes of firewall rules that were committed. */
  transactions: number;
  /** Changes of firewall rules that were refused. */
  refusals: number;
}

export const counted: KernelCounters = { requests: 0, transactions: 0, refusals: 0 };

/** A copy of the counters of now. */
export function kernelCounters(): Readonly<KernelCounters> {
  return Object.freeze({ ...counted });
}
