/** The firewall as text and as answers; and `reconcile`, which puts it and all else right. */
import type { FastifyInstance } from 'fastify';
import { type FirewallChange, LibnetworkError, rulesText } from '../../index.ts';
import type { ApiContext } from '../context.ts';
import { type ExplainRequest, explain } from '../explain.ts';
import { explain as explainBody, explainQuery, reconcile } from './schemas.ts';

const tags = ['dnet'];
const explainSummary = 'Which rules a packet meets, and where it ends';

/** The rules that should hold now. */
export interface FirewallView {
  readonly engine: 'nftables' | 'iptables' | 'none';
  /** For `nft -f`; with iptables for `iptables-restore --noflush`. */
  readonly text: string;
}

export function firewallRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  const summary =
    'The rules that should hold, as text; with `without`, what the end of that network or endpoint would change';
  const querystring = { type: 'object', properties: { without: { type: 'string' } } } as const;
  app.get<{ Querystring: { without?: string } }>(
    '/firewall',
    { schema: { tags, summary, querystring } },
    async ({ query }): Promise<FirewallView> => ({
      engine: controller.firewall.engine,
      text: query.without
        ? await controller.firewall.preview(removalOf(context, query.without))
        : await rulesText(
            controller.firewall.engine,
            `libnetwork-${controller.instance}`,
            controller.firewall.intents(),
          ),
    }),
  );
  app.post<{ Body: ExplainRequest }>(
    '/firewall/explain',
    { schema: { tags, summary: explainSummary, body: explainBody } },
    async (request) => explain(context, request.body),
  );
  app.post<{ Body?: { readonly dryRun?: boolean } }>(
    '/reconcile',
    { schema: { tags, summary: 'Compares the kernel with the records, and repairs it', body: reconcile } },
    async (request) => controller.reconcile({ dryRun: request.body?.dryRun ?? false }),
  );
}

/** The question of `explain` as a link: what a page in a browser asks. */
export function packetRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get<{ Querystring: Omit<ExplainRequest, 'port'> & { readonly port?: string } }>(
    '/firewall/explain',
    { schema: { tags, summary: explainSummary, querystring: explainQuery } },
    async ({ query: { port, ...rest } }) =>
      explain(context, port === undefined ? rest : { ...rest, port: Number(port) }),
  );
}

/** All that holds for a network, or for an endpoint of any of them, by name or id. @throws NOT_FOUND */
function removalOf({ controller }: ApiContext, name: string): FirewallChange[] {
  const network = controller.network(name);
  const endpoints = controller.networks().flatMap((each) => each.endpoint(name) ?? []);
  const ids = new Set<string>([
    ...(network ? [network.id, ...network.endpoints().map(({ id }) => id)] : []),
    ...endpoints.map(({ id }) => id),
  ]);
  if (ids.size === 0)
    throw new LibnetworkError('NOT_FOUND', `no such network or endpoint: ${name}`, {
      field: 'without',
      value: name,
    });
  return controller.firewall
    .intents()
    .filter(({ id }) => ids.has(id))
    .map(({ kind, id }) => ({ remove: { kind, id } }));
}
