/** Topologies for tests: one by hand, and any. */
import fc from 'fast-check';
import type { EndpointPlace, NetworkPlace, SandboxPlace, Topology } from '../../../src/page/topology.ts';

export function network(name: string, rest: Partial<NetworkPlace> = {}): NetworkPlace {
  return {
    id: `n-${name}`,
    name,
    driver: 'bridge',
    scope: 'local',
    internal: false,
    configOnly: false,
    pools: [{ subnet: '10.9.0.0/24', gateway: '10.9.0.1' }],
    ways: { ipv4: rest.internal ? 'none' : 'nat' },
    labels: {},
    options: {},
    createdAt: '2026-01-01T00:00:00.000Z',
    ...rest,
  };
}

export function endpoint(name: string, networkId: string, rest: Partial<EndpointPlace> = {}): EndpointPlace {
  return {
    id: `e-${name}-${networkId}`,
    name,
    networkId,
    ipv4: '10.9.0.2/24',
    aliases: [],
    linkLocal: [],
    ports: [],
    ...rest,
  };
}

export const host: Topology['host'] = {
  name: 'host-a',
  version: '1.0.0',
  kernel: 'fake',
  instance: 'default',
  firewall: 'nftables',
  startedAt: '2026-01-01T00:00:00.000Z',
};

/** A container on some networks. */
export function container(
  name: string,
  networks: readonly NetworkPlace[],
  ports: EndpointPlace['ports'] = [],
): { readonly sandbox: SandboxPlace; readonly endpoints: readonly EndpointPlace[] } {
  const endpoints = networks.map(({ id }, index) =>
    endpoint(name, id, {
      sandboxId: `s-${name}`,
      interfaceName: `eth${index}`,
      ports: index === 0 ? ports : [],
    }),
  );
  const sandbox = {
    id: `s-${name}`,
    containerId: name,
    namespacePath: `/run/netns/${name}`,
    endpoints: endpoints.map(({ id }) => id),
  };
  return { sandbox, endpoints };
}

export function topology(
  networks: readonly NetworkPlace[],
  containers: readonly ReturnType<typeof container>[],
  alone: readonly EndpointPlace[] = [],
): Topology {
  return {
    host,
    networks,
    sandboxes: containers.map(({ sandbox }) => sandbox),
    endpoints: [...containers.flatMap(({ endpoints }) => endpoints), ...alone],
  };
}

const port = fc.record({
  protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
  container: fc.integer({ min: 1, max: 65535 }),
  host: fc.integer({ min: 0, max: 65535 }),
  hostAddress: fc.constantFrom('0.0.0.0', '::', '127.0.0.1', '192.0.2.7'),
});

/** Any number of networks and containers, in any way together: none, several, unjoined, on other hosts. */
export const anyTopology: fc.Arbitrary<Topology> = fc
  .record({
    networks: fc.array(
      fc.record({ internal: fc.boolean(), pools: fc.integer({ min: 0, max: 3 }), isTunnel: fc.boolean() }),
      { maxLength: 6 },
    ),
    containers: fc.array(
      fc.record({
        places: fc.uniqueArray(fc.nat({ max: 5 }), { maxLength: 4 }),
        ports: fc.array(port, { maxLength: 4 }),
      }),
      { maxLength: 40 },
    ),
    alone: fc.array(fc.record({ place: fc.nat({ max: 5 }), host: fc.constantFrom(undefined, 'b', 'c') }), {
      maxLength: 8,
    }),
  })
  .map(({ networks: shapes, containers, alone }) => {
    const networks = shapes.map(({ internal, pools, isTunnel }, index) =>
      network(`net-${index}`, {
        internal,
        driver: isTunnel ? 'overlay' : 'bridge',
        ways: { ipv4: internal ? 'none' : isTunnel ? 'tunnel' : 'nat' },
        pools: Array.from({ length: pools }, (_, each) => ({ subnet: `10.${index}.${each}.0/24` })),
      }),
    );
    const at = (places: readonly number[]) => places.flatMap((place) => networks[place] ?? []);
    return topology(
      networks,
      containers.map(({ places, ports }, index) => container(`c-${index}`, at(places), ports)),
      alone.flatMap(({ place, host: on }, index) =>
        at([place]).map(({ id }) => endpoint(`x-${index}`, id, { host: on })),
      ),
    );
  });
