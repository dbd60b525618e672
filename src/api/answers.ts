/** How each route answers, for the OpenAPI document alone: a route without an entry is a fault that a test finds. */
import { listOf, ref, type Shape, text } from './shapes.ts';

export interface Answer {
  readonly status: number;
  /** Of the body; without one it is empty. */
  readonly shape?: Shape | undefined;
  /** Default: JSON. */
  readonly type?: string | undefined;
}

const ok = (shape: Shape, type?: string): Answer => ({ status: 200, shape, type });
const made = (shape: Shape): Answer => ({ status: 201, shape });
const done: Answer = { status: 200 };
const gone: Answer = { status: 204 };
/** Lists of libnetwork's own API are `null` where they are empty. */
const classicList = (name: string): Answer => ok({ anyOf: [{ type: 'null' }, listOf(name)] });
const lines = 'application/x-ndjson';

const docker: Readonly<Record<string, Answer>> = {
  'GET /_ping': ok({ type: 'string', const: 'OK' }, 'text/plain'),
  'GET /version': ok(ref('DockerVersion')),
  'GET /info': ok(ref('DockerInfo')),
  // With `name` or `partial-id` as libnetwork's own API answers.
  'GET /networks': ok({ anyOf: [listOf('DockerNetwork'), listOf('ClassicNetwork'), { type: 'null' }] }),
  'GET /networks/{id}': ok(ref('DockerNetwork')),
  'POST /networks/create': made({
    type: 'object',
    required: ['Id', 'Warning'],
    properties: { Id: text, Warning: text },
    additionalProperties: false,
  }),
  'DELETE /networks/{id}': gone,
  'POST /networks/prune': ok({
    type: 'object',
    required: ['NetworksDeleted'],
    properties: { NetworksDeleted: { type: ['array', 'null'], items: text } },
    additionalProperties: false,
  }),
  'POST /networks/{id}/connect': done,
  'POST /networks/{id}/disconnect': done,
  'GET /containers/json': ok(listOf('DockerContainerSummary')),
  'GET /containers/{id}/json': ok(ref('DockerContainer')),
  'GET /events': ok({ ...ref('DockerEvent'), description: 'One to a line' }),
};

/** What libnetwork's own API has at the root too. */
const classicRoot: Readonly<Record<string, Answer>> = {
  'POST /networks': made(text),
  'GET /networks/{id}/endpoints': classicList('ClassicEndpoint'),
  'POST /networks/{id}/endpoints': made(text),
  'GET /networks/{id}/endpoints/{eid}': ok(ref('ClassicEndpoint')),
  'DELETE /networks/{id}/endpoints/{eid}': done,
  'POST /networks/{id}/endpoints/{eid}/sandboxes': ok(text),
  'DELETE /networks/{id}/endpoints/{eid}/sandboxes/{sid}': done,
  'GET /services': classicList('ClassicEndpoint'),
  'POST /services': made(text),
  'GET /services/{id}': ok(ref('ClassicEndpoint')),
  'DELETE /services/{id}': done,
  'GET /services/{id}/backend': ok(ref('ClassicSandbox')),
  'POST /services/{id}/backend': ok(text),
  'DELETE /services/{id}/backend/{sid}': done,
  'GET /sandboxes': classicList('ClassicSandbox'),
  'POST /sandboxes': made(text),
  'GET /sandboxes/{id}': ok(ref('ClassicSandbox')),
  'DELETE /sandboxes/{id}': done,
};

const classic: Readonly<Record<string, Answer>> = {
  ...classicRoot,
  'GET /networks': classicList('ClassicNetwork'),
  'GET /networks/{id}': ok(ref('ClassicNetwork')),
  'DELETE /networks/{id}': done,
};

const own: Readonly<Record<string, Answer>> = {
  'GET /health': ok(ref('Health')),
  'GET /inspect': ok(ref('Inspection')),
  'GET /stats': ok(ref('Statistics')),
  'GET /doctor': ok(listOf('Finding')),
  'GET /topology': ok(ref('Topology')),
  'GET /events': ok({ ...ref('Event'), description: 'One to a line, or as server-sent events' }, lines),
  'GET /networks': ok(listOf('Network')),
  'POST /networks': made(ref('Network')),
  'GET /networks/{id}': ok(ref('Network')),
  'PATCH /networks/{id}': ok(ref('Network')),
  'DELETE /networks/{id}': gone,
  'GET /endpoints': ok(listOf('Endpoint')),
  'GET /ports': ok(listOf('Port')),
  'GET /networks/{id}/endpoints': ok(listOf('Endpoint')),
  'POST /networks/{id}/endpoints': made(ref('Endpoint')),
  'GET /networks/{id}/endpoints/{eid}': ok(ref('Endpoint')),
  'PATCH /networks/{id}/endpoints/{eid}': ok(ref('Endpoint')),
  'DELETE /networks/{id}/endpoints/{eid}': gone,
  'POST /networks/{id}/endpoints/{eid}/join': ok(ref('Endpoint')),
  'POST /networks/{id}/endpoints/{eid}/leave': ok(ref('Endpoint')),
  'GET /sandboxes': ok(listOf('Sandbox')),
  'POST /sandboxes': made(ref('Sandbox')),
  'GET /sandboxes/{id}': ok(ref('Sandbox')),
  'POST /sandboxes/{id}/key': ok(ref('Sandbox')),
  'DELETE /sandboxes/{id}': gone,
  'GET /sandboxes/{id}/stack': ok(ref('Stack')),
  'GET /firewall': ok(ref('Firewall')),
  'GET /firewall/explain': ok(ref('Explanation')),
  'POST /firewall/explain': ok(ref('Explanation')),
  'POST /reconcile': ok(ref('Reconciliation')),
  'GET /hosts': ok(listOf('Host')),
  'POST /keys/rotate': gone,
};

/** By method and path, as the document has them. */
export const answers: Readonly<Record<string, Answer>> = {
  ...docker,
  ...classicRoot,
  ...under('/libnetwork', classic),
  ...under('/dnet/v1', own),
  'GET /health': ok(ref('Health')),
  'GET /metrics': ok(text, 'text/plain'),
};

function under(prefix: string, routes: Readonly<Record<string, Answer>>): Record<string, Answer> {
  return Object.fromEntries(
    Object.entries(routes).map(([route, answer]) => [route.replace(' ', ` ${prefix}`), answer]),
  );
}

/** The answer to what can't be done, in the words of each interface: by the tag of its routes. */
export const refusals: Readonly<Record<string, Omit<Answer, 'status'>>> = {
  docker: { shape: ref('DockerMessage') },
  libnetwork: { shape: text, type: 'text/plain' },
  dnet: { shape: ref('Error') },
};
