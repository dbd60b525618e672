/** `/networks`: list, inspect, create, remove, prune. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LibnetworkError, type Network, type NetworkOptions } from '../../index.ts';
import { bodyOf } from '../body.ts';
import { classicFields, classicLookup } from '../cnm/views.ts';
import { type ApiContext, signalOf } from '../context.ts';
import { versionOf } from '../versioning.ts';
import {
  fits,
  hasLabel,
  isDangling,
  LIST_FILTERS,
  PREDEFINED,
  PRUNE_FILTERS,
  readFilters,
  timeOf,
} from './filters.ts';
import { findNetwork } from './resolve.ts';
import { type CreateBody, createSchema, idParams, type PoolBody } from './schemas.ts';
import { inspectionOf, summaryOf } from './views.ts';

interface ListQuery {
  readonly filters?: string;
  readonly name?: string;
  readonly 'partial-id'?: string;
}

const text = { type: 'string' } as const;

export function networkRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  const tags = ['docker'];
  app.get<{ Querystring: ListQuery }>(
    '/networks',
    {
      schema: {
        tags,
        summary: 'Networks. `name` and `partial-id` are of libnetwork’s own API.',
        querystring: { type: 'object', properties: { filters: text, name: text, 'partial-id': text } },
      },
    },
    async (request) => list(context, request),
  );
  app.get<{ Params: { id: string }; Querystring: { verbose?: string; scope?: string } }>(
    '/networks/:id',
    {
      schema: {
        tags,
        summary: 'One network, with the containers in it',
        params: idParams,
        querystring: { type: 'object', properties: { verbose: text, scope: text } },
      },
    },
    async (request) => {
      const { verbose, scope } = request.query;
      if (verbose !== undefined && !/^(|1|0|[tf]|true|false)$/i.test(verbose))
        throw new LibnetworkError('INVALID_ARGUMENT', `invalid value for verbose: ${verbose}`, {
          field: 'verbose',
          value: verbose,
        });
      const network = findNetwork(context, request.params.id);
      if (scope && scope !== network.scope)
        throw new LibnetworkError('NOT_FOUND', `network ${request.params.id} not found`);
      return both(request, network, inspectionOf(context, request.raw, network));
    },
  );
  app.post<{ Body?: CreateBody }>(
    '/networks/create',
    { schema: { tags, summary: 'Makes a network', body: createSchema } },
    async (request, reply) => {
      const options = optionsOf(bodyOf(request.body));
      const { id } = await controller.createNetwork(options, { signal: signalOf(reply) });
      return reply.code(201).send({ Id: id, Warning: '' });
    },
  );
  app.delete<{ Params: { id: string } }>(
    '/networks/:id',
    { schema: { tags, summary: 'Removes a network', params: idParams } },
    async (request, reply) => {
      await remove(findNetwork(context, request.params.id));
      return reply.code(204).send();
    },
  );
  const prune = pruner(context);
  app.post<{ Querystring: { filters?: string } }>(
    '/networks/prune',
    {
      schema: {
        tags,
        summary: 'Removes networks that nobody uses',
        querystring: { type: 'object', properties: { filters: text } },
      },
    },
    async ({ query }) => prune(query.filters),
  );
}

function list(context: ApiContext, request: FastifyRequest<{ Querystring: ListQuery }>): unknown {
  const { filters, name, 'partial-id': prefix } = request.query;
  const networks = context.controller.networks();
  // The lookups of libnetwork's own client, which knows no version in its paths.
  if (name !== undefined || prefix !== undefined) return classicLookup(networks, name, prefix ?? '');
  const test = fits(readFilters(filters, LIST_FILTERS));
  return networks.filter(test).map((network) => both(request, network, summaryOf(request.raw, network)));
}

/**
 * Docker's and libnetwork's API have these paths in common. Docker's clients name a version, libnetwork's does not:
 * what names none gets the fields of both.
 */
function both(request: FastifyRequest, network: Network, docker: Record<string, unknown>): unknown {
  return versionOf(request.raw) === undefined ? { ...docker, ...classicFields(network) } : docker;
}

