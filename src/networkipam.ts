/** A network's address pools as its users see them. */
import type { NetworkRecord, RequestedPool } from './records.ts';

/** Where a network's addresses come from. */
export interface NetworkIpam {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly pools: readonly NetworkPool[];
}

/** One address pool of a network. */
export interface NetworkPool {
  readonly subnet: string;
  readonly ipRange: string | undefined;
  /** Without the prefix's length: `10.9.0.1`. */
  readonly gateway: string | undefined;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

/** What only holds settings was given no pools: it shows those that were asked for. */
export function publicIpam({ ipam, pools, configOnly }: NetworkRecord): NetworkIpam {
  const shown: readonly RequestedPool[] = configOnly ? ipam.requested : pools;
  const options = Object.freeze({ ...ipam.options });
  return Object.freeze({ driver: ipam.driver, options, pools: Object.freeze(shown.flatMap(publicPool)) });
}

function publicPool({ subnet, ipRange, gateway, auxAddresses }: RequestedPool): NetworkPool[] {
  if (subnet === undefined) return [];
  const plain = (cidr: string): string => cidr.split('/')[0] ?? cidr;
  const aux = Object.entries(auxAddresses).map(([name, address]) => [name, plain(address)]);
  return [
    Object.freeze({
      subnet,
      ipRange,
      gateway: gateway === undefined ? undefined : plain(gateway),
      auxAddresses: Object.freeze(Object.fromEntries(aux)),
    }),
  ];
}
