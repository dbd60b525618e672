import * as v from 'valibot';
import { type NetworkDnsOptions, networkDns } from './dnsoptions.ts';
import type { PolicyRule, Scope } from './driverapi/driver.ts';
import { driverOptions, fields, flag, labels, name, pool } from './fields.ts';
import { policy } from './policy.ts';

/** One address pool of a network: its family is that of the subnet, or of the gateway. */
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

/** What `controller.createNetwork` takes. */
export interface NetworkOptions {
  /** Unique among the controller's networks. */
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
  /** What its user knows it by; no part of this package looks at them. @default none */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Where its addresses come from. @default one free default pool for each family that is on */
  readonly ipam?:
    | {
        /** @default 'default' */
        readonly driver?: string | undefined;
        /** What the IPAM driver is told. @default none */
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

export const network = v.strictObject({
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
    fields({
      driver: v.optional(name, 'default'),
      options: v.optional(labels, {}),
      pools: v.optional(v.array(pool), []),
    }),
    {},
  ),
  dns: v.optional(networkDns),
  policy: v.optional(policy),
  options: v.optional(driverOptions, {}),
});
