/** Which subnet a range, a gateway or an auxiliary address belongs to. */
import { BlockList, isIPv6 } from 'node:net';
import { LibnetworkError } from '../errors.ts';

export interface PoolFlags {
  readonly subnets: readonly string[];
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  readonly aux: readonly (readonly [name: string, address: string])[];
}

export interface Pool {
  readonly subnet: string;
  readonly ipRange?: string | undefined;
  readonly gateway?: string | undefined;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

/** @throws INVALID_ARGUMENT for what lies in no subnet, or for two of one kind in one */
export function poolsOf({ subnets, ranges, gateways, aux }: PoolFlags): Pool[] {
  const holds = subnets.map(tester);
  const home = (field: string, value: string): number => {
    const at = holds.findIndex((test) => test(value.split('/', 1)[0] ?? value));
    if (at >= 0) return at;
    throw new LibnetworkError('INVALID_ARGUMENT', `${field}: no matching --subnet for ${value}`, {
      field,
      value,
    });
  };
  const perSubnet = (field: string, values: readonly string[]): Map<number, string> => {
    const map = new Map<number, string>();
    for (const value of values) {
      const at = home(field, value);
      if (map.has(at))
        throw new LibnetworkError('INVALID_ARGUMENT', `${field}: two in the subnet ${subnets[at]}`, {
          field,
          value,
        });
      map.set(at, value);
    }
    return map;
  };
  const rangeOf = perSubnet('ip-range', ranges);
  const gatewayOf = perSubnet('gateway', gateways);
  const auxHomes = aux.map(([name, address]) => ({ at: home('aux-address', address), name, address }));
  return subnets.map((subnet, i) => ({
    subnet,
    ipRange: rangeOf.get(i),
    gateway: gatewayOf.get(i),
    auxAddresses: Object.fromEntries(
      auxHomes.filter(({ at }) => at === i).map(({ name, address }) => [name, address]),
    ),
  }));
}

function tester(subnet: string): (address: string) => boolean {
  const [base = '', length = ''] = subnet.split('/');
  const family = isIPv6(base) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  try {
    list.addSubnet(base, Number(length), family);
  } catch (error) {
    throw new LibnetworkError('INVALID_ARGUMENT', `subnet: must be such as 10.9.0.0/24, got ${subnet}`, {
      field: 'subnet',
      value: subnet,
      cause: error,
    });
  }
  return (address) => isIPv6(address) === (family === 'ipv6') && list.check(address, family);
}
