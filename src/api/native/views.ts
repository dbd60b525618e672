/** Objects as dnet's own API shows them; the client's types are these. */
import type {
  Endpoint,
  EndpointLimits,
  EndpointService,
  Network,
  NetworkPool,
  PortBinding,
  Sandbox,
} from '../../index.ts';
import type { ApiContext } from '../context.ts';

export interface NetworkView {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly scope: 'local' | 'global';
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  readonly configFrom?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string | number | boolean>>;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>>;
    readonly pools: readonly NetworkPool[];
  };
  readonly createdAt: string;
  /** How many. */
  readonly endpoints: number;
}

export interface EndpointView {
  readonly id: string;
  readonly name: string;
  readonly networkId: string;
  readonly network: string;
  readonly sandboxId?: string | undefined;
  readonly containerId?: string | undefined;
  /** With the prefix's length. */
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly macAddress?: string | undefined;
  readonly interfaceName?: string | undefined;
  readonly aliases: readonly string[];
  readonly linkLocal: readonly string[];
  readonly ports: readonly PortBinding[];
  readonly limits: EndpointLimits;
  readonly labels: Readonly<Record<string, string>>;
  readonly service?: EndpointService | undefined;
}

export interface SandboxView {
  readonly id: string;
  readonly containerId: string;
  readonly namespacePath: string;
  readonly hostname?: string | undefined;
  readonly hostsPath: string;
  readonly resolvConfPath: string;
  readonly endpoints: readonly EndpointView[];
}

/** A published port, and whose it is. */
export interface PortView extends PortBinding {
  readonly endpointId: string;
  readonly endpoint: string;
  readonly network: string;
  readonly containerId?: string | undefined;
}

export interface HealthView {
  readonly status: 'ok';
  readonly version: string;
  readonly kernel: 'linux' | 'fake';
  readonly instance: string;
  readonly startedAt: string;
  readonly uptimeSeconds: number;
}

export function networkView(network: Network): NetworkView {
  return {
    id: network.id,
    name: network.name,
    driver: network.driver,
    scope: network.scope,
    ipv4: network.ipv4,
    ipv6: network.ipv6,
    internal: network.internal,
    attachable: network.attachable,
    configOnly: network.configOnly,
    configFrom: network.configFrom,
    labels: network.labels,
    options: network.options,
    ipam: network.ipam,
    createdAt: network.createdAt.toISOString(),
    endpoints: network.endpoints().length,
  };
}

export function endpointView({ controller }: ApiContext, endpoint: Endpoint): EndpointView {
  const { sandboxId, networkId } = endpoint;
  return {
    id: endpoint.id,
    name: endpoint.name,
    networkId,
    network: controller.network(networkId)?.name ?? '',
    sandboxId,
    containerId: sandboxId === undefined ? undefined : controller.sandbox(sandboxId)?.containerId,
    ipv4: endpoint.ipv4,
    ipv6: endpoint.ipv6,
    macAddress: endpoint.macAddress,
    interfaceName: endpoint.interfaceName,
    aliases: endpoint.aliases,
    linkLocal: endpoint.linkLocal,
    ports: endpoint.ports,
    limits: endpoint.limits,
    labels: endpoint.labels,
    service: endpoint.service,
  };
}

export function sandboxView(context: ApiContext, sandbox: Sandbox): SandboxView {
  return {
    id: sandbox.id,
    containerId: sandbox.containerId,
    namespacePath: sandbox.namespacePath,
    hostname: sandbox.hostname,
    hostsPath: sandbox.hostsPath,
    resolvConfPath: sandbox.resolvConfPath,
    endpoints: sandbox.endpoints().map((endpoint) => endpointView(context, endpoint)),
  };
}

export function portViews(context: ApiContext): PortView[] {
  return context.controller.networks().flatMap((network) =>
    network.endpoints().flatMap((endpoint) => {
      const { id, name, ports, containerId } = endpointView(context, endpoint);
      return ports.map((binding) => ({
        ...binding,
        endpointId: id,
        endpoint: name,
        network: network.name,
        containerId,
      }));
    }),
  );
}
