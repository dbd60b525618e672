/** Sandboxes as containers, as far as Docker's client asks when it speaks of networks. */
import type { FastifyInstance } from 'fastify';
import { type Endpoint, LibnetworkError, type PortBinding, type Sandbox } from '../../index.ts';
import type { ApiContext } from '../context.ts';
import { anyPattern, readFilters } from './filters.ts';
import { findContainer } from './resolve.ts';
import { idParams } from './schemas.ts';
import { textsOf } from './views.ts';

interface ListQuery {
  readonly filters?: string;
  readonly limit?: string;
}

/** Those of Docker that mean something here; by another one a list would tell what was not asked. */
const FILTERS = ['id', 'name', 'network', 'label', 'status'] as const;

export function containerRoutes(app: FastifyInstance, context: ApiContext): void {
  const tags = ['docker'];
  const text = { type: 'string' } as const;
  app.get<{ Querystring: ListQuery }>(
    '/containers/json',
    {
      schema: {
        tags,
        summary: 'Sandboxes, as containers',
        querystring: { type: 'object', properties: { filters: text, limit: text } },
      },
    },
    async ({ query }) => list(context, query),
  );
  app.get<{ Params: { id: string } }>(
    '/containers/:id/json',
    { schema: { tags, summary: 'One sandbox, as a container', params: idParams } },
    async ({ params }) => inspection(context, findContainer(context, params.id)),
  );
}

/** The newest first, as Docker has it. @throws INVALID_ARGUMENT for a filter or limit that can't be */
function list(context: ApiContext, { filters, limit }: ListQuery): object[] {
  const tests = [...readFilters(filters, FILTERS)].map(([key, values]) => testOf(context, key, values));
  const most = limit === undefined ? 0 : Number(limit);
  if (!Number.isInteger(most))
    throw new LibnetworkError('INVALID_ARGUMENT', `limit: must be a whole number, got ${limit}`, {
      field: 'limit',
      value: limit,
    });
  const found = context.controller
    .sandboxes()
    .filter((sandbox) => tests.every((test) => test(sandbox)))
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  return (most > 0 ? found.slice(0, most) : found).map((sandbox) => summary(context, sandbox));
}

/** Sandboxes have no labels, and all of them run. */
function testOf(
  { controller }: ApiContext,
  key: string,
  values: readonly string[],
): (sandbox: Sandbox) => boolean {
  switch (key) {
    case 'id':
      return ({ containerId }) => values.some((value) => containerId.startsWith(value));
    case 'name': {
      const isNamed = anyPattern(values);
      return ({ containerId }) => isNamed(containerId) || isNamed(`/${containerId}`);
    }
    case 'network': {
      const ids = values.map((value) => controller.network(value)?.id);
      return (sandbox) => sandbox.endpoints().some(({ networkId }) => ids.includes(networkId));
    }
    case 'status':
      return () => values.includes('running');
    default:
      return () => false;
  }
}

function summary(context: ApiContext, sandbox: Sandbox): object {
  const ports = sandbox.endpoints().flatMap(({ ports: bindings }) => bindings);
  return {
    Id: sandbox.containerId,
    Names: [`/${sandbox.containerId}`],
    Image: '',
    ImageID: '',
    Command: '',
    Created: Math.floor(sandbox.createdAt.getTime() / 1000),
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
    Created: sandbox.createdAt.toISOString(),
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

/** What was asked for when it was connected is not kept apart from what came of it. */
function settings(endpoint: Endpoint): object {
  const [ip = '', length = '0'] = endpoint.ipv4?.split('/') ?? [];
  const [ip6 = '', length6 = '0'] = endpoint.ipv6?.split('/') ?? [];
  const { gateways, options } = endpoint;
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: endpoint.aliases,
    MacAddress: endpoint.macAddress ?? '',
    DriverOpts: Object.keys(options).length === 0 ? null : textsOf(options),
    GwPriority: endpoint.gatewayPriority,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.id,
    Gateway: gateways.ipv4 ?? '',
    IPAddress: ip,
    IPPrefixLen: Number(length),
    IPv6Gateway: gateways.ipv6 ?? '',
    GlobalIPv6Address: ip6,
    GlobalIPv6PrefixLen: Number(length6),
    DNSNames: [endpoint.name, ...endpoint.aliases],
  };
}
