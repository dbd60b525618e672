/** The names of endpoints and what each sandbox sees of them: a projection of the records. */
import type { Core } from './core.ts';
import { candidatesOf } from './defaultroutes.ts';
import type { EndpointEntry } from './endpoint.ts';
import { inOrderOfGateways, isGatewayEndpoint } from './gateway.ts';
import type { EndpointRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { backendNames } from './services/names.ts';

/** Makes an endpoint's names known to its networks' sandboxes, and the network's names to its sandbox. */
export function showNames(core: Core, entry: EndpointEntry, sandbox: SandboxEntry): void {
  const { record, network } = entry;
  core.names.setEndpoint({
    id: record.id,
    networkId: network.record.id,
    networkName: network.record.name,
    sandboxId: sandbox.record.id,
    names: isGatewayEndpoint(entry) ? [] : namesOf(record, sandbox),
    ipv4: record.ipv4?.address,
    ipv6: record.ipv6?.address,
    services: (record.exposedPorts ?? []).flatMap(({ name, protocol, port }) =>
      name === undefined ? [] : [{ name, protocol, port }],
    ),
  });
  core.services.show(record, network.record);
  showSight(core, sandbox);
}

export function forgetNames(core: Core, entry: EndpointEntry, sandbox: SandboxEntry | undefined): void {
  core.names.removeEndpoint(entry.record.id);
  core.services.hide(entry.record.id);
  if (sandbox) showSight(core, sandbox, entry);
}

/**
 * What a sandbox sees: the networks in the order of their gateways' priority, as upstream asks them. The gateway
 * network came by itself: nobody is looked for there, and it lets no name through that the others don't.
 */
export function showSight(core: Core, sandbox: SandboxEntry, except?: EndpointEntry): void {
  const networks = inOrderOfGateways(candidatesOf(sandbox))
    .map(({ endpointId }) => sandbox.endpoints.get(endpointId))
    .flatMap((entry) =>
      entry === undefined || entry === except || isGatewayEndpoint(entry) ? [] : [entry.network.record.id],
    );
  core.names.setSandbox({ id: sandbox.record.id, networks, aliases: sandbox.record.dns.aliases });
  core.services.see(sandbox, networks);
}

export function namesOf(record: EndpointRecord, sandbox: SandboxEntry): string[] {
  const { containerId, hostname } = sandbox.record;
  const more = [...(record.join?.aliases ?? []), ...backendNames(record.service)];
  if (record.dnsNames) return [...new Set([...record.dnsNames, ...more])];
  const names = [
    record.anonymous ? undefined : record.name,
    ...record.aliases,
    ...(record.join?.aliases ?? []),
    containerId.slice(0, 12),
    hostname,
    ...backendNames(record.service),
  ];
  return [...new Set(names.filter((name) => name !== undefined))];
}
