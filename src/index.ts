/** The public surface, and the one file that knows both the core and its default parts. */

import { tmpdir } from 'node:os';
import { extname } from 'node:path';
import { untilUndone } from './abortable.ts';
import {
  type ControllerParts,
  NetworkController as CoreController,
  type StartOptions,
} from './controller.ts';
import type { ControllerOptions } from './controlleroptions.ts';
import type { PluginParts } from './core.ts';
import type { Datastore } from './datastore/datastore.ts';
import { levelStore } from './datastore/level.ts';
import { memoryStore } from './datastore/memory.ts';
import { removeEmpty } from './directories.ts';
import type { DriverHost, Logger, NumberRange } from './driverapi/driver.ts';
import { DriverRegistry } from './driverapi/registry.ts';
import { bridgeDriverWith } from './drivers/bridge/bridge.ts';
import { builtinDrivers } from './drivers/index.ts';
import { remoteDriver } from './drivers/remote/remote.ts';
import { invalid, throwIfAborted } from './errors.ts';
import { SharedKeyring } from './globalscope/keyring.ts';
import { StartingStore } from './globalscope/startingstore.ts';
import { hostIdentity } from './ipam/default.ts';
import { createIdm, createIpam, nullIpam } from './ipam/index.ts';
import { remoteIpam } from './ipam/remote/remote.ts';
import { parseOptions, type Waits } from './options.ts';
import type { FirewallEngine } from './osl/firewall/firewall.ts';
import { linuxOsl } from './osl/linux/index.ts';
import type { Namespace, Osl } from './osl/osl.ts';
import { Plugins } from './plugin/plugins.ts';
import type { OnAllowed } from './resolver/allowed.ts';
import { NameTable } from './resolver/names.ts';
import { type NameServers, type NameServersOptions, nameServersHere } from './resolver/servers.ts';
import { NameServerThread } from './resolver/threadservers.ts';

/** The entry point: owns drivers, IPAM, the stores and every object. */
export class NetworkController extends CoreController {
  /**
   * Opens a controller: reads its records, settles what an earlier one left half done, and takes up the sandboxes
   * of `activeSandboxes`; those of other containers are cleaned up.
   * @throws CONFLICT when another controller has the data directory, naming it; INVALID_ARGUMENT naming the option;
   * INTERNAL for records that can't be read; FORBIDDEN without the privileges, saying which; ABORTED: what was settled
   * by then stays settled, and everything is closed again
   */
  static async open(options: ControllerOptions = {}, waits: Waits = {}): Promise<NetworkController> {
    const { signal } = parseOptions('waits', waits);
    return untilUndone(NetworkController.#open(options, signal), signal);
  }

  static async #open(
    options: ControllerOptions,
    signal: AbortSignal | undefined,
  ): Promise<NetworkController> {
    throwIfAborted(signal);
    const opened: (() => Promise<void>)[] = [];
    const assembled = assemble(options, opened);
    const { parts, start, plugins, allowances, shared } = await assembled.catch(async (error: unknown) => {
      for (const close of opened.reverse()) await close();
      throw error;
    });
    const controller = new NetworkController(parts);
    allowances.tell = (id, name, addresses) => controller.allowAddresses(id, name, addresses);
    try {
      const begin = () => plugins.whileStarting(() => controller.start(start, signal));
      await (shared ? shared.whileStarting(begin) : begin());
    } catch (error) {
      // Namespaces and ports that it has taken up already are let go of.
      await controller.close().catch((failure: unknown) => {
        parts.logger.error('a controller that could not start could not be closed either', {
          error: failure,
        });
      });
      throw error;
    }
    return controller;
  }
}

interface Assembled {
  readonly parts: ControllerParts;
  readonly start: StartOptions;
  readonly plugins: Plugins;
  readonly allowances: Allowances;
  readonly shared: StartingStore | undefined;
}

