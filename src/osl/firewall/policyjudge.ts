/** What policies say of a connection, told from the intents alone: as their rules do, without a kernel. Pure. */
import { type Address, contains, formatAddress, parseAddress, parsePrefix } from '../../ip.ts';
import type {
  AllowedIntent,
  Intent,
  MemberIntent,
  PolicyIntent,
  PolicyPeer,
  PolicyPortIntent,
} from './firewall.ts';
import { PROTOCOL_NUMBERS } from './model.ts';
import { canonical } from './names.ts';

/** A connection as it is begun, with the end that it is led to. */
export interface Begun {
  readonly source: Address;
  readonly destination: Address | undefined;
  /** An IP protocol number. */
  readonly protocol: number;
  readonly port: number | undefined;
}

type Way = 'inside' | 'out' | 'in';

/** Both ends, as the rules of one network see them: of its own endpoints the sets that they are in. */
interface Ends {
  readonly way: Way;
  readonly begun: Begun & { readonly destination: Address };
  readonly from: MemberIntent | undefined;
  readonly to: MemberIntent | undefined;
  readonly isNamed: (set: string, address: Address) => boolean;
}

/** Tells connections that a policy denies. Where the host itself is an end, that is taken for somebody outside. */
export function deniedBy(intents: readonly Intent[]): (begun: Begun) => boolean {
  const policies = new Map<string, PolicyIntent>();
  const members = new Map<string, MemberIntent>();
  const named = new Map<string, AllowedIntent>();
  for (const intent of intents) {
    if (intent.kind === 'policy') policies.set(intent.id, intent);
    else if (intent.kind === 'member')
      for (const address of intent.addresses) members.set(canonical(address), intent);
    else if (intent.kind === 'allowed')
      named.set(`${intent.network} ${intent.set} ${canonical(intent.address)}`, intent);
  }
  if (policies.size === 0) return () => false;
  return (begun) => {
    const { source, destination } = begun;
    if (destination === undefined) return false;
    const from = members.get(formatAddress(source));
    const to = members.get(formatAddress(destination));
    const denies = (network: string | undefined, way: Way): boolean => {
      const policy = network === undefined ? undefined : policies.get(network);
      const isNamed = (set: string, address: Address) => {
        const allowed = named.get(`${network} ${set} ${formatAddress(address)}`);
        return allowed !== undefined && allowed.expires > Date.now();
      };
      const ends = { way, begun: { ...begun, destination }, from, to, isNamed };
      return policy !== undefined && judge(policy, ends) === 'deny';
    };
    if (from !== undefined && from.network === to?.network) return denies(from.network, 'inside');
    return denies(from?.network, 'out') || denies(to?.network, 'in');
  };
}

function judge(policy: PolicyIntent, ends: Ends): 'allow' | 'deny' {
  const { source, destination, protocol, port } = ends.begun;
  const rule = policy.rules.find(
    ({ from, to, ports }) =>
      (from?.some((peer) => isPeer(peer, ends, ends.from, source, ends.way === 'in')) ?? true) &&
      (to?.some((peer) => isPeer(peer, ends, ends.to, destination, ends.way === 'out')) ?? true) &&
      (ports?.some((each) => isPort(each, protocol, port)) ?? true),
  );
  return rule?.action ?? 'allow';
}

function isPeer(
  peer: PolicyPeer,
  { isNamed, way }: Ends,
  member: MemberIntent | undefined,
  address: Address,
  isOutside: boolean,
): boolean {
  switch (peer.kind) {
    case 'outside':
      return isOutside;
    case 'host':
      return false;
    case 'members':
      return !isOutside && (member?.sets.includes(peer.set) ?? false);
    case 'names':
      return way === 'out' && isOutside && isNamed(peer.set, address);
    case 'prefix': {
      if (!peer.prefix.includes('/')) return sameAddress(parseAddress(peer.prefix), address);
      const prefix = parsePrefix(peer.prefix);
      return prefix !== undefined && contains(prefix, address);
    }
  }
}

function isPort(
  { protocol: wanted, first, last = first }: PolicyPortIntent,
  protocol: number,
  port: number | undefined,
): boolean {
  if (wanted === 'icmp') return protocol === PROTOCOL_NUMBERS.icmp || protocol === PROTOCOL_NUMBERS.icmpv6;
  if (PROTOCOL_NUMBERS[wanted] !== protocol) return false;
  return first === undefined || (port !== undefined && port >= first && port <= (last ?? first));
}

function sameAddress(one: Address | undefined, other: Address): boolean {
  return one !== undefined && one.family === other.family && one.value === other.value;
}
