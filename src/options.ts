import * as v from 'valibot';
import { type ClusterOptions, cluster } from './clusteroptions.ts';
import type { Datastore } from './datastore/datastore.ts';
import { controllerDns, type DnsOptions, type NetworkDnsOptions, networkDns } from './dnsoptions.ts';
import type {
  DriverFactory,
  EndpointLimits,
  Logger,
  PolicyRule,
  PortRequest,
  Scope,
} from './driverapi/driver.ts';
import { invalid } from './errors.ts';
import {
  address,
  driverOptions,
  exposedPort,
  hostname,
  interfaceName,
  labels,
  line,
  linkLocal,
  macAddress,
  name,
  path,
  pool,
  portRequest,
  priority,
  subnet,
} from './fields.ts';
import { familyOf } from './ip.ts';
import { limits } from './limits.ts';
import type { FirewallEngine } from './osl/firewall/firewall.ts';
import type { Osl } from './osl/osl.ts';
import { type PluginOptions, pluginSettings } from './plugin/options.ts';
import { policy } from './policy.ts';
import type { ExposedPort } from './records.ts';
import { type ServiceOptions, service, serviceChanges } from './serviceoptions.ts';

/** What every call that waits takes. */
export interface Waits {
  /** Aborts the call: what was done so far is undone, and the call throws `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

export interface RotateOptions extends Waits {
  /** How long it waits for the hosts, in milliseconds. @default 30 seconds more than `cluster.leaseMs` */
  readonly timeoutMs?: number | undefined;
}

export interface ControllerOptions {
  /** Directory of the Level store. Omitted: records live in memory and end with the process. */
  readonly dataDir?: string | undefined;
  /** Directory of namespace mounts and sandbox files. @default '/run/libnetwork' */
  readonly runDir?: string | undefined;
  /** The kernel. @default linuxOsl() */
  readonly osl?: Osl | undefined;
  /** Where local records live. @default a Level store in `dataDir`, else memory */
  readonly store?: Datastore | undefined;
  /** Where records of global networks live. @default none */
  readonly globalStore?: Datastore | undefined;
  /** This host among those that share `globalStore`. */
  readonly cluster?: ClusterOptions | undefined;
  /** Drivers beside the built-in ones. */
  readonly drivers?: readonly DriverFactory[] | undefined;
  /** Where networks without a subnet get theirs. @default Docker's pools */
  readonly defaultAddressPools?: readonly { readonly base: string; readonly size: number }[] | undefined;
  /** @default 'nftables' */
  readonly firewall?: FirewallEngine | undefined;
  /**
   * Containers that outlived the last controller: their sandboxes are kept, all others are cleaned up. `'all'`: every
   * sandbox whose namespace is still there. @default none
   */
  readonly activeSandboxes?: readonly string[] | 'all' | undefined;
  /** Makes the networks `bridge`, `host` and `none` where they are not; they can't be deleted. @default false */
  readonly predefined?: boolean | undefined;
  /** Listens at a socket in `runDir` for `libnetwork-setkey`, the hook of container runtimes. @default false */
  readonly runtimeHook?: boolean | undefined;
  /** The host's list of name servers, followed as it changes. @default '/etc/resolv.conf' */
  readonly hostResolvConf?: string | undefined;
  /** Controllers of different instances never touch each other's objects. @default 'default' */
  readonly instance?: string | undefined;
  /** Where plugins are looked for, and their limits. */
  readonly plugins?: PluginOptions | undefined;
  /** How the name servers of the sandboxes run, and their limits. */
  readonly dns?: DnsOptions | undefined;
  /** @default silent */
  readonly logger?: Logger | undefined;
}

export interface PoolOptions {
  /** `10.9.0.0/24`; omitted: the next free default pool. */
  readonly subnet?: string | undefined;
  /** The part of the subnet that dynamic addresses come from. */
  readonly ipRange?: string | undefined;
  /** @default the first address of the subnet */
  readonly gateway?: string | undefined;
  /** Addresses of the subnet that are never given to an endpoint, by name. */
  readonly auxAddresses?: Readonly<Record<string, string>> | undefined;
}

export interface NetworkOptions {
  readonly name: string;
  /** @default 'bridge' */
  readonly driver?: string | undefined;
  /** @default true */
  readonly ipv4?: boolean | undefined;
  /** @default false */
  readonly ipv6?: boolean | undefined;
  /** No way in or out but between its endpoints. @default false */
  readonly internal?: boolean | undefined;
  /** Containers that no orchestrator manages may join. Only noted. @default false */
  readonly attachable?: boolean | undefined;
  /** The network that an orchestrator's published ports come in by. @default false */
  readonly ingress?: boolean | undefined;
  /** Whether it outlives the process. One that does not is taken away by the next start. @default true */
  readonly persist?: boolean | undefined;
  /** Where its records live. @default what the driver says */
  readonly scope?: Scope | undefined;
  /** Only holds settings for networks made with `configFrom`. @default false */
  readonly configOnly?: boolean | undefined;
  /** The name of a network whose families, labels, options and address pools are taken. */
  readonly configFrom?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly ipam?:
    | {
        /** @default 'default' */
        readonly driver?: string | undefined;
        readonly options?: Readonly<Record<string, string>> | undefined;
        readonly pools?: readonly PoolOptions[] | undefined;
      }
    | undefined;
  /** Static names, and which other names its sandboxes may ask for. */
  readonly dns?: NetworkDnsOptions | undefined;
  /** Who of its endpoints may talk to whom, and to what outside. The first rule that fits decides. @default all may */
  readonly policy?: readonly PolicyRule[] | undefined;
  /** The driver's options, with Docker's keys. */
  readonly options?: Readonly<Record<string, string | number | boolean>> | undefined;
}