async function assemble(options: ControllerOptions, opened: (() => Promise<void>)[]): Promise<Assembled> {
  const {
    osl: givenOsl,
    store: givenStore,
    globalStore: givenGlobal,
    drivers: more = [],
    logger = silent,
    dataDir,
    runDir,
    instance,
    firewall: engine,
    defaultAddressPools,
    bridge,
    cluster,
    activeSandboxes,
    predefined,
    runtimeHook,
    hostResolvConf,
    plugins: pluginSettings,
    dns: { worker, ...limits },
  } = parseOptions('controller', options);
  const own = <T extends { close(): Promise<void> }>(part: T): T => {
    opened.push(() => part.close());
    return part;
  };
  const osl = givenOsl ?? own(linuxOsl({ logger }));
  const runDirectory = runDir ?? defaultRunDir(osl);
  // The fake kernel's is this process's alone, and in nobody's way once it is empty.
  if (runDir === undefined && osl.kind === 'fake') opened.push(async () => removeEmpty(runDirectory));
  const store = givenStore ?? own(await openStore(dataDir));
  const firewall = own(await osl.host.firewall({ engine, table: `libnetwork-${instance}` }));
  const names = new NameTable();
  const allowances: Allowances = { tell: undefined };
  const onAllowed: OnAllowed = async (...told) => await allowances.tell?.(...told);
  const nameServers = own(makeNameServers(worker, osl, { names, limits, logger, onAllowed }));
  const plugins = new Plugins(pluginSettings, logger);
  own({ close: async () => plugins.close() });
  const directory = `${runDirectory}/${instance}`;
  const globalStore = givenGlobal && new StartingStore(givenGlobal, cluster.startTimeoutMs);
  const hostId = globalStore && (await hostIdentity(cluster.hostId, store)());
  const address = cluster.address ?? (globalStore && (await ownAddress(osl.host)));
  const numbers = (range: NumberRange) => createIdm({ ...range, store: globalStore ?? store });
  const { leaseMs, rotateKeysMs: rotateMs } = cluster;
  const shared = globalStore && hostId !== undefined ? { store: globalStore, host: hostId } : undefined;
  const globals = shared && {
    ...shared,
    address,
    leaseMs,
    keyring: new SharedKeyring({ ...shared, rotateMs, logger }),
  };
  const surroundings = { osl, firewall, instance, runDir: directory, address, numbers, logger };
  const host = { ...surroundings, keyring: globals?.keyring };
  const ours = Object.values({ ...builtinDrivers, bridge: bridgeDriverWith(bridge) });
  const made = [...(await DriverRegistry.create([...ours, ...more], host)).drivers];
  const ipam = createIpam({ store, globalStore, hostId, defaultAddressPools });
  const parts: ControllerParts = {
    osl,
    instance,
    runDir: directory,
    store,
    firewall,
    names,
    nameServers,
    hostResolvConf,
    logger,
    drivers: new Map(made.slice(0, ours.length)),
    foreignDrivers: new Map(made.slice(ours.length)),
    ipams: new Map([ipam, nullIpam()].map((it) => [it.name, it])),
    plugins: pluginParts(plugins, logger),
    globals,
    close: [...opened].reverse(),
  };
  const start = { activeSandboxes, predefined, runtimeHook };
  return { parts, start, plugins, allowances, shared: globalStore };
}

/** The name servers are there before the controller that they tell of allowed names. */
interface Allowances {
  tell: OnAllowed | undefined;
}

/** The address that the host would be reached by: of the link that its default route goes by. */
async function ownAddress(host: Namespace): Promise<string | undefined> {
  const ways = (await host.routes()).filter(({ destination }) => destination === 'default');
  const links = new Set(ways.map(({ link }) => link));
  const addresses = (await host.addresses()).filter(({ scope }) => scope === 'global');
  const found = addresses.find(({ link }) => links.has(link)) ?? addresses[0];
  return found?.address.split('/')[0];
}

/** Records of a network must outlive the process only where a directory is given. */
async function openStore(dataDir: string | undefined): Promise<Datastore> {
  return dataDir === undefined ? memoryStore() : levelStore({ path: `${dataDir}/level` });
}

/** The fake kernel's namespaces are no files, but the sandboxes' hosts and resolv.conf are: an ordinary user's place. */
function defaultRunDir(osl: Osl): string {
  return osl.kind === 'fake' ? `${tmpdir()}/libnetwork-${process.pid}` : '/run/libnetwork';
}

/** A thread opens namespaces by their paths, so it needs the kernel that all threads share. */
function makeNameServers(
  inThread: boolean,
  osl: Osl,
  options: Pick<NameServersOptions, 'limits' | 'logger' | 'onAllowed'> & { readonly names: NameTable },
): NameServers {
  const { host } = osl;
  if (!inThread) return nameServersHere({ ...options, host });
  if (osl.kind !== 'linux') throw invalid('dns.worker', true, 'needs the real kernel');
  const oslModule = new URL(`./osl/linux/index${extname(import.meta.url)}`, import.meta.url).href;
  return new NameServerThread({ ...options, hostPath: host.path, oslModule });
}

