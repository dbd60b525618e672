/** Sandboxes as containers, as far as Docker's client asks when it speaks of networks. */
import type { FastifyInstance } from 'fastify';
import type { Endpoint, PortBinding, Sandbox } from '../../index.ts';
import type { ApiContext } from '../context.ts';
import { findContainer } from './resolve.ts';
import { idParams } from './schemas.ts';

export function containerRoutes(app: FastifyInstance, context: ApiContext): void {
  const tags = ['docker'];
  app.get('/containers/json', { schema: { tags, summary: 'Sandboxes, as containers' } }, async () =>
    context.controller.sandboxes().map((sandbox) => summary(context, sandbox)),
  );
  app.get<{ Params: { id: string } }>(
    '/containers/:id/json',
    { schema: { tags, summary: 'One sandbox, as a container', params: idParams } },
    async ({ params }) => inspection(context, findContainer(context, params.id)),
  );
}

function summary(context: ApiContext, sandbox: Sandbox): object {
  const ports = sandbox.endpoints().flatMap(({ ports: bindings }) => bindings);
  return {
    Id: sandbox.containerId,
    Names: [`/${sandbox.containerId}`],
    Image: '',
    ImageID: '',
    Command: '',
    Created: 0,
    Ports: ports.map(({ hostAddress, container, host, protocol }) => ({
      IP: hostAddress,
      PrivatePort: container,
      PublicPort: host,
      Type: protocol,
    })),
    Labels: {},
    State: 'running',
    Status: 'Up',
    HostConfig: {},
    NetworkSettings: { Networks: networks(context, sandbox) },
    Mounts: [],
  };
}

function inspection(context: ApiContext, sandbox: Sandbox): object {
  const { settings } = sandbox;
  const bindings = sandbox.endpoints().flatMap(({ ports }) => ports);
  return {
    Id: sandbox.containerId,
    Name: `/${sandbox.containerId}`,
    State: { Status: 'running', Running: true },
    ResolvConfPath: sandbox.resolvConfPath,
    HostsPath: sandbox.hostsPath,
    Config: { Hostname: settings.hostname ?? '', Domainname: settings.domainname ?? '', Labels: {} },
    NetworkSettings: {
      SandboxID: sandbox.id,
      SandboxKey: sandbox.namespacePath,
      Ports: portMap(bindings),
      Networks: networks(context, sandbox),
    },
  };
}

function portMap(bindings: readonly PortBinding[]): Record<string, object[]> {
  const map: Record<string, object[]> = {};
  for (const { container, protocol, hostAddress, host } of bindings) {
    const key = `${container}/${protocol}`;
    map[key] = [...(map[key] ?? []), { HostIp: hostAddress, HostPort: String(host) }];
  }
  return map;
}

function networks({ controller }: ApiContext, sandbox: Sandbox): Record<string, object> {
  const entries = sandbox.endpoints().flatMap((endpoint) => {
    const network = controller.network(endpoint.networkId);
    return network ? [[network.name, settings(endpoint)] as const] : [];
  });
  return Object.fromEntries(entries);
}

function settings(endpoint: Endpoint): object {
  const [ip = '', length = '0'] = endpoint.ipv4?.split('/') ?? [];
  const [ip6 = '', length6 = '0'] = endpoint.ipv6?.split('/') ?? [];
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: endpoint.aliases,
    MacAddress: endpoint.macAddress ?? '',
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.id,
    IPAddress: ip,
    IPPrefixLen: Number(length),
    GlobalIPv6Address: ip6,
    GlobalIPv6PrefixLen: Number(length6),
  };
}
