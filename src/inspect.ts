/** The whole state of a controller as data: for people who look for a fault, and for tests. */
import type { Core } from './core.ts';
import { deepFreeze } from './frozen.ts';
import type { EndpointRecord, NetworkRecord, SandboxRecord } from './records.ts';
import type { EndpointNames } from './resolver/names.ts';
import type { OperationCounters } from './telemetry.ts';

export interface Inspection {
  readonly id: string;
  readonly instance: string;
  readonly runDir: string;
  /** By name. */
  readonly drivers: readonly string[];
  readonly ipams: readonly string[];
  readonly firewall: string;
  /** As they are recorded, in every state. */
  readonly networks: readonly NetworkRecord[];
  readonly endpoints: readonly EndpointRecord[];
  readonly sandboxes: readonly (SandboxRecord & { readonly open: SandboxOpen })[];
  /** Which endpoints answer to which names now. */
  readonly names: readonly Pick<EndpointNames, 'id' | 'sandboxId' | 'names' | 'ipv4' | 'ipv6'>[];
  readonly operations: Readonly<Record<string, OperationCounters>>;
}

/** What this process has open for a sandbox. */
export interface SandboxOpen {
  readonly namespace: boolean;
  readonly nameServer: boolean;
  /** Endpoints in it, in the order of their joins. */
  readonly endpoints: readonly string[];
}

/** A copy of everything, frozen. It costs as much as there is: not for every request. */
export function inspect(core: Core): Inspection {
  const copy = structuredClone({
    id: core.id,
    instance: core.instance,
    runDir: core.runDir,
    drivers: [...core.drivers.keys()],
    ipams: [...core.ipams.keys()],
    firewall: core.firewall.engine,
    networks: [...core.networks.values()].map(({ record }) => record),
    endpoints: [...core.endpoints.values()].map(({ record }) => record),
    sandboxes: [...core.sandboxes.values()].map(({ record, namespace, resolver, endpoints }) => ({
      ...record,
      open: {
        namespace: namespace !== undefined,
        nameServer: resolver !== undefined,
        endpoints: [...endpoints.keys()],
      },
    })),
    names: [...core.names.endpoints].map(({ id, sandboxId, names, ipv4, ipv6 }) => ({
      id,
      sandboxId,
      names: [...names],
      ipv4,
      ipv6,
    })),
    operations: core.telemetry.counters,
  });
  return deepFreeze(copy);
}