/** What `driverHost` makes a driver's surroundings of. */
export interface DriverHostOptions {
  readonly osl: Osl;
  /** What tells the driver's objects from others'. */
  readonly instance: string;
  /** @default 'nftables' */
  readonly firewall?: FirewallEngine | undefined;
  /** Where numbers that drivers allocate are kept. @default in memory */
  readonly store?: Datastore | undefined;
  /** @default '/run/libnetwork' and the instance */
  readonly runDir?: string | undefined;
  /** @default silent */
  readonly logger?: Logger | undefined;
}

/** What a driver is made with where no controller makes it: to serve it as a plugin, for one. */
export async function driverHost(options: DriverHostOptions): Promise<DriverHost> {
  const { osl, instance, firewall: engine = 'nftables', store = memoryStore(), logger = silent } = options;
  return {
    osl,
    instance,
    logger,
    firewall: await osl.host.firewall({ engine, table: `libnetwork-${instance}` }),
    runDir: options.runDir ?? `${defaultRunDir(osl)}/${instance}`,
    numbers: (range: NumberRange) => createIdm({ ...range, store }),
  };
}

/** Drivers and IPAMs behind plugins, by the plugins' names. */
function pluginParts(plugins: Plugins, logger: Logger): PluginParts {
  const options = { plugins, logger };
  return {
    driver(name) {
      const part = remoteDriver(name, options);
      return { part, ready: (waits) => part.ready(waits) };
    },
    ipam(name) {
      const part = remoteIpam(name, options);
      return { part, ready: (waits) => part.ready(waits) };
    },
  };
}

const drop = (): void => {
  // A library says nothing unless it is given a logger.
};
const silent: Logger = { debug: drop, info: drop, warn: drop, error: drop };

export type { ClusterHost } from './clusterhosts.ts';
export type { ControllerOptions } from './controlleroptions.ts';
export type { DnsOptions, NetworkDnsOptions } from './dnsoptions.ts';
export type {
  EndpointLimits,
  Logger,
  PolicyPort,
  PolicyRule,
  PolicySelector,
  PortBinding,
  PortRequest,
} from './driverapi/driver.ts';
export { builtinDrivers } from './drivers/index.ts';
export { type RemoteDriver, type RemoteDriverOptions, remoteDriver } from './drivers/remote/remote.ts';
export type { Endpoint } from './endpoint.ts';
export type { EndpointOptions, JoinOptions } from './endpointoptions.ts';
export type { EndpointChanges } from './endpointupdate.ts';
export { type ErrorCode, type ErrorFacts, LibnetworkError } from './errors.ts';
export type { ControllerEvents, EventName, EventStamp, Listener } from './events.ts';
export type { EndpointId, NetworkId, SandboxId } from './ids.ts';
export type { Inspection, SandboxOpen } from './inspect.ts';
export { type Address, contains, formatAddress, parseAddress, parsePrefix } from './ip.ts';
export { type RemoteIpam, type RemoteIpamOptions, remoteIpam } from './ipam/remote/remote.ts';
export { labels } from './labels.ts';
export type { Network } from './network.ts';
export type { NetworkPool } from './networkipam.ts';
export type { NetworkOptions, PoolOptions } from './networkoptions.ts';
export type { NetworkChanges } from './networkupdate.ts';
export type { RotateOptions, Waits } from './options.ts';
export { type KernelCounters, kernelCounters } from './osl/counters.ts';
export type { FirewallChange, Intent } from './osl/firewall/firewall.ts';
export { rulesText } from './osl/firewall/text.ts';
export { type Trace, type TracedPacket, type TraceStep, traceRules } from './osl/firewall/trace.ts';
export { kernelAvailability } from './osl/linux/availability.ts';
export { linuxOsl } from './osl/linux/index.ts';
export type { LinkStatistics, Osl, Route } from './osl/osl.ts';
export type { PluginOptions } from './plugin/options.ts';
export { openPlugins, type Plugins } from './plugin/plugins.ts';
export type { ReconcileOptions, ReconcileReport } from './reconcile.ts';
export type { DnsCounters } from './resolver/servers.ts';
export type { RuntimeHookCall } from './runtimehook.ts';
export type { Sandbox } from './sandbox.ts';
export type { SandboxOptions } from './sandboxoptions.ts';
export type { EndpointService, ServiceChanges, ServiceOptions } from './serviceoptions.ts';
export { OPERATION_CHANNEL, type OperationCounters, type OperationMessage } from './telemetry.ts';
