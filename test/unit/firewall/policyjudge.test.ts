import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Address, familyOf, parseAddress } from '../../../src/ip.ts';
import type {
  AllowedIntent,
  Intent,
  MemberIntent,
  PolicyIntent,
  PolicyPeer,
  PolicyRuleIntent,
} from '../../../src/osl/firewall/firewall.ts';
import { PROTOCOL_NUMBERS } from '../../../src/osl/firewall/model.ts';
import { deniedBy } from '../../../src/osl/firewall/policyjudge.ts';
import { traceRules } from '../../../src/osl/firewall/trace.ts';

const BRIDGES = { a: 'br-a', b: 'br-b' } as const;
type NetworkName = keyof typeof BRIDGES;

/** Endpoints: two of network a, in different sets, and one of b. */
const MEMBERS: readonly (MemberIntent & { readonly network: NetworkName })[] = [
  {
    kind: 'member',
    id: 'web',
    network: 'a',
    bridge: 'br-a',
    addresses: ['10.9.0.2', 'fd00:9::2'],
    sets: ['web'],
  },
  {
    kind: 'member',
    id: 'db',
    network: 'a',
    bridge: 'br-a',
    addresses: ['10.9.0.3', 'fd00:9::3'],
    sets: ['db'],
  },
  {
    kind: 'member',
    id: 'far',
    network: 'b',
    bridge: 'br-b',
    addresses: ['10.8.0.2', 'fd00:8::2'],
    sets: ['web'],
  },
];
const NAMED = { ipv4: '198.51.100.7', ipv6: '2001:db8:7::7' } as const;
const OUTSIDE = ['192.0.2.2', '2001:db8::2', ...Object.values(NAMED)];
const ALLOWED: readonly AllowedIntent[] = Object.entries(NAMED).map(([family, address]) => ({
  kind: 'allowed',
  id: `names ${family}`,
  network: 'a',
  set: 'names',
  address,
  expires: Date.now() + 3_600_000,
}));

const policy = (id: NetworkName, ...rules: readonly Partial<PolicyRuleIntent>[]): PolicyIntent => ({
  kind: 'policy',
  id,
  bridge: BRIDGES[id],
  rules: rules.map((each, i) => ({
    action: 'deny',
    comment: `rule ${i}`,
    from: undefined,
    to: undefined,
    ports: undefined,
    ...each,
  })),
});

const address = (text: string): Address => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
};

type Transport = 'tcp' | 'udp' | 'icmp';
interface Connection {
  readonly from: string;
  readonly to: string;
  readonly protocol: Transport;
  readonly port: number;
}

const begun = ({ from, to, protocol, port }: Connection) => ({
  source: address(from),
  destination: address(to),
  protocol: PROTOCOL_NUMBERS[protocol === 'icmp' && familyOf(to) === 'ipv6' ? 'icmpv6' : protocol],
  port: protocol === 'icmp' ? undefined : port,
});

/** Of an address, the bridge that leads to it; others are reached by the uplink. */
function linkOf(text: string): string {
  return MEMBERS.find(({ addresses }) => addresses.includes(text))?.bridge ?? 'uplink';
}

/** What the rules say of the connection's first packet. */
function ruled(intents: readonly Intent[], { from, to, protocol, port }: Connection): boolean {
  const links = new Map([from, to].map((text) => [address(text).value, linkOf(text)]));
  const { verdict } = traceRules(intents, {
    source: address(from),
    destination: address(to),
    protocol: protocol === 'icmp' && familyOf(to) === 'ipv6' ? 'icmpv6' : protocol,
    ...(protocol !== 'icmp' && { port }),
    iif: linkOf(from),
    route: ({ value }) => links.get(value),
  });
  return verdict === 'drop';
}