export interface EndpointOptions {
  readonly name: string;
  /** A certain address of the network's subnet. @default any free one */
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  /** @default a random one, locally administered */
  readonly macAddress?: string | undefined;
  /** What policies know it by. @default none */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Further names that other endpoints of the network can resolve. */
  readonly aliases?: readonly string[] | undefined;
  /** Link-local addresses beside the network's: `169.254.7.7`, `fe80::7`. */
  readonly linkLocal?: readonly string[] | undefined;
  /** Its own name is not resolved. @default false */
  readonly anonymous?: boolean | undefined;
  /**
   * All names that others can resolve, instead of its own, the aliases, and the sandbox's; the first is what its
   * addresses resolve to in reverse.
   */
  readonly dnsNames?: readonly string[] | undefined;
  /** Ports that the container listens at. Those with a `name` are found by SRV questions: `_http._tcp.web`. */
  readonly exposedPorts?: readonly Partial<ExposedPort>[] | undefined;
  /** The endpoint with the highest one gives its sandbox's default route. @default 0 */
  readonly gatewayPriority?: number | undefined;
  /** The interface's name in the sandbox. @default the next free `eth` number */
  readonly interfaceName?: string | undefined;
  /** `net.ipv4.conf.IFNAME.forwarding`: `1`; IFNAME stands for the interface. */
  readonly sysctls?: Readonly<Record<string, string>> | undefined;
  readonly options?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Ports to publish on the host. */
  readonly ports?: readonly PortRequest[] | undefined;
  /** How much it may transfer, in bits a second. @default no limit */
  readonly limits?: EndpointLimits | undefined;
  /** The service that it is one of the backends of. @default none */
  readonly service?: ServiceOptions | undefined;
}

export interface JoinOptions extends Waits {
  /** Names that hold as long as this endpoint is joined. */
  readonly aliases?: readonly string[] | undefined;
  /** Replaces the endpoint's `gatewayPriority` for this join. */
  readonly priority?: number | undefined;
}

export interface SandboxOptions {
  readonly containerId: string;
  readonly hostname?: string | undefined;
  readonly domainname?: string | undefined;
  /** Where `/etc/hosts` is written. @default a file under the controller's `runDir` */
  readonly hostsPath?: string | undefined;
  /** Where `/etc/resolv.conf` is written. @default a file under the controller's `runDir` */
  readonly resolvConfPath?: string | undefined;
  /** Lines of `/etc/hosts`: name to address. */
  readonly extraHosts?: Readonly<Record<string, string>> | undefined;
  readonly dns?:
    | {
        readonly servers?: readonly string[] | undefined;
        readonly search?: readonly string[] | undefined;
        readonly options?: readonly string[] | undefined;
        /** Names that only this sandbox knows (links): `{ db: 'postgres-1' }`, or `'postgres-1.back'`. */
        readonly aliases?: Readonly<Record<string, string>> | undefined;
      }
    | undefined;
  /** An existing namespace, such as `/proc/4242/ns/net`; `'host'`: the host's own. @default a new one */
  readonly namespacePath?: string | undefined;
  /** The runtime makes the namespace: until `setKey` tells where it is, joins are only noted. @default false */
  readonly externalKey?: boolean | undefined;
}

/** What `sandbox.refresh` sets anew. What is not named has its default from then on. */
export type RefreshOptions = Pick<SandboxOptions, 'hostname' | 'domainname' | 'extraHosts' | 'dns'>;

const flag = v.optional(v.boolean('must be true or false'), false);
const resolution = {
  hostname: v.optional(hostname),
  domainname: v.optional(hostname),
  extraHosts: v.optional(v.record(hostname, address), {}),
  dns: v.optional(
    v.strictObject({
      servers: v.optional(v.array(address)),
      search: v.optional(v.array(v.union([hostname, v.literal('.')], 'must be a domain name'))),
      options: v.optional(v.array(v.pipe(line, v.regex(/^\S+$/, 'must be one word')))),
      aliases: v.optional(v.record(hostname, hostname)),
    }),
    {},
  ),
};

