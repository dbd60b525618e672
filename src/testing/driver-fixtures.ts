/** What the driver suite works with: a world to act in, and networks and endpoints as the core would give them. */
import type {
  Driver,
  DriverEndpoint,
  DriverFactory,
  DriverNetwork,
  DriverOptions,
  DriverState,
  EndpointDecision,
  EndpointPlace,
  JoinResult,
  Logger,
  NumberRange,
  PortRequest,
} from '../driverapi/driver.ts';
import { type EndpointId, type NetworkId, newId } from '../ids.ts';
import { createIdm } from '../ipam/idm.ts';
import type { Firewall } from '../osl/firewall/firewall.ts';
import type { Namespace, Osl } from '../osl/osl.ts';
import type { Faults } from './faults.ts';

/** A machine with one process on it. */
export interface DriverWorld {
  readonly osl: Osl;
  readonly firewall: Firewall;
  /** @default '/run/libnetwork' */
  readonly runDir?: string;
  /** A new sandbox's namespace, open in this process; by the same name again, the same one. */
  sandbox(name: string): Promise<Namespace>;
  /** The end of a sandbox, with all that is in it. */
  endSandbox(name: string): Promise<void>;
  /** All of the kernel's state that a driver could change, as data that can be compared. */
  dump(): Promise<unknown>;
  close(): Promise<void>;
}

export interface OpenWorld {
  /** Strikes at one of the steps of this process. */
  readonly faults?: Faults | undefined;
  /** A world whose process has died: the new process runs on the same machine. */
  readonly after?: DriverWorld | undefined;
}

export interface DriverSubject {
  /** Shown in the tests' names. */
  readonly name: string;
  readonly factory: DriverFactory;
  readonly open: (options: OpenWorld) => Promise<DriverWorld>;
  /** Options without which the driver makes no network, for the `n`th one; with those that it would allocate. */
  readonly options?: DriverOptions | ((n: number) => DriverOptions);
  /**
   * What is not as the suite expects. `single-network`: there can be one network at most. `no-ports`: nothing is
   * published. `no-mac`: its endpoints have no MAC address of their own. `no-faults`: the world can't be made to fail,
   * so the tests of failures are left out. `no-names`: it is not told what networks and endpoints are called.
   * `no-repair`: it can't compare the kernel with the records. `all-families`: it publishes for all families of an
   * endpoint, or for none.
   */
  readonly deviations?: readonly DriverDeviation[];
}

export type DriverDeviation =
  | 'single-network'
  | 'no-ports'
  | 'no-mac'
  | 'no-faults'
  | 'no-names'
  | 'no-repair'
  | 'all-families';

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** The `n`th network: `10.9.n.0/24` and `fd00:9:n::/64`. */
export function networkOf(subject: DriverSubject, n = 1, more: Partial<DriverNetwork> = {}): DriverNetwork {
  return {
    id: newId<NetworkId>(),
    name: `net${n}`,
    internal: false,
    ipv4: [{ subnet: `10.9.${n}.0/24`, gateway: `10.9.${n}.1/24`, auxAddresses: {} }],
    ipv6: [{ subnet: `fd00:9:${n}::/64`, gateway: `fd00:9:${n}::1/64`, auxAddresses: {} }],
    options: typeof subject.options === 'function' ? subject.options(n) : (subject.options ?? {}),
    ...more,
  };
}

/** The `host`th address of a network's subnets. */
export function endpointOf(
  network: DriverNetwork,
  host = 2,
  more: Partial<DriverEndpoint> = {},
): DriverEndpoint {
  const addressIn = (subnet: string | undefined): string | undefined =>
    subnet?.replace(/([.:])0?\//, `$1${host}/`);
  return {
    id: newId<EndpointId>(),
    networkId: network.id,
    name: `ep${host}`,
    macAddress: `02:42:0a:09:00:${host.toString(16).padStart(2, '0')}`,
    ipv4: addressIn(network.ipv4[0]?.subnet),
    ipv6: addressIn(network.ipv6[0]?.subnet),
    options: {},
    ports: [],
    bindings: [],
    ...more,
  };
}

/** What every endpoint of a subject differs in from `endpointOf`'s. */
export function ownWays({ deviations }: DriverSubject): Partial<DriverEndpoint> {
  return deviations?.includes('no-mac') ? { macAddress: undefined } : {};
}

export const port = (container: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  container,
  ...more,
});

export const NO_FAMILY = { ipv4: false, ipv6: false };
export const BOTH_FAMILIES = { ipv4: true, ipv6: true };

/** One process with one driver in it. */
export interface Running {
  readonly world: DriverWorld;
  readonly driver: Driver;
}

export async function start(
  subject: DriverSubject,
  options: OpenWorld = {},
  state?: DriverState,
): Promise<Running> {
  const world = await subject.open(options);
  const { osl, firewall } = world;
  const numbers = (range: NumberRange) => createIdm(range);
  const driver = await subject.factory({
    osl,
    firewall,
    instance: 'contract',
    runDir: world.runDir ?? '/run/libnetwork',
    address: '192.0.2.1',
    numbers,
    logger: silent,
  });
  await driver.restore(state ?? { networks: [], endpoints: [] });
  return { world, driver };
}

export async function stop({ world, driver }: Running): Promise<void> {
  await driver.close?.();
  await world.close();
}

/** Joins as the core does: the link, where there is one, gets its addresses and comes up. */
export async function joinAs(
  { world, driver }: Running,
  { network, endpoint }: EndpointPlace,
  sandbox: string,
  interfaceName = 'eth0',
): Promise<JoinResult> {
  const namespace = await world.sandbox(sandbox);
  return driver.join({ network, endpoint, namespace, interfaceName });
}

/** Leaves as the core does: from a sandbox that is still there. */
export async function leaveAs(
  { world, driver }: Running,
  place: EndpointPlace,
  sandbox: string,
  interfaceName = 'eth0',
): Promise<void> {
  await driver.leave(place, { at: { namespace: await world.sandbox(sandbox), interfaceName } });
}

/** What the core does with a new endpoint. */
export async function makeEndpoint(driver: Driver, place: EndpointPlace): Promise<EndpointDecision> {
  driver.checkEndpoint?.(place);
  const decided = driver.decideEndpoint?.(place) ?? {};
  return { ...decided, ...(await driver.createEndpoint?.(place)) };
}
