/** The metrics themselves. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  type DnsCounters,
  kernelCounters,
  LibnetworkError,
  type Network,
  OPERATION_CHANNEL,
  type OperationMessage,
} from '../index.ts';
import type { ApiContext } from './context.ts';

export interface LoadedMetrics {
  readonly registry: Registry;
  request(api: string, status: number, seconds: number): void;
  close(): void;
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** All that the metrics ask. */
export type Asked = Pick<ApiContext, 'controller' | 'about' | 'streams'>;

export function makeRegistry(context: Asked): LoadedMetrics {
  const registry = new Registry();
  const registers = [registry];
  ownProcess(registers);
  const { version, kernel } = context.about;
  new Gauge({
    name: 'libnetwork_info',
    help: 'What runs here',
    labelNames: ['version', 'kernel', 'instance'],
    registers,
  }).set({ version, kernel, instance: context.controller.instance }, 1);
  objects(context, registers);
  pools(context, registers);
  names(context, registers);
  kernelWork(registers);
  const requests = new Histogram({
    name: 'dnet_http_request_duration_seconds',
    help: 'From a request to the end of its answer, since metrics were first asked for; streams left out',
    labelNames: ['api', 'status'],
    buckets: SECONDS,
    registers,
  });
  new Gauge({
    name: 'dnet_http_streams',
    help: 'Streams of events that are open',
    registers,
    collect() {
      this.set(context.streams.count);
    },
  });
  const stop = operations(context, registers);
  return {
    registry,
    request: (api, status, seconds) => requests.observe({ api, status: String(status) }, seconds),
    close: stop,
  };
}

type Registers = Registry[];

/** Under the names that Prometheus has for them. Nothing is sampled while nobody asks. */
function ownProcess(registers: Registers): void {
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'nodejs_heap_size_used_bytes',
    help: 'Heap in use',
    registers,
    collect() {
      this.set(process.memoryUsage().heapUsed);
    },
  });
  new Gauge({
    name: 'process_cpu_seconds_total',
    help: 'Time on a processor, of user and system',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.set((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process began, in seconds since 1970',
    registers,
  }).set(Date.now() / 1000 - process.uptime());
}

function objects({ controller }: Asked, registers: Registers): void {
  new Gauge({
    name: 'libnetwork_networks',
    help: 'Networks, by driver',
    labelNames: ['driver'],
    registers,
    collect() {
      this.reset();
      for (const { driver } of controller.networks()) this.inc({ driver });
    },
  });
  new Gauge({
    name: 'libnetwork_endpoints',
    help: 'Endpoints, by driver, and whether they are in a sandbox',
    labelNames: ['driver', 'joined'],
    registers,
    collect() {
      this.reset();
      for (const network of controller.networks())
        for (const { sandboxId } of network.endpoints())
          this.inc({ driver: network.driver, joined: String(sandboxId !== undefined) });
    },
  });
  new Gauge({
    name: 'libnetwork_sandboxes',
    help: 'Sandboxes',
    registers,
    collect() {
      this.set(controller.sandboxes().length);
    },
  });
  new Gauge({
    name: 'libnetwork_published_ports',
    help: 'Ports published on the host, by protocol; those of both families count twice',
    labelNames: ['protocol'],
    registers,
    collect() {
      this.reset();
      for (const network of controller.networks())
        for (const endpoint of network.endpoints())
          for (const { protocol } of endpoint.ports) this.inc({ protocol });
    },
  });
}

function pools({ controller }: Asked, registers: Registers): void {
  new Gauge({
    name: 'libnetwork_pool_addresses',
    help: 'Addresses of each pool: its capacity, those used, those reserved for gateways and the like',
    labelNames: ['network', 'subnet', 'kind'],
    registers,
    async collect() {
      this.reset();
      for (const network of controller.networks()) {
        for (const { subnet, capacity, used, reserved } of await usageOf(network)) {
          this.set({ network: network.name, subnet, kind: 'capacity' }, Number(capacity));
          this.set({ network: network.name, subnet, kind: 'used' }, Number(used));
          this.set({ network: network.name, subnet, kind: 'reserved' }, Number(reserved));
        }
      }
    },
  });
}

/** A network that goes away meanwhile has none. */
async function usageOf(network: Network) {
  try {
    return await network.usage();
  } catch (error) {
    if (LibnetworkError.is(error, 'NOT_FOUND')) return [];
    throw error;
  }
}

/** Name servers end with their sandboxes: what they counted is kept, so that the totals never fall. */
function names({ controller }: Asked, registers: Registers): void {
  const seen = new Map<string, DnsCounters>();
  new Counter({
    name: 'libnetwork_dns_total',
    help: 'What the name servers of all sandboxes did, by kind: queries, local, forwarded, cached, failed and so on',
    labelNames: ['kind'],
    registers,
    async collect() {
      for (const sandbox of controller.sandboxes()) {
        const now = await countersOf(() => sandbox.dnsCounters());
        if (!now) continue;
        const before = seen.get(sandbox.id);
        seen.set(sandbox.id, now);
        for (const [kind, value] of Object.entries(now)) {
          if (kind === 'inFlight') continue;
          const earlier = before?.[kind as keyof DnsCounters] ?? 0;
          this.inc({ kind }, value >= earlier ? value - earlier : value);
        }
      }
      for (const id of seen.keys()) if (!controller.sandbox(id)) seen.delete(id);
    },
  });
}

async function countersOf(ask: () => Promise<DnsCounters | undefined>): Promise<DnsCounters | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (LibnetworkError.is(error, 'UNAVAILABLE')) return undefined;
    throw error;
  }
}

function kernelWork(registers: Registers): void {
  const kinds = {
    requests: [
      'libnetwork_kernel_requests_total',
      'Sends to the kernel by netlink, each of one message or many',
    ],
    transactions: ['libnetwork_firewall_transactions_total', 'Changes of firewall rules that were committed'],
    refusals: ['libnetwork_firewall_failures_total', 'Changes of firewall rules that the kernel refused'],
  } as const;
  for (const [key, [name, help]] of Object.entries(kinds)) {
    let told = 0;
    new Counter({
      name,
      help,
      registers,
      collect() {
        const now = kernelCounters()[key as keyof typeof kinds];
        this.inc(now - told);
        told = now;
      },
    });
  }
}

/** How many since the start; how long they take from the channel that the library publishes on. */
function operations({ controller }: Asked, registers: Registers): () => void {
  const told = new Map<string, number>();
  new Counter({
    name: 'libnetwork_operations_total',
    help: 'Operations of the controller that have ended, by name and outcome',
    labelNames: ['operation', 'outcome'],
    registers,
    collect() {
      for (const [operation, { succeeded, failed }] of Object.entries(controller.counters))
        for (const [outcome, value] of Object.entries({ succeeded, failed })) {
          const key = `${operation} ${outcome}`;
          this.inc({ operation, outcome }, value - (told.get(key) ?? 0));
          told.set(key, value);
        }
    },
  });
  const durations = new Histogram({
    name: 'libnetwork_operation_duration_seconds',
    help: 'How long operations of the controller take, by name and outcome, since metrics were first asked for',
    labelNames: ['operation', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  const listen = (message: unknown): void => {
    const { instance, operation, outcome, durationMs } = message as OperationMessage;
    if (instance !== controller.instance) return;
    const ended = outcome === 'ok' ? 'succeeded' : 'failed';
    durations.observe({ operation, outcome: ended }, durationMs / 1000);
  };
  subscribe(OPERATION_CHANNEL, listen);
  return () => unsubscribe(OPERATION_CHANNEL, listen);
}
