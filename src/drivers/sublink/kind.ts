import type { DriverEndpoint, DriverOptions } from '../../driverapi/driver.ts';
import type { LinkSpec } from '../../osl/osl.ts';

/** What tells macvlan and ipvlan apart. Both give each endpoint a link of its own on a parent interface. */
export interface SublinkKind {
  readonly name: 'macvlan' | 'ipvlan';
  /** The parent of a network that names none is a dummy link: this and 12 hex digits of the network's id. */
  readonly dummyPrefix: string;
  /** @throws INVALID_ARGUMENT naming the option */
  parseMode(options: DriverOptions): SublinkMode;
  /** The MAC address of a new endpoint; `undefined` where it has its parent's. @throws INVALID_ARGUMENT */
  decideMac(endpoint: DriverEndpoint): string | undefined;
}

export interface SublinkMode {
  /** For messages: `mode bridge`. */
  readonly title: string;
  /** The parent serves one network only. */
  readonly alone: boolean;
  /** The default route has no next hop: the parent routes. */
  readonly onLink: boolean;
  link(parent: string): LinkSpec;
}
