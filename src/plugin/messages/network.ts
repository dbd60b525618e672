/** The messages of network drivers: what is asked under `/NetworkDriver.…`, and what is answered. */
import * as v from 'valibot';
import { anything, flag, integer, list, message, text, texts } from '../json.ts';

const scope = v.picklist(['local', 'global'], 'must be "local" or "global"');

export const capabilities = message({
  Scope: scope,
  /** Missing or empty: as `Scope`. */
  ConnectivityScope: v.optional(v.union([scope, v.literal('')], 'must be "local" or "global"'), ''),
  /** It wants to be asked which gateways it needs. */
  GwAllocChecker: flag,
});

export const ipamData = message({
  AddressSpace: text,
  Pool: text,
  Gateway: text,
  AuxAddresses: texts,
});

export const endpointInterface = message({ Address: text, AddressIPv6: text, MacAddress: text });

export const allocation = message({ Options: texts });
export const gatewayCheck = message({ SkipIPv4: flag, SkipIPv6: flag });
export const createdEndpoint = message({ Interface: v.optional(endpointInterface) });
export const operInfo = message({ Value: anything });

export const NEXT_HOP = 0;
export const CONNECTED = 1;

export const joined = message({
  InterfaceName: v.optional(message({ SrcName: text, DstPrefix: text })),
  Gateway: text,
  GatewayIPv6: text,
  StaticRoutes: list(message({ Destination: text, RouteType: integer, NextHop: text })),
  DisableGatewayService: flag,
});

/** One port of `com.docker.network.portmap`. Protocols are numbers of IP. */
export const portMapping = message({
  Proto: integer,
  IP: text,
  Port: integer,
  HostIP: text,
  HostPort: integer,
  HostPortEnd: integer,
});
export const exposedPort = message({ Proto: integer, Port: integer });

/** What is asked, as the server reads it. */
const id = v.pipe(
  v.string('must be text'),
  v.regex(/^[0-9a-zA-Z][0-9a-zA-Z_.-]{0,127}$/, 'must be the id of an object'),
);
const network = { NetworkID: id };
const endpoint = { NetworkID: id, EndpointID: id };

export const requests = {
  AllocateNetwork: message({
    ...network,
    Options: texts,
    IPv4Data: list(ipamData),
    IPv6Data: list(ipamData),
  }),
  FreeNetwork: message(network),
  GwAllocCheck: message({ Options: anything }),
  CreateNetwork: message({
    ...network,
    Options: anything,
    IPv4Data: list(ipamData),
    IPv6Data: list(ipamData),
  }),
  DeleteNetwork: message(network),
  CreateEndpoint: message({ ...endpoint, Options: anything, Interface: v.optional(endpointInterface) }),
  DeleteEndpoint: message(endpoint),
  EndpointOperInfo: message(endpoint),
  Join: message({ ...endpoint, SandboxKey: text, Options: anything }),
  Leave: message(endpoint),
  ProgramExternalConnectivity: message({ ...endpoint, Options: anything }),
  RevokeExternalConnectivity: message(endpoint),
  DiscoverNew: message({ DiscoveryType: integer, DiscoveryData: v.optional(v.unknown()) }),
  DiscoverDelete: message({ DiscoveryType: integer, DiscoveryData: v.optional(v.unknown()) }),
} as const;

export const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
