/** Services, as the endpoints of a network tell of them: each says which one it is of. */
import type { EndpointPlace, ServicePlace } from './topology.ts';
import { compareNames, countText, plainAddress } from './words.ts';

export interface ServiceGroup {
  readonly service: ServicePlace;
  readonly endpoints: readonly EndpointPlace[];
}

/** Those of one network, by name. */
export function servicesOf(endpoints: readonly EndpointPlace[], network: string): ServiceGroup[] {
  const groups = new Map<string, { service: ServicePlace; endpoints: EndpointPlace[] }>();
  for (const endpoint of endpoints) {
    const { service, networkId } = endpoint;
    if (!service || networkId !== network) continue;
    const group = groups.get(service.name);
    if (group) group.endpoints.push(endpoint);
    else groups.set(service.name, { service, endpoints: [endpoint] });
  }
  return [...groups.values()].sort((a, b) => compareNames(a.service.name, b.service.name));
}

/** `10.9.0.4`; `by name` where there is no virtual address. */
export function virtualText({ mode, ipv4, ipv6 }: ServicePlace): string {
  if (mode === 'dnsrr') return 'by name, each in turn';
  return [ipv4, ipv6].flatMap((address) => plainAddress(address) ?? []).join(', ');
}

/** What an endpoint has to do with its service. */
export function membershipText(service: ServicePlace): string {
  return `${service.name}, ${virtualText(service)}${service.enabled ? '' : ', drained'}`;
}

/** How many take new connections: those that are in a sandbox, here or on another host, and not drained. */
export function liveText({ endpoints }: ServiceGroup): string {
  const live = endpoints.filter(isLive).length;
  return live === endpoints.length
    ? countText(live, 'endpoint')
    : `${live} of ${countText(endpoints.length, 'endpoint')} live`;
}

function isLive({ service, sandboxId, host }: EndpointPlace): boolean {
  return service?.enabled === true && (sandboxId !== undefined || host !== undefined);
}
