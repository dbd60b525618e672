import * as v from 'valibot';
import type { EndpointLimits, PortRequest } from './driverapi/driver.ts';
import {
  driverOptions,
  exposedPort,
  hostname,
  interfaceName,
  labels,
  line,
  linkLocal,
  macAddress,
  name,
  portRequest,
  priority,
  record,
} from './fields.ts';
import { familyOf } from './ip.ts';
import { limits } from './limits.ts';
import type { Waits } from './options.ts';
import type { ExposedPort } from './records.ts';
import { type ServiceOptions, service } from './serviceoptions.ts';

/** What `network.createEndpoint` takes. */
export interface EndpointOptions {
  /** Unique in its network; others resolve it. */
  readonly name: string;
  /** A certain address of the network's subnet. @default any free one */
  readonly ipv4?: string | undefined;
  /** The same for IPv6. */
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
  /** The driver's options, with Docker's keys. @default none */
  readonly options?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Ports to publish on the host. */
  readonly ports?: readonly PortRequest[] | undefined;
  /** How much it may transfer, in bits a second. @default no limit */
  readonly limits?: EndpointLimits | undefined;
  /** The service that it is one of the backends of. @default none */
  readonly service?: ServiceOptions | undefined;
}

/** What `endpoint.join` takes. */
export interface JoinOptions extends Waits {
  /** Names that hold as long as this endpoint is joined. */
  readonly aliases?: readonly string[] | undefined;
  /** Replaces the endpoint's `gatewayPriority` for this join. */
  readonly priority?: number | undefined;
}

export const endpoint = v.strictObject({
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
    record(
      v.pipe(
        line,
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
});

export const join = v.object({
  aliases: v.optional(v.array(hostname), []),
  priority: v.optional(priority),
});
