/** Random intents that fit together: no two owners want the same place for different things. */
import fc from 'fast-check';
import type {
  EndpointIntent,
  FirewallChange,
  Intent,
  NetworkIntent,
  PolicyPeer,
  PolicyPortIntent,
} from '../../../src/osl/firewall/firewall.ts';
import { endpoint, family, network, port, resolver } from './intents.ts';

const NETWORKS = 4;
const ENDPOINTS = 8;
const mode = fc.constantFrom(
  'nat' as const,
  'nat-unprotected' as const,
  'routed' as const,
  'isolated' as const,
);

function familyOf(name: 'ipv4' | 'ipv6', index: number) {
  const subnet = name === 'ipv4' ? `10.${index}.0.0/24` : `fd00:${index}::/64`;
  const masquerade = fc.constantFrom(true, false, name === 'ipv4' ? '192.0.2.1' : '2001:db8::1');
  return fc.option(
    fc.record({ mode, masquerade }).map((over) => family(name, { subnet, ...over })),
    { nil: undefined },
  );
}

function networkIntent(index: number): fc.Arbitrary<NetworkIntent> {
  return fc
    .record({
      ipv4: familyOf('ipv4', index),
      ipv6: familyOf('ipv6', index),
      internal: fc.boolean(),
      icc: fc.boolean(),
    })
    .map((over) => network({ id: `n${index}`, bridge: `br-${index}`, ...over }));
}

/** Every endpoint has host ports and container addresses of its own. */
function endpointIntent(index: number): fc.Arbitrary<EndpointIntent> {
  const one = fc
    .record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
      number: fc.integer({ min: 1, max: 20 }),
      host: fc.constantFrom('0.0.0.0', '127.0.0.1', '192.0.2.9', '::', '2001:db8::9'),
      published: fc.boolean(),
    })
    .map(({ protocol, number, host, published }) =>
      port({
        protocol,
        hostAddress: host,
        hostPort: published ? 1000 * (index + 1) + number : undefined,
        address: host.includes(':') ? `fd00::${index + 2}` : `10.0.0.${index + 2}`,
        port: number,
      }),
    );
  return fc.array(one, { maxLength: 6 }).map((ports) => endpoint(`e${index}`, ...ports));
}

/** What a network's policy lets in or out by sets that its members are in. */
function policyIntent(index: number): fc.Arbitrary<Intent> {
  const peer = fc.constantFrom<PolicyPeer>(
    { kind: 'members', set: 'red' },
    { kind: 'members', set: 'blue' },
    { kind: 'prefix', prefix: '198.51.100.0/24' },
    { kind: 'prefix', prefix: '2001:db8::7' },
    { kind: 'outside' },
    { kind: 'host' },
  );
  const peers = fc.option(fc.array(peer, { minLength: 1, maxLength: 3 }), { nil: undefined });
  const port = fc.constantFrom<PolicyPortIntent>(
    { protocol: 'tcp', first: 80 },
    { protocol: 'udp', first: 1000, last: 2000 },
    { protocol: 'sctp' },
    { protocol: 'icmp' },
  );
  const rule = fc.record({
    action: fc.constantFrom('allow' as const, 'deny' as const),
    comment: fc.constantFrom('one', 'another'),
    from: peers,
    to: peers,
    ports: fc.option(fc.array(port, { minLength: 1, maxLength: 2 }), { nil: undefined }),
  });
  return fc
    .array(rule, { maxLength: 3 })
    .map((rules) => ({ kind: 'policy', id: `n${index}`, bridge: `br-${index}`, rules }));
}

function memberIntent(index: number): fc.Arbitrary<Intent> {
  const network = index % NETWORKS;
  return fc.subarray(['red', 'blue']).map((sets) => ({
    kind: 'member',
    id: `e${index}`,
    network: `n${network}`,
    bridge: `br-${network}`,
    addresses: [`10.${network}.0.${index + 2}`, `fd00:${network}::${index + 2}`],
    sets,
  }));
}

/** A service of a sandbox, or one of its backends: slots may be missing, as between two transactions. */
function servicePart(index: number): fc.Arbitrary<Intent> {
  const address = index % 2 === 0 ? `10.200.0.${index + 1}` : `fd00:200::${index + 1}`;
  const backend = index % 2 === 0 ? '10.201.0.' : 'fd00:201::';
  return fc.oneof(
    fc
      .integer({ min: 1, max: 3 })
      .map((backends): Intent => ({ kind: 'service', id: address, address, backends })),
    fc.record({ slot: fc.nat(2), host: fc.integer({ min: 1, max: 9 }) }).map(
      ({ slot, host }): Intent => ({
        kind: 'backend',
        id: `${address} ${slot}`,
        service: address,
        slot,
        address: `${backend}${host}`,
      }),
    ),
  );
}

const anyIntent: fc.Arbitrary<Intent> = fc.oneof(
  fc.nat(NETWORKS - 1).chain(networkIntent),
  fc.nat(ENDPOINTS - 1).chain(endpointIntent),
  fc.constant(resolver),
  fc.nat(NETWORKS - 1).chain(policyIntent),
  fc.nat(ENDPOINTS - 1).chain(memberIntent),
  fc.nat(3).chain(servicePart),
);

/** Sets and removals of owners that come again and again. */
export const change: fc.Arbitrary<FirewallChange> = fc.oneof(
  { weight: 3, arbitrary: anyIntent.map((set) => ({ set })) },
  { weight: 1, arbitrary: anyIntent.map(({ kind, id }) => ({ remove: { kind, id } })) },
);

/** Intents of different owners. */
export const intents: fc.Arbitrary<readonly Intent[]> = fc.uniqueArray(anyIntent, {
  maxLength: 12,
  selector: ({ kind, id }) => `${kind} ${id}`,
});

/** The intents that hold after changes, one after the other. */
export function after(changes: readonly FirewallChange[]): Intent[] {
  const owners = new Map<string, Intent>();
  for (const change of changes) {
    if ('set' in change) owners.set(`${change.set.kind} ${change.set.id}`, change.set);
    else owners.delete(`${change.remove.kind} ${change.remove.id}`);
  }
  return [...owners.values()];
}