describe('what policies deny, told without a kernel', () => {
  const told = (intents: readonly Intent[], from: string, to: string, port = 80) =>
    deniedBy([...MEMBERS, ...ALLOWED, ...intents])(begun({ from, to, protocol: 'tcp', port }));

  it('is nothing without policies', () => {
    expect(told([], '10.9.0.2', '10.9.0.3')).toBe(false);
  });

  it('is told by the first rule that fits, and nothing where none does', () => {
    const web: PolicyPeer = { kind: 'members', set: 'web' };
    const db: PolicyPeer = { kind: 'members', set: 'db' };
    const allow = {
      action: 'allow',
      from: [web],
      to: [db],
      ports: [{ protocol: 'tcp', first: 80 }],
    } as const;
    const rules = policy('a', allow, { to: [db] });
    expect(told([rules], '10.9.0.2', '10.9.0.3')).toBe(false);
    expect(told([rules], '10.9.0.2', '10.9.0.3', 81)).toBe(true);
    expect(told([rules], '10.9.0.3', '10.9.0.2')).toBe(false);
  });

  it('is what either network denies, where two are passed', () => {
    const out = policy('a', { to: [{ kind: 'outside' }] });
    const into = policy('b', { from: [{ kind: 'outside' }] });
    expect(told([out], '10.9.0.2', '10.8.0.2')).toBe(true);
    expect(told([into], '10.9.0.2', '10.8.0.2')).toBe(true);
    expect(told([out, into], '10.9.0.2', '10.9.0.3')).toBe(false);
  });

  it('lets named addresses pass for as long as they stand for a name', () => {
    const rules = policy(
      'a',
      { action: 'allow', to: [{ kind: 'names', set: 'names' }] },
      { to: [{ kind: 'outside' }] },
    );
    expect(told([rules], '10.9.0.2', NAMED.ipv4)).toBe(false);
    const over = ALLOWED.map((each) => ({ ...each, expires: Date.now() - 1 }));
    expect(told([rules, ...over], '10.9.0.2', NAMED.ipv4)).toBe(true);
  });

  it('is of no connection whose end is not known', () => {
    const denies = deniedBy([...MEMBERS, policy('a', {})]);
    const connection = begun({ from: '10.9.0.2', to: '10.9.0.3', protocol: 'tcp', port: 80 });
    expect(denies({ ...connection, destination: undefined })).toBe(false);
  });

  it('is what the rules drop, whatever the policies', () => {
    const peer: fc.Arbitrary<PolicyPeer> = fc.oneof(
      fc.constantFrom<PolicyPeer>(
        { kind: 'outside' },
        { kind: 'members', set: 'web' },
        { kind: 'members', set: 'db' },
      ),
      fc
        .constantFrom('10.9.0.0/24', '10.0.0.0/8', 'fd00::/8', '0.0.0.0/0', '192.0.2.2', '2001:db8::2')
        .map((prefix): PolicyPeer => ({ kind: 'prefix', prefix })),
    );
    const peers = fc.option(fc.array(peer, { minLength: 1, maxLength: 2 }), { nil: undefined });
    const targets = fc.oneof(peers, fc.constant<PolicyPeer[]>([{ kind: 'names', set: 'names' }]));
    const ports = fc.constantFrom<PolicyRuleIntent['ports']>(
      undefined,
      [{ protocol: 'icmp' }],
      [{ protocol: 'udp' }],
      [{ protocol: 'tcp', first: 80 }],
      [{ protocol: 'tcp', first: 79, last: 81 }, { protocol: 'icmp' }],
    );
    const action = fc.constantFrom('allow', 'deny');
    const rules = fc.array(fc.record({ action, from: peers, to: targets, ports }), { maxLength: 4 });
    const places = [...MEMBERS.flatMap(({ addresses }) => addresses), ...OUTSIDE];
    const connection: fc.Arbitrary<Connection> = fc
      .record({
        from: fc.constantFrom(...places),
        to: fc.constantFrom(...places),
        protocol: fc.constantFrom<Transport>('tcp', 'udp', 'icmp'),
        port: fc.constantFrom(79, 80, 443),
      })
      // Those that pass a bridge of ours, from one address to another of the same family.
      .filter(({ from, to }) => from !== to && familyOf(from) === familyOf(to))
      .filter(({ from, to }) => [from, to].some((text) => linkOf(text) !== 'uplink'));
    fc.assert(
      fc.property(rules, rules, fc.array(connection, { minLength: 1, maxLength: 10 }), (ofA, ofB, all) => {
        const intents = [...MEMBERS, ...ALLOWED, policy('a', ...ofA), policy('b', ...ofB)];
        const denies = deniedBy(intents);
        for (const each of all) expect(denies(begun(each)), JSON.stringify(each)).toBe(ruled(intents, each));
      }),
      { numRuns: 200 },
    );
  });
});
