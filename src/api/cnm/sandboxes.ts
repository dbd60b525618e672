import type { FastifyInstance } from 'fastify';
import { LibnetworkError, type SandboxOptions } from '../../index.ts';
import { type ApiContext, signalOf } from '../context.ts';
import { sandboxById } from './find.ts';
import { queries, text, texts } from './schemas.ts';
import { orNull, sandboxView, sendText } from './views.ts';

const tags = ['libnetwork'];
const flag = { type: ['boolean', 'null'] } as const;
const extraHost = { type: 'object', properties: { name: text, address: text } } as const;
const creation = {
  type: ['object', 'null'],
  properties: {
    container_id: text,
    host_name: text,
    domain_name: text,
    hosts_path: text,
    resolv_conf_path: text,
    dns: texts,
    extra_hosts: { type: ['array', 'null'], items: extraHost, maxItems: 1024 },
    use_default_sandbox: flag,
    use_external_key: flag,
  },
} as const;

interface CreateBody {
  readonly container_id?: string | null;
  readonly host_name?: string | null;
  readonly domain_name?: string | null;
  readonly hosts_path?: string | null;
  readonly resolv_conf_path?: string | null;
  readonly dns?: readonly string[] | null;
  readonly extra_hosts?:
    | readonly { readonly name?: string | null; readonly address?: string | null }[]
    | null;
  readonly use_default_sandbox?: boolean | null;
  readonly use_external_key?: boolean | null;
}

interface Query {
  readonly 'partial-container-id'?: string;
  readonly 'container-id'?: string;
  readonly 'partial-id'?: string;
}

export function sandboxRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  app.get<{ Querystring: Query }>(
    '/sandboxes',
    {
      schema: {
        tags,
        summary: 'Sandboxes, or some',
        querystring: queries('partial-container-id', 'container-id', 'partial-id'),
      },
    },
    async ({ query }) => {
      const { 'partial-container-id': partial, 'container-id': containerId, 'partial-id': prefix } = query;
      const all = controller.sandboxes();
      const found =
        partial !== undefined
          ? all.filter((it) => it.containerId.startsWith(partial))
          : containerId !== undefined
            ? all.filter((it) => it.containerId === containerId)
            : all.filter((it) => it.id.startsWith(prefix ?? ''));
      return orNull(found.map(sandboxView));
    },
  );
  app.get<{ Params: { id: string } }>(
    '/sandboxes/:id',
    { schema: { tags, summary: 'One sandbox' } },
    async ({ params }) => sandboxView(sandboxById(context, params.id)),
  );
  app.post<{ Body?: CreateBody | null }>(
    '/sandboxes',
    { schema: { tags, summary: 'Makes a sandbox', body: creation } },
    async ({ body }, reply) => {
      const options = optionsOf(body ?? {});
      checkNew(context, options.containerId);
      const { id } = await controller.createSandbox(options, { signal: signalOf(reply) });
      return sendText(reply.code(201), id);
    },
  );
  app.delete<{ Params: { id: string } }>(
    '/sandboxes/:id',
    { schema: { tags, summary: 'Deletes a sandbox' } },
    async ({ params }, reply) => {
      await sandboxById(context, params.id).delete();
      return reply.send();
    },
  );
}

function checkNew({ controller }: ApiContext, containerId: string): void {
  const present = controller.sandbox(containerId);
  if (present)
    throw new LibnetworkError(
      'FORBIDDEN',
      `container ${containerId} is already present in sandbox ${present.id}`,
      { field: 'container_id', value: containerId, holder: `sandbox ${present.id}` },
    );
}

function optionsOf(body: CreateBody): SandboxOptions {
  const hosts = (body.extra_hosts ?? []).map(({ name, address }) => [name ?? '', address ?? '']);
  return {
    containerId: body.container_id ?? '',
    hostname: body.host_name || undefined,
    domainname: body.domain_name || undefined,
    hostsPath: body.hosts_path || undefined,
    resolvConfPath: body.resolv_conf_path || undefined,
    extraHosts: Object.fromEntries(hosts),
    dns: { servers: body.dns?.length ? body.dns : undefined },
    namespacePath: body.use_default_sandbox ? 'host' : undefined,
    externalKey: body.use_external_key ?? false,
  };
}