const schemas = {
  network: v.strictObject({
    name,
    driver: v.optional(name, 'bridge'),
    ipv4: v.optional(v.boolean('must be true or false'), true),
    ipv6: flag,
    internal: flag,
    attachable: flag,
    ingress: flag,
    persist: v.optional(v.boolean('must be true or false')),
    scope: v.optional(v.picklist(['local', 'global'], 'must be "local" or "global"')),
    configOnly: flag,
    configFrom: v.optional(name),
    labels: v.optional(labels, {}),
    ipam: v.optional(
      v.strictObject({
        driver: v.optional(name, 'default'),
        options: v.optional(labels, {}),
        pools: v.optional(v.array(pool), []),
      }),
      {},
    ),
    dns: v.optional(networkDns),
    policy: v.optional(policy),
    options: v.optional(driverOptions, {}),
  }),
  endpoint: v.strictObject({
    name,
    ipv4: v.optional(
      v.pipe(
        line,
        v.check((t) => familyOf(t) === 'ipv4', 'must be an IPv4 address'),
      ),
    ),
    ipv6: v.optional(
      v.pipe(
        line,
        v.check((t) => familyOf(t) === 'ipv6', 'must be an IPv6 address'),
      ),
    ),
    macAddress: v.optional(macAddress),
    aliases: v.optional(v.array(hostname), []),
    linkLocal: v.optional(v.array(linkLocal)),
    anonymous: v.optional(v.boolean('must be true or false')),
    dnsNames: v.optional(v.array(hostname)),
    exposedPorts: v.optional(v.array(exposedPort)),
    gatewayPriority: v.optional(priority, 0),
    interfaceName: v.optional(interfaceName),
    sysctls: v.optional(
      v.record(
        v.pipe(
          v.string(),
          v.regex(
            /^net\.[a-z0-9]+\.[a-z]+\.IFNAME\.[a-z0-9_]+$/,
            'must have the form net.ipv4.conf.IFNAME.name',
          ),
        ),
        line,
      ),
      {},
    ),
    options: v.optional(driverOptions, {}),
    ports: v.optional(v.array(portRequest), []),
    limits: v.optional(limits),
    labels: v.optional(labels),
    service: v.optional(service),
  }),
  serviceChanges,
  join: v.object({
    aliases: v.optional(v.array(hostname), []),
    priority: v.optional(priority),
  }),
  sandbox: v.pipe(
    v.strictObject({
      containerId: name,
      hostsPath: v.optional(path),
      resolvConfPath: v.optional(path),
      namespacePath: v.optional(v.union([v.literal('host'), path], 'must be an absolute path, or "host"')),
      externalKey: flag,
      ...resolution,
    }),
    v.forward(
      v.check(
        (it) => !it.externalKey || it.namespacePath === undefined,
        'and namespacePath exclude each other',
      ),
      ['externalKey'],
    ),
  ),
  refresh: v.strictObject(resolution),
  rename: v.strictObject({ name }),
  setKey: v.strictObject({ path }),
  rotateKeys: v.object({
    timeoutMs: v.optional(
      v.pipe(v.number('must be a number'), v.minValue(0, 'must be 0 milliseconds or more')),
    ),
  }),
  controller: v.object({
    dataDir: v.optional(path),
    runDir: v.optional(path),
    defaultAddressPools: v.optional(
      v.array(
        v.strictObject({
          base: subnet,
          size: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(128)),
        }),
      ),
    ),
    firewall: v.optional(
      v.picklist(['nftables', 'iptables', 'none'], 'must be "nftables", "iptables" or "none"'),
      'nftables',
    ),
    cluster: v.optional(cluster, {}),
    activeSandboxes: v.optional(
      v.union([v.literal('all'), v.array(name)], 'must be container ids, or "all"'),
      [],
    ),
    predefined: flag,
    hostResolvConf: v.optional(path),
    runtimeHook: flag,
    plugins: v.optional(pluginSettings, {}),
    dns: v.optional(controllerDns, {}),
    instance: v.optional(
      v.pipe(
        v.string('must be text'),
        v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}$/, 'must be 1 to 32 letters, digits, "_" and "-"'),
      ),
      'default',
    ),
  }),
} as const;

export type Schemas = typeof schemas;
export type Parsed<K extends keyof Schemas> = v.InferOutput<Schemas[K]>;

/**
 * Checks options from outside and fills in the defaults.
 * @throws INVALID_ARGUMENT naming the field and the value
 */
export function parseOptions<K extends keyof Schemas>(kind: K, input: unknown): Parsed<K> {
  const result = v.safeParse(schemas[kind] as v.GenericSchema<unknown, Parsed<K>>, input, {
    abortEarly: true,
  });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw invalid(v.getDotPath(issue) ?? kind, issue.input, problem(issue));
}

/** The library's own words for shapes are hard to read; ours say what is wrong. */
function problem(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' && issue.expected === 'never') return 'is not an option';
  return issue.message.startsWith('Invalid ')
    ? `must be ${issue.expected ?? 'something else'}`
    : issue.message;
}
