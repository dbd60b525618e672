/**
 * What is persisted, as plain data. A record's `state` is the journal: it says what was about to happen, and the
 * record holds everything that is needed to undo or finish it.
 */
import type { EndpointLimits, PolicyRule, PortBinding, PortRequest, Scope } from './driverapi/driver.ts';
import { LibnetworkError } from './errors.ts';
import type { EndpointId, NetworkId, SandboxId } from './ids.ts';
import type { Family } from './ip.ts';
import type { Protocol } from './osl/osl.ts';
import type { NetworkNames } from './resolver/names.ts';

export const SCHEMA_VERSION = 1;
export const ROOT = 'docker/network/v1.0/';

export interface PoolRecord {
  readonly family: Family;
  /** The IPAM driver's name of the pool. */
  readonly poolId: string;
  readonly subnet: string;
  readonly ipRange?: string | undefined;
  /** In CIDR form. */
  readonly gateway?: string | undefined;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface RequestedPool {
  readonly subnet?: string | undefined;
  readonly ipRange?: string | undefined;
  readonly gateway?: string | undefined;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface NetworkRecord {
  readonly schema: typeof SCHEMA_VERSION;
  readonly kind: 'network';
  readonly state: 'creating' | 'ready' | 'deleting';
  readonly id: NetworkId;
  readonly name: string;
  readonly driver: string;
  readonly scope: Scope;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly attachable?: boolean | undefined;
  /** False: it is in no store, and neither are its endpoints. */
  readonly persist?: boolean | undefined;
  readonly ingress?: boolean | undefined;
  /** It only holds settings for other networks: no driver has it, and it has no endpoints. */
  readonly configOnly?: boolean | undefined;
  /** The name of the network that its settings were taken from. */
  readonly configFrom?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string | number | boolean>>;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>>;
    readonly addressSpace: string;
    /** As asked for. */
    readonly requested: readonly RequestedPool[];
  };
  /** As given. */
  readonly pools: readonly PoolRecord[];
  readonly policy?: readonly PolicyRule[] | undefined;
  readonly dns?: Pick<NetworkNames, 'records' | 'wildcard' | 'forward' | 'allow'> | undefined;
  readonly createdAt: string;
  /** Of a network that hosts share, while it is made or deleted: the id of the host that does it. */
  readonly host?: string | undefined;
}

export interface HeldAddress {
  readonly poolId: string;
  /** In CIDR form. */
  readonly address: string;
}

/**
 * `vip`: the service's name stands for one virtual address, which leads to its endpoints in turn. `dnsrr`: for the
 * addresses of all its endpoints, rotated (DNS round robin).
 */
export type ServiceMode = 'vip' | 'dnsrr';

/** That an endpoint belongs to a service. */
export interface ServiceMembership {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly mode: ServiceMode;
  /** False while it is drained: what it serves goes on, and nothing new comes to it. */
  readonly enabled: boolean;
  /** The service's virtual addresses, as in its own record; none with `dnsrr`. */
  readonly ipv4?: HeldAddress | undefined;
  readonly ipv6?: HeldAddress | undefined;
}

/** A service of a network: who has its addresses. Its endpoints say themselves that they belong to it. */
export interface ServiceRecord {
  readonly schema: typeof SCHEMA_VERSION;
  readonly kind: 'service';
  readonly networkId: NetworkId;
  readonly name: string;
  readonly mode: ServiceMode;
  readonly ipv4?: HeldAddress | undefined;
  readonly ipv6?: HeldAddress | undefined;
  /** The host that took the addresses, where hosts share the network. */
  readonly host?: string | undefined;
  readonly createdAt: string;
}

export interface EndpointRecord {
  readonly schema: typeof SCHEMA_VERSION;
  readonly kind: 'endpoint';
  readonly state: 'creating' | 'ready' | 'joining' | 'joined' | 'leaving' | 'deleting';
  readonly id: EndpointId;
  readonly name: string;
  readonly networkId: NetworkId;
  readonly macAddress?: string | undefined;
  /** The MAC address was made up because IPAM needs one, and not asked for. */
  readonly macGenerated?: boolean | undefined;
  readonly ipv4?: HeldAddress | undefined;
  readonly ipv6?: HeldAddress | undefined;
  /** Beside those of the pools, in CIDR form. */
  readonly linkLocal?: readonly string[] | undefined;
  readonly aliases: readonly string[];
  readonly anonymous?: boolean | undefined;
  readonly dnsNames?: readonly string[] | undefined;
  readonly exposedPorts?: readonly ExposedPort[] | undefined;
  readonly gatewayPriority: number;
  readonly interfaceName?: string | undefined;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string | number | boolean>>;
  readonly ports: readonly PortRequest[];
  readonly limits?: EndpointLimits | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly service?: ServiceMembership | undefined;
  readonly createdAt: string;
  /** From `joining` to `leaving`. */
  readonly join?: JoinRecord | undefined;
}

/** A port that its container listens at, published or not. */
export interface ExposedPort {
  readonly protocol: Protocol;
  readonly port: number;
  /** The service there: `http` of `web` is found as `_http._tcp.web` (RFC 2782). */
  readonly name?: string | undefined;
}

export interface JoinRecord {
  readonly sandboxId: SandboxId;
  readonly interfaceName: string;
  readonly aliases: readonly string[];
  readonly priority: number;
  /** Grows with each join of the sandbox: ties between gateways go to the earlier one. */
  readonly order: number;
  readonly gateway4?: string | undefined;
  readonly gateway6?: string | undefined;
  readonly routes: readonly { readonly destination: string; readonly gateway?: string | undefined }[];
  readonly bindings: readonly PortBinding[];
  /** The sandbox has no namespace yet: nothing is in the kernel, and the driver was not asked. */
  readonly pending?: boolean | undefined;
  /** The link was moved here from the host, where it had this name. */
  readonly movedFrom?: string | undefined;
  /** No default-gateway network is wanted for its sake: it is linkless, or its driver says so. */
  readonly disableGatewayService?: boolean | undefined;
}

/**
 * `own`: made and deleted by us at `path`; `given`: opened at `path`; `host`: the host's own; `external`: the
 * runtime makes it, and its path is told later (`setKey`).
 */
export type NamespaceRecord =
  | { readonly kind: 'own' | 'given'; readonly path: string }
  | { readonly kind: 'external'; readonly path?: string | undefined }
  | { readonly kind: 'host' };

export interface SandboxRecord {
  readonly schema: typeof SCHEMA_VERSION;
  readonly kind: 'sandbox';
  readonly state: 'creating' | 'ready' | 'deleting';
  readonly id: SandboxId;
  readonly containerId: string;
  readonly namespace: NamespaceRecord;
  readonly hostname?: string | undefined;
  readonly domainname?: string | undefined;
  readonly files: {
    readonly hosts: string;
    readonly resolvConf: string;
    /** Made by us in our own directory: deleted with the sandbox. */
    readonly directory?: string | undefined;
  };
  readonly extraHosts: Readonly<Record<string, string>>;
  readonly dns: {
    readonly servers?: readonly string[] | undefined;
    readonly search?: readonly string[] | undefined;
    readonly options?: readonly string[] | undefined;
    readonly aliases?: Readonly<Record<string, string>> | undefined;
  };
  readonly createdAt: string;
}

export type StoredRecord = NetworkRecord | EndpointRecord | SandboxRecord;

/** The key of a record, of libnetwork's shape. */
export function keyOf(record: StoredRecord): string {
  switch (record.kind) {
    case 'network':
    case 'sandbox':
      return `${ROOT}${record.kind}/${record.id}/`;
    case 'endpoint':
      return `${ROOT}endpoint/${record.networkId}/${record.id}/`;
  }
}

/**
 * A stored value as a record.
 * @throws INTERNAL naming the key, when the value is no record of a schema this version knows
 */
export function readRecord(key: string, value: unknown): StoredRecord {
  const record = value as Partial<StoredRecord> | null;
  const kind = key.slice(ROOT.length).split('/', 1)[0];
  if (
    record === null ||
    typeof record !== 'object' ||
    record.kind !== kind ||
    typeof record.id !== 'string'
  ) {
    throw new LibnetworkError(
      'INTERNAL',
      `the record at ${key} can't be read: move the data directory away to start anew`,
      {
        field: key,
        value,
      },
    );
  }
  if (record.schema !== SCHEMA_VERSION) {
    throw new LibnetworkError(
      'INTERNAL',
      `the record at ${key} has schema ${String(record.schema)}, this version reads ${SCHEMA_VERSION}: it was written by another version`,
      { field: key, value: record.schema },
    );
  }
  return value as StoredRecord;
}
