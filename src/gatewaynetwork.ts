/**
 * The default-gateway network: a sandbox whose networks have no way out (overlay networks, for one) gets an endpoint
 * on a bridge of its own, which comes and goes with the need for it.
 */
import type { Core } from './core.ts';
import { gatewaysOf } from './defaultroutes.ts';
import type { PortRequest } from './driverapi/driver.ts';
import { placeOf } from './driverviews.ts';
import type { EndpointEntry } from './endpoint.ts';
import { createEndpoint } from './endpointcreation.ts';
import { deleteJoinedEndpoint } from './endpointdeletion.ts';
import { LibnetworkError } from './errors.ts';
import { GATEWAY_NETWORK, isGatewayEndpoint, publishedFamilies } from './gateway.ts';
import { joinLocked } from './join.ts';
import { labels } from './labels.ts';
import type { NetworkEntry } from './network.ts';
import { createNetwork } from './networkcreation.ts';
import type { JoinRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';

/** True where an endpoint needs a way out and none of the sandbox's networks gives one. */
function needsGateway(sandbox: SandboxEntry): boolean {
  let needed = false;
  for (const endpoint of sandbox.endpoints.values()) {
    const { join } = endpoint.record;
    if (!join || join.pending || isGatewayEndpoint(endpoint)) continue;
    if (givesWayOut(join)) return false;
    if (!join.disableGatewayService && !endpoint.network.record.internal) needed = true;
  }
  return needed;
}

function givesWayOut({ gateway4, gateway6, routes }: JoinRecord): boolean {
  const isDefault = ({ destination }: { readonly destination: string }) =>
    /^(0\.0\.0\.0|::)\/0$/.test(destination);
  return gateway4 !== undefined || gateway6 !== undefined || routes.some(isDefault);
}

function gatewayEndpointOf(sandbox: SandboxEntry): EndpointEntry | undefined {
  for (const endpoint of sandbox.endpoints.values()) if (isGatewayEndpoint(endpoint)) return endpoint;
  return undefined;
}

/** True where `settleGateway` has something to do: most sandboxes never do. */
export function isGatewayUnsettled(sandbox: SandboxEntry): boolean {
  return needsGateway(sandbox) !== (gatewayEndpointOf(sandbox) !== undefined) || portsDiffer(sandbox);
}

/**
 * Adds the endpoint on the default-gateway network, takes it away, or publishes through it what the sandbox's other
 * endpoints now ask for. The sandbox's lock is held, and no endpoint's.
 */
export async function settleGateway(core: Core, sandbox: SandboxEntry): Promise<void> {
  const endpoint = gatewayEndpointOf(sandbox);
  if (needsGateway(sandbox))
    await (endpoint ? republishThrough(core, sandbox, endpoint) : add(core, sandbox));
  else if (endpoint) await remove(core, sandbox, endpoint);
}

/**
 * The same where it is no part of what was asked for: a failure is logged, and it is tried again at the next chance.
 */
export async function trySettleGateway(core: Core, sandbox: SandboxEntry): Promise<void> {
  if (sandbox.record.state !== 'ready' || !isGatewayUnsettled(sandbox)) return;
  try {
    await settleGateway(core, sandbox);
  } catch (error) {
    core.logger.warn(`container ${sandbox.record.containerId} has no default gateway`, { error });
  }
}

async function add(core: Core, sandbox: SandboxEntry): Promise<void> {
  const network = await gatewayNetwork(core);
  const { containerId, id } = sandbox.record;
  const name = `gateway_${containerId.length <= 12 ? containerId : id.slice(0, 12)}`;
  const made = await createEndpoint(core, network, { name, ports: portsOf(sandbox) }, undefined);
  const endpoint = core.endpoints.get(made.id);
  if (!endpoint) throw new LibnetworkError('INTERNAL', `endpoint ${name} is gone`);
  try {
    await joinLocked(core, endpoint, sandbox, { aliases: [] }, undefined);
  } catch (error) {
    await deleteJoinedEndpoint(core, endpoint, sandbox, true);
    throw error;
  }
}

/** What can't be taken away now is tried again with the next join or leave. */
async function remove(core: Core, sandbox: SandboxEntry, endpoint: EndpointEntry): Promise<void> {
  try {
    await deleteJoinedEndpoint(core, endpoint, sandbox, false);
  } catch (error) {
    core.logger.warn(`the gateway endpoint of container ${sandbox.record.containerId} could not be removed`, {
      error,
    });
  }
}

/** Ports of endpoints whose own drivers publish none go through the gateway. */
function portsOf(sandbox: SandboxEntry): readonly PortRequest[] {
  return [...sandbox.endpoints.values()]
    .filter((endpoint) => !isGatewayEndpoint(endpoint) && !endpoint.network.record.internal)
    .flatMap(({ record }) => record.ports);
}

function portsDiffer(sandbox: SandboxEntry): boolean {
  const endpoint = gatewayEndpointOf(sandbox);
  return endpoint !== undefined && JSON.stringify(endpoint.record.ports) !== JSON.stringify(portsOf(sandbox));
}

async function republishThrough(core: Core, sandbox: SandboxEntry, endpoint: EndpointEntry): Promise<void> {
  if (!portsDiffer(sandbox)) return;
  await core.locks.with('endpoint', endpoint.record.id, undefined, async () => {
    const { record } = endpoint;
    const { join } = record;
    if (!join) return;
    const driver = core.driver(endpoint.network.record.driver);
    const { network, endpoint: before } = placeOf(endpoint);
    const ports = portsOf(sandbox);
    const families = publishedFamilies(record.id, gatewaysOf(sandbox));
    const bindings = (await driver.publish?.({ network, endpoint: { ...before, ports } }, families)) ?? [];
    await core.save(endpoint, { ...record, ports, join: { ...join, bindings } });
  });
}

const making = new WeakMap<Core, Promise<NetworkEntry>>();

/** The network, made when it is needed first, once however many sandboxes ask at the same time. */
async function gatewayNetwork(core: Core): Promise<NetworkEntry> {
  const there = core.networksByName.get(GATEWAY_NETWORK);
  if (there?.record.state === 'ready') return there;
  const made = making.get(core) ?? makeGatewayNetwork(core);
  making.set(core, made);
  try {
    return await made;
  } finally {
    making.delete(core);
  }
}

async function makeGatewayNetwork(core: Core): Promise<NetworkEntry> {
  const options = {
    [labels.bridge.name]: GATEWAY_NETWORK,
    [labels.bridge.enableIcc]: false,
    [labels.bridge.enableIpMasquerade]: true,
  };
  const { id } = await createNetwork(core, { name: GATEWAY_NETWORK, options }, undefined);
  const entry = core.networks.get(id);
  if (!entry) throw new LibnetworkError('INTERNAL', `network ${GATEWAY_NETWORK} is gone`);
  return entry;
}
