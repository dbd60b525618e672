import * as v from 'valibot';
import { type ClusterOptions, cluster } from './clusteroptions.ts';
import { controllerParts } from './controllerparts.ts';
import type { Datastore } from './datastore/datastore.ts';
import { controllerDns, type DnsOptions } from './dnsoptions.ts';
import type { DriverFactory, Logger } from './driverapi/driver.ts';
import { fields, flag, line, name, path, subnet } from './fields.ts';
import type { FirewallEngine } from './osl/firewall/firewall.ts';
import type { Osl } from './osl/osl.ts';
import { type PluginOptions, pluginSettings } from './plugin/options.ts';

/** What `NetworkController.open` takes. */
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
  /** What holds for all bridge networks whose own options do not say otherwise; not recorded with them. */
  readonly bridge?:
    | {
        /** Published ports are reached at the container's own address from everywhere. @default false */
        readonly allowDirectRouting?: boolean | undefined;
        /** What bears this mark comes in: `1`, or `0x1/0xff`. @default nothing */
        readonly acceptFwmark?: string | undefined;
      }
    | undefined;
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

export const controller = fields({
  ...controllerParts,
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
  bridge: v.optional(
    fields({
      allowDirectRouting: v.optional(v.boolean('must be true or false')),
      acceptFwmark: v.optional(line),
    }),
    {},
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
});
