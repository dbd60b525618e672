import type { EndpointId } from './ids.ts';

/** What decides whether an endpoint gives its sandbox's default route. */
export interface GatewayCandidate {
  readonly endpointId: EndpointId;
  readonly priority: number;
  readonly internal: boolean;
  /** Of the default-gateway network: gives way to every other one of its priority. */
  readonly fallback?: boolean;
  readonly networkName: string;
  /** The place in the order of joins. */
  readonly order: number;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** The network that gives a way out to sandboxes whose networks have none (upstream's name). */
export const GATEWAY_NETWORK = 'docker_gwbridge';

/** True for an endpoint that the library itself added for the way out. */
export function isGatewayEndpoint(at: {
  readonly network: { readonly record: { readonly name: string } };
  readonly record: { readonly name: string };
}): boolean {
  return at.network.record.name === GATEWAY_NETWORK && at.record.name.startsWith('gateway_');
}

export interface Gateways {
  readonly ipv4: EndpointId | undefined;
  readonly ipv6: EndpointId | undefined;
}

/**
 * The endpoints that give a sandbox's default routes, family by family: the highest priority, then endpoints that are
 * not of the default-gateway network, then those that are not internal, then those with a gateway in more families,
 * then by network name, then the earlier join (the order of current upstream).
 */
export function chooseGateways(candidates: readonly GatewayCandidate[]): Gateways {
  const ranked = inOrderOfGateways(candidates);
  return {
    ipv4: ranked.find((candidate) => candidate.ipv4)?.endpointId,
    ipv6: ranked.find((candidate) => candidate.ipv6)?.endpointId,
  };
}

/** Candidates, the best first. */
export function inOrderOfGateways(candidates: readonly GatewayCandidate[]): readonly GatewayCandidate[] {
  return [...candidates].sort(compare);
}

function compare(a: GatewayCandidate, b: GatewayCandidate): number {
  return (
    b.priority - a.priority ||
    Number(a.fallback ?? false) - Number(b.fallback ?? false) ||
    Number(a.internal) - Number(b.internal) ||
    families(b) - families(a) ||
    (a.networkName < b.networkName ? -1 : a.networkName > b.networkName ? 1 : 0) ||
    a.order - b.order
  );
}

function families(candidate: GatewayCandidate): number {
  return Number(candidate.ipv4) + Number(candidate.ipv6);
}

/**
 * The families that an endpoint publishes its ports for: those it gives the default route of; IPv6 also where no
 * endpoint does and it is the gateway for IPv4 (upstream: the host reaches it on the link).
 */
export function publishedFamilies(
  endpointId: EndpointId,
  gateways: Gateways,
): { ipv4: boolean; ipv6: boolean } {
  const ipv4 = gateways.ipv4 === endpointId;
  return { ipv4, ipv6: gateways.ipv6 === endpointId || (gateways.ipv6 === undefined && ipv4) };
}
