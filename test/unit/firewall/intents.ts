/** Intents that the firewall's tests share. */
import type {
  EndpointIntent,
  FamilyIntent,
  Intent,
  MemberIntent,
  NetworkIntent,
  PublishedPort,
  ResolverIntent,
} from '../../../src/osl/firewall/firewall.ts';

const SUBNETS = { ipv4: '10.9.0.0/24', ipv6: 'fd00:9::/64' } as const;

export function network(over: Partial<NetworkIntent> = {}): NetworkIntent {
  const families = { ipv4: family('ipv4'), ipv6: family('ipv6') };
  return { kind: 'network', id: 'a', bridge: 'br-a', internal: false, icc: true, ...families, ...over };
}

export function family(name: 'ipv4' | 'ipv6', over: Partial<FamilyIntent> = {}): FamilyIntent {
  return { subnet: SUBNETS[name], mode: 'nat', masquerade: true, ...over };
}

export function bothFamilies(over: Partial<FamilyIntent>): Pick<NetworkIntent, 'ipv4' | 'ipv6'> {
  return { ipv4: family('ipv4', over), ipv6: family('ipv6', over) };
}

export function port(over: Partial<PublishedPort> = {}): PublishedPort {
  return { protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080, address: '10.9.0.2', port: 80, ...over };
}

export function endpoint(id: string, ...ports: readonly PublishedPort[]): EndpointIntent {
  return { kind: 'endpoint', id, network: 'a', bridge: 'br-a', ports };
}

/** An endpoint that is in the set of its own name. */
export function member(id: string, ...addresses: readonly string[]): MemberIntent {
  return { kind: 'member', id, network: 'a', bridge: 'br-a', addresses, sets: [id] };
}

/** A service and its backends. */
export function service(address: string, ...backends: readonly string[]): Intent[] {
  return [
    { kind: 'service', id: address, address, backends: backends.length },
    ...backends.map(
      (backend, slot): Intent => ({
        kind: 'backend',
        id: `${address} ${slot}`,
        service: address,
        slot,
        address: backend,
      }),
    ),
  ];
}

export const resolver: ResolverIntent = {
  kind: 'resolver',
  id: 's',
  address: '127.0.0.11',
  udpPort: 40053,
  tcpPort: 41053,
};

/** Every kind of intent, every mode, both families: what the golden files hold. */
export const SCENES: Readonly<Record<string, readonly Intent[]>> = {
  nat: [network()],
  'nat-ipv4-only': [network({ ipv6: undefined })],
  'nat-ipv6-only': [network({ ipv4: undefined })],
  'nat-unprotected': [network(bothFamilies({ mode: 'nat-unprotected' }))],
  routed: [network(bothFamilies({ mode: 'routed' }))],
  isolated: [network(bothFamilies({ mode: 'isolated', masquerade: false }))],
  'nat-and-routed': [network({ ipv6: family('ipv6', { mode: 'routed' }) })],
  internal: [network({ internal: true })],
  'internal-without-icc': [network({ internal: true, icc: false })],
  'without-icc': [network({ icc: false })],
  'routed-without-icc': [network({ icc: false, ...bothFamilies({ mode: 'routed' }) })],
  'without-masquerade': [network(bothFamilies({ masquerade: false }))],
  'snat-to-one-address': [
    network({
      ipv4: family('ipv4', { masquerade: '192.0.2.1' }),
      ipv6: family('ipv6', { masquerade: '2001:db8::1' }),
    }),
  ],
  'marked-and-direct': [
    network({ direct: true, accepted: { value: 1, mask: 0xff } }),
    endpoint('web', port()),
  ],
  links: [
    network({ icc: false }),
    {
      kind: 'link',
      id: 'web',
      network: 'a',
      bridge: 'br-a',
      ports: [
        { source: '10.9.0.2', address: '10.9.0.3', protocol: 'tcp', port: 5432 },
        { source: 'fd00:9::2', address: 'fd00:9::3', protocol: 'tcp', port: 5432 },
      ],
    },
  ],
  'two-networks': [
    network(),
    network({
      id: 'b',
      bridge: 'br-b',
      ipv4: family('ipv4', { subnet: '10.8.0.0/24' }),
      ipv6: family('ipv6', { subnet: 'fd00:8::/64' }),
    }),
  ],
  'published-ports': [
    network(),
    endpoint(
      'web',
      port(),
      port({ protocol: 'udp', hostPort: 53, port: 5353 }),
      port({ protocol: 'sctp', hostPort: 9000, port: 9000 }),
      port({ hostAddress: '192.0.2.7', hostPort: 443, port: 8443 }),
      port({ hostAddress: '127.0.0.1', hostPort: 8081 }),
      port({ hostAddress: '::', address: 'fd00:9::2' }),
      port({ hostAddress: '2001:db8::7', hostPort: 443, address: 'fd00:9::2', port: 8443 }),
      port({ hostAddress: '::1', hostPort: 8081, address: 'fd00:9::2' }),
    ),
  ],
  'opened-ports': [
    network(bothFamilies({ mode: 'routed' })),
    endpoint(
      'web',
      port({ hostPort: undefined }),
      port({ hostPort: undefined, hostAddress: '::', address: 'fd00:9::2' }),
    ),
  ],
  policy: [
    network(),
    {
      kind: 'policy',
      id: 'a',
      bridge: 'br-a',
      rules: [
        {
          action: 'allow',
          comment: 'policy[0] allow from app=web to app=db by tcp 5432, icmp',
          from: [{ kind: 'members', set: 'web' }],
          to: [{ kind: 'members', set: 'db' }],
          ports: [{ protocol: 'tcp', first: 5432 }, { protocol: 'icmp' }],
        },
        {
          action: 'allow',
          comment: 'policy[1] allow from all to *.example or 198.51.100.0/24 by tcp 8000-8999',
          from: undefined,
          to: [
            { kind: 'names', set: 'example' },
            { kind: 'prefix', prefix: '198.51.100.0/24' },
          ],
          ports: [{ protocol: 'tcp', first: 8000, last: 8999 }],
        },
        {
          action: 'allow',
          comment: 'policy[2] allow from host to all',
          from: [{ kind: 'host' }],
          to: undefined,
          ports: undefined,
        },
        {
          action: 'deny',
          comment: 'policy[3] deny from all to all',
          from: undefined,
          to: undefined,
          ports: undefined,
        },
      ],
    },
    member('web', '10.9.0.2', 'fd00:9::2'),
    member('db', '10.9.0.3', 'fd00:9::3'),
  ],
  services: [
    ...service('10.9.0.9', '10.9.0.2', '10.9.0.3', '10.9.0.4'),
    ...service('10.9.0.8', '10.9.0.2'),
    ...service('fd00:9::9', 'fd00:9::2', 'fd00:9::3'),
  ],
  resolver: [resolver],
  'resolver-ipv6': [{ ...resolver, address: '::1' }],
};
