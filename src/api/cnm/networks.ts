import type { FastifyInstance } from 'fastify';
import { LibnetworkError, type NetworkOptions } from '../../index.ts';
import { type ApiContext, signalOf } from '../context.ts';
import { networkById } from './find.ts';
import { map, queries, text } from './schemas.ts';
import { classicFields, classicLookup, sendText } from './views.ts';

const tags = ['libnetwork'];

/** Those that Docker's API has too, in another form. */
export function networkRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  const querystring = queries('name', 'partial-id');
  app.get<{ Querystring: { name?: string; 'partial-id'?: string } }>(
    '/networks',
    { schema: { tags, summary: 'Networks, or those of a name or of the start of an id', querystring } },
    async ({ query }) => {
      const { name, 'partial-id': prefix = '' } = query;
      return classicLookup(controller.networks(), name, prefix);
    },
  );
  app.get<{ Params: { id: string } }>(
    '/networks/:id',
    { schema: { tags, summary: 'One network' } },
    async ({ params }) => classicFields(networkById(context, params.id)),
  );
  app.delete<{ Params: { id: string } }>(
    '/networks/:id',
    { schema: { tags, summary: 'Deletes a network' } },
    async ({ params }, reply) => {
      await networkById(context, params.id).delete();
      return reply.send();
    },
  );
}

interface CreateBody {
  readonly name?: string | null;
  readonly id?: string | null;
  readonly network_type?: string | null;
  readonly ipv4_configuration?: readonly Ipv4Configuration[] | null;
  readonly driver_opts?: Readonly<Record<string, string>> | null;
  readonly network_opts?: Readonly<Record<string, string>> | null;
}

interface Ipv4Configuration {
  readonly PreferredPool?: string | null;
  readonly SubPool?: string | null;
}

const pool = { type: 'object', properties: { PreferredPool: text, SubPool: text } } as const;
const body = {
  type: ['object', 'null'],
  properties: {
    name: text,
    id: text,
    network_type: text,
    ipv4_configuration: { type: ['array', 'null'], items: pool, maxItems: 128 },
    driver_opts: map,
    network_opts: map,
  },
} as const;

/** `POST /networks`, which Docker's API does not have. */
export function creationRoute(app: FastifyInstance, { controller }: ApiContext): void {
  app.post<{ Body?: CreateBody | null }>(
    '/networks',
    { schema: { tags, summary: 'Makes a network', body } },
    async (request, reply) => {
      const options = optionsOf(request.body ?? {});
      const { id } = await controller.createNetwork(options, { signal: signalOf(reply) });
      return sendText(reply.code(201), id);
    },
  );
}

const INTERNAL = 'com.docker.network.internal';
const IPV6 = 'com.docker.network.enable_ipv6';

function optionsOf({ name, id, ...given }: CreateBody): NetworkOptions {
  if (!name) throw new LibnetworkError('INVALID_ARGUMENT', 'invalid name: ', { field: 'name', value: name });
  if (id)
    throw new LibnetworkError('NOT_IMPLEMENTED', 'the id of a network can not be chosen: leave it out', {
      field: 'id',
      value: id,
    });
  const { [INTERNAL]: internal, [IPV6]: ipv6, ...options } = given.network_opts ?? {};
  const [configuration] = given.ipv4_configuration ?? [];
  const subnet = configuration?.PreferredPool || undefined;
  return {
    name,
    driver: given.network_type || 'bridge',
    internal: flag(INTERNAL, internal),
    ipv6: flag(IPV6, ipv6),
    options: { ...options, ...given.driver_opts },
    // A range without its subnet is passed over, as the original does.
    ipam: subnet ? { pools: [{ subnet, ipRange: configuration?.SubPool || undefined }] } : {},
  };
}

function flag(field: string, value: string | undefined): boolean {
  if (value === undefined || /^(0|f|false)$/i.test(value)) return false;
  if (/^(1|t|true)$/i.test(value)) return true;
  throw new LibnetworkError('INVALID_ARGUMENT', `${field}: must be true or false, got ${value}`, {
    field,
    value,
  });
}
