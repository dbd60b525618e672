/** A sandbox's default routes, and the ports that are published for the families they serve. */
import type { Core } from './core.ts';
import type { Driver, PortBinding } from './driverapi/driver.ts';
import { placeOf } from './driverviews.ts';
import type { EndpointEntry } from './endpoint.ts';
import {
  chooseGateways,
  type GatewayCandidate,
  type Gateways,
  isGatewayEndpoint,
  publishedFamilies,
} from './gateway.ts';
import type { EndpointId } from './ids.ts';
import { FAMILIES, type Family } from './ip.ts';
import type { Waits } from './options.ts';
import type { Change } from './osl/osl.ts';
import type { EndpointRecord, JoinRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';

/** A driver's gateways that stand for a default route without a next hop. */
const ON_LINK: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

export const NO_FAMILY = { ipv4: false, ipv6: false } as const;

/** Which endpoints give a sandbox's default routes now. */
export function gatewaysOf(sandbox: SandboxEntry): Gateways {
  return chooseGateways(candidatesOf(sandbox));
}

/** The joined endpoints of a sandbox, with what decides about its gateways. */
export function candidatesOf(sandbox: SandboxEntry): readonly GatewayCandidate[] {
  return [...sandbox.endpoints.values()].flatMap(({ record, network }) =>
    record.join === undefined
      ? []
      : [
          {
            endpointId: record.id,
            priority: record.join.priority,
            fallback: isGatewayEndpoint({ record, network }),
            internal: network.record.internal,
            networkName: network.record.name,
            order: record.join.order,
            ipv4: record.ipv4 !== undefined && gives(record.join, 'ipv4'),
            ipv6: record.ipv6 !== undefined && gives(record.join, 'ipv6'),
          },
        ],
  );
}

function gatewayOf(join: JoinRecord, family: Family): string | undefined {
  return family === 'ipv4' ? join.gateway4 : join.gateway6;
}

function gives(join: JoinRecord, family: Family): boolean {
  return gatewayOf(join, family) !== undefined;
}

export function defaultRoute(record: EndpointRecord, family: Family): Change[] {
  const gateway = record.join && gatewayOf(record.join, family);
  if (record.join === undefined || gateway === undefined) return [];
  const route = { op: 'replaceRoute', destination: 'default', family } as const;
  const link = record.join.interfaceName;
  return [ON_LINK.has(gateway) ? { ...route, link, scope: 'link' } : { ...route, link, gateway }];
}

/** Gives the default routes to the endpoints that have them now. A route goes by itself with its link. */
export async function setDefaultRoutes(
  sandbox: SandboxEntry,
  before: Gateways,
  after: Gateways,
): Promise<void> {
  const changes = FAMILIES.flatMap((family) => {
    const id = after[family];
    const record = id === undefined || id === before[family] ? undefined : sandbox.endpoints.get(id)?.record;
    return record ? defaultRoute(record, family) : [];
  });
  if (changes.length > 0) await sandbox.namespace?.apply(changes);
}

/** Publishes for the families given; an endpoint without ports needs nothing, unless its driver wants to know. */
export async function publish(
  driver: Driver,
  entry: EndpointEntry,
  families: { readonly ipv4: boolean; readonly ipv6: boolean },
  { prefer, signal }: { readonly prefer?: readonly PortBinding[] | undefined } & Waits = {},
): Promise<readonly PortBinding[]> {
  if (!driver.publish || !concerns(driver, entry.record)) return [];
  const { network, endpoint } = placeOf(entry);
  return driver.publish(
    { network, endpoint: prefer ? { ...endpoint, bindings: prefer } : endpoint },
    families,
    { signal },
  );
}

function concerns({ capability }: Driver, { ports }: EndpointRecord): boolean {
  return ports.length > 0 || capability.followsGateway === true;
}

/** What the other endpoints of a sandbox have published, to be preferred when a change is taken back. */
export function bindingsOf(sandbox: SandboxEntry): Bindings {
  return new Map(
    [...sandbox.endpoints.values()].map(({ record }) => [record.id, record.join?.bindings ?? []]),
  );
}

export type Bindings = ReadonlyMap<EndpointId, readonly PortBinding[]>;

/** The other endpoints of a sandbox publish for the families that they are now the gateway of. */
export async function republish(
  core: Core,
  sandbox: SandboxEntry,
  before: Gateways,
  after: Gateways,
  except: EndpointEntry,
  { prefer, signal }: { readonly prefer?: Bindings | undefined } & Waits = {},
): Promise<void> {
  for (const other of sandbox.endpoints.values()) {
    const { record } = other;
    const driver = core.driver(other.network.record.driver);
    if (other === except || record.join === undefined || !concerns(driver, record)) continue;
    const was = publishedFamilies(record.id, before);
    const is = publishedFamilies(record.id, after);
    if (was.ipv4 === is.ipv4 && was.ipv6 === is.ipv6) continue;
    const bindings = await publish(driver, other, is, { prefer: prefer?.get(record.id), signal });
    await core.save(other, { ...record, join: { ...record.join, bindings } });
    const { networkId, id: endpointId, name } = record;
    core.events.emit('endpoint:update', { networkId, endpointId, name });
  }
}