function optionsOf(body: CreateBody): NetworkOptions {
  const { IPAM: ipam } = body;
  const name = body.Name ?? '';
  if (name === '')
    throw new LibnetworkError('INVALID_ARGUMENT', 'invalid name: ', { field: 'Name', value: name });
  if (PREDEFINED.has(name) || name === 'default')
    throw new LibnetworkError('FORBIDDEN', `operation is not permitted on predefined ${name} network`, {
      field: 'Name',
      value: name,
    });
  return {
    name,
    driver: body.Driver || 'bridge',
    ipv4: body.EnableIPv4 ?? true,
    ipv6: body.EnableIPv6 ?? false,
    internal: body.Internal ?? false,
    attachable: body.Attachable ?? false,
    ingress: body.Ingress ?? false,
    configOnly: body.ConfigOnly ?? false,
    configFrom: body.ConfigFrom?.Network || undefined,
    scope: scopeOf(body.Scope),
    labels: body.Labels ?? {},
    options: body.Options ?? {},
    ipam: {
      driver: ipam?.Driver || 'default',
      options: ipam?.Options ?? {},
      pools: (ipam?.Config ?? []).map(poolOf),
    },
  };
}

function scopeOf(scope: string | null | undefined): 'local' | 'global' | undefined {
  if (!scope) return undefined;
  if (scope === 'local' || scope === 'global') return scope;
  throw new LibnetworkError(
    'FORBIDDEN',
    `cannot create a ${scope} scoped network: there is no swarm here, the scopes are local and global`,
    { field: 'Scope', value: scope },
  );
}

function poolOf({ Subnet, IPRange, Gateway, AuxiliaryAddresses }: PoolBody) {
  if (!Subnet)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      'Invalid subnet : it must be given beside a range or gateway',
      {
        field: 'IPAM.Config[].Subnet',
        value: Subnet,
      },
    );
  return {
    subnet: Subnet,
    ipRange: IPRange || undefined,
    gateway: Gateway || undefined,
    auxAddresses: AuxiliaryAddresses ?? {},
  };
}

async function remove(network: Network): Promise<void> {
  const { name, id } = network;
  if (PREDEFINED.has(name))
    throw new LibnetworkError('FORBIDDEN', `${name} is a pre-defined network and cannot be removed`, {
      field: 'network',
      value: name,
    });
  const endpoints = network.endpoints();
  if (endpoints.length > 0)
    throw new LibnetworkError(
      'FORBIDDEN',
      `error while removing network: network ${name} has active endpoints (${endpoints
        .map((endpoint) => `name:"${endpoint.name}" id:"${endpoint.id.slice(0, 12)}"`)
        .join(', ')})`,
      { field: 'network', value: id },
    );
  await network.delete();
}

function pruner({ controller }: ApiContext): (filters: string | undefined) => Promise<object> {
  let isRunning = false;
  return async (text) => {
    const filters = readFilters(text, PRUNE_FILTERS);
    const [until, ...more] = filters.get('until') ?? [];
    if (more.length > 0)
      throw new LibnetworkError('INVALID_ARGUMENT', 'more than one until filter specified', {
        field: 'until',
      });
    const before = until === undefined ? undefined : timeOf(until, Date.now());
    if (isRunning) throw new LibnetworkError('CONFLICT', 'a prune operation is already running');
    isRunning = true;
    try {
      const unused = controller
        .networks()
        .filter(
          (network) =>
            isDangling(network) &&
            !network.configOnly &&
            (before === undefined || network.createdAt.getTime() < before) &&
            (filters.get('label') ?? []).every((label) => hasLabel(network.labels, label)) &&
            !(filters.get('label!') ?? []).some((label) => hasLabel(network.labels, label)),
        );
      const deleted = await deleteUnused(unused);
      return { NetworksDeleted: deleted.length === 0 ? null : deleted };
    } finally {
      isRunning = false;
    }
  };
}

/** One that somebody has come to use meanwhile, or that is gone, stays out. */
async function deleteUnused(networks: readonly Network[]): Promise<string[]> {
  const deleted: string[] = [];
  for (const network of networks) {
    try {
      await network.delete();
      deleted.push(network.name);
    } catch (error) {
      if (!LibnetworkError.is(error, 'FORBIDDEN') && !LibnetworkError.is(error, 'NOT_FOUND')) throw error;
    }
  }
  return deleted;
}
