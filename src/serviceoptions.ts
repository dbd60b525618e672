/** What may be said of the service that an endpoint belongs to. */

import * as v from 'valibot';
import { fields, hostname } from './fields.ts';
import { deepFreeze } from './frozen.ts';
import type { EndpointRecord, ServiceMembership, ServiceMode } from './records.ts';

export interface ServiceOptions {
  /** The name that other sandboxes of the network reach it by. */
  readonly name: string;
  /** Further names of the service. */
  readonly aliases?: readonly string[] | undefined;
  /**
   * `vip`: the name stands for one virtual address, and each new connection to it goes to one of the endpoints.
   * `dnsrr`: it stands for the addresses of all of them, in another order each time. All endpoints of a service on a
   * network have the same. @default 'vip'
   */
  readonly mode?: ServiceMode | undefined;
  /** False: it gets nothing new until `update({ service: { enabled: true } })`. @default true */
  readonly enabled?: boolean | undefined;
}

/** What can be changed of it in place. */
export type ServiceChanges = Pick<ServiceOptions, 'enabled'>;

/** What an endpoint says of its service: the virtual addresses in CIDR form, none with `dnsrr`. */
export type EndpointService = Readonly<Omit<ServiceMembership, 'ipv4' | 'ipv6'>> & {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
};

export function publicService({ service }: EndpointRecord): EndpointService | undefined {
  return (
    service &&
    deepFreeze({
      ...service,
      aliases: [...service.aliases],
      ipv4: service.ipv4?.address,
      ipv6: service.ipv6?.address,
    })
  );
}

const MAX_ALIASES = 32;
const enabled = v.boolean('must be true or false');

export const service = v.strictObject({
  name: hostname,
  aliases: v.optional(
    v.pipe(v.array(hostname), v.maxLength(MAX_ALIASES, `must be ${MAX_ALIASES} at most`)),
    [],
  ),
  mode: v.optional(v.picklist(['vip', 'dnsrr'], 'must be "vip" or "dnsrr"'), 'vip'),
  enabled: v.optional(enabled, true),
});
export const serviceChanges = fields({ enabled: v.optional(enabled) });
