import type { DnsCounters, LinkStatistics, OperationCounters, Sandbox } from '../index.ts';
import { LibnetworkError } from '../index.ts';
import type { ApiContext } from './context.ts';

export interface SandboxStatistics {
  readonly containerId: string;
  /** By the interface's name in the sandbox. */
  readonly interfaces: Readonly<Record<string, LinkStatistics>>;
  readonly dns?: DnsCounters | undefined;
}

export interface Statistics {
  readonly sandboxes: readonly SandboxStatistics[];
  readonly operations: Readonly<Record<string, OperationCounters>>;
  readonly process: {
    /** Bytes. */
    readonly residentMemory: number;
    readonly uptimeSeconds: number;
  };
}

/** A sandbox that goes away meanwhile is left out. */
export async function statisticsOf({ controller }: ApiContext): Promise<Statistics> {
  const all = await Promise.all(controller.sandboxes().map(statisticsOfSandbox));
  return {
    sandboxes: all.flat(),
    operations: controller.counters,
    process: { residentMemory: process.memoryUsage.rss(), uptimeSeconds: Math.round(process.uptime()) },
  };
}

async function statisticsOfSandbox(sandbox: Sandbox): Promise<SandboxStatistics[]> {
  try {
    const [interfaces, dns] = await Promise.all([sandbox.statistics(), sandbox.dnsCounters()]);
    return [{ containerId: sandbox.containerId, interfaces, dns }];
  } catch (error) {
    if (LibnetworkError.is(error, 'UNAVAILABLE') || LibnetworkError.is(error, 'NOT_FOUND')) return [];
    throw error;
  }
}
