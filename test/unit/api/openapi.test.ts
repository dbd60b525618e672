import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import type { Api } from '../../../src/api/index.ts';
import { NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { apiOver } from '../../support/api.ts';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Responses }>>>>;
}
type Responses = Readonly<Record<string, { readonly content?: Readonly<Record<string, object>> }>>;

/** A method, a path of the document, and what stands for its parameters, its query and its body. */
type Question = readonly [
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  how?: { readonly at?: Readonly<Record<string, string>>; readonly query?: string; readonly body?: object },
];

async function documented(api: Api) {
  const document = (await api.app.inject({ url: '/openapi.json' })).json() as Document;
  const ajv = new Ajv({ strict: false, formats: { 'date-time': true } });
  ajv.addSchema({ $id: 'api', ...document });
  const pointer = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1');
  return {
    routes: Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    ),
    /** What an answer has that the document does not say; empty when it is as documented. */
    faults([method, path]: Question, status: number, type: string, body: string): string[] {
      const responses = document.paths[path]?.[method.toLowerCase()]?.responses ?? {};
      const key = String(status) in responses ? String(status) : status >= 400 ? 'default' : 'none';
      const response = responses[key];
      if (!response) return [`${status} is not documented`];
      const [documentedType] = Object.keys(response.content ?? {});
      if (documentedType === undefined) return body === '' ? [] : [`a body: ${body}`];
      if (!type.startsWith(documentedType)) return [`is of type ${type}`];
      const at = ['paths', path, method.toLowerCase(), 'responses', key, 'content', documentedType, 'schema'];
      const isJson = documentedType.includes('json');
      const told: unknown[] =
        documentedType.includes('ndjson') || path === '/events'
          ? body
              .trim()
              .split('\n')
              .map((line) => JSON.parse(line))
          : [isJson ? JSON.parse(body) : body];
      const check = ajv.compile({ $ref: `api#/${at.map(pointer).join('/')}` });
      return told.flatMap((each) => (check(each) ? [] : [`${ajv.errorsText(check.errors)}: ${body}`]));
    },
  };
}

const TYPES: Readonly<Record<string, string>> = { 'content-type': 'application/json' };

describe('the OpenAPI document', () => {
  it('tells of every route how it answers, and each answers so', async () => {
    const osl = fakeOsl();
    const controller = await NetworkController.open({ osl });
    const api = await apiOver(controller);
    try {
      const { routes, faults } = await documented(api);
      const asked = new Set<string>();
      const ask = async (...question: Question): Promise<unknown> => {
        const [method, path, { at = {}, query = '', body: payload } = {}] = question;
        const url = path.replace(/\{(\w+)\}/g, (_, name) => at[name] ?? 'nosuch') + query;
        const sent = payload ? { payload, headers: TYPES } : {};
        const answer = await api.app.inject({ method, url, ...sent });
        const type = String(answer.headers['content-type'] ?? '');
        expect([question, faults(question, answer.statusCode, type, answer.payload)]).toEqual([question, []]);
        if (answer.statusCode < 400) asked.add(`${method} ${path}`);
        return answer.statusCode === 201 ? JSON.parse(answer.payload) : undefined;
      };
      await askDocker(ask);
      for (const prefix of ['', '/libnetwork']) await askClassic(ask, prefix);
      await osl.createNamespace('/run/netns/late');
      await askOwn(ask);
      for (const route of routes) await refusedOrNot(ask, route);
      // Only hosts of a cluster share keys; and only dnet's own API has events without a time to end.
      expect(routes.filter((route) => !asked.has(route))).toEqual(['POST /dnet/v1/keys/rotate']);
    } finally {
      await api.close();
      await controller.close();
    }
  });
});

type Ask = (...question: Question) => Promise<unknown>;

async function askDocker(ask: Ask): Promise<void> {
  for (const path of ['/_ping', '/version', '/info', '/health', '/metrics']) await ask('GET', path);
  const ipv6 = { EnableIPv6: true, Labels: { a: 'b' }, Options: { 'com.docker.network.driver.mtu': '1400' } };
  await ask('POST', '/networks/create', { body: { Name: 'front', ...ipv6 } });
  await ask('POST', '/networks/create', { body: { Name: 'unused' } });
  await ask('POST', '/networks/create', { body: { Name: 'front' } });
  await ask('POST', '/dnet/v1/sandboxes', { body: { containerId: 'c1' } });
  const front = { id: 'front' };
  await ask('POST', '/networks/{id}/connect', { at: front, body: { Container: 'c1' } });
  await ask('GET', '/networks');
  await ask('GET', '/networks', { query: '?name=front' });
  await ask('GET', '/networks', { query: '?name=nosuch' });
  await ask('GET', '/networks/{id}', { at: front });
  await ask('GET', '/containers/json');
  await ask('GET', '/containers/{id}/json', { at: { id: 'c1' } });
  await ask('GET', '/events', { query: '?since=0&until=0h' });
  await ask('POST', '/networks/{id}/disconnect', { at: front, body: { Container: 'c1' } });
  await ask('DELETE', '/networks/{id}', { at: front });
  await ask('POST', '/networks/prune');
  await ask('POST', '/networks/prune');
}

async function askClassic(ask: Ask, prefix: string): Promise<void> {
  const id = String(await ask('POST', `${prefix}/networks`, { body: { name: 'multihost' } }));
  const sid = String(await ask('POST', `${prefix}/sandboxes`, { body: { container_id: 'k1' } }));
  await ask('GET', `${prefix}/sandboxes`);
  await ask('GET', `${prefix}/sandboxes/{id}`, { at: { id: sid } });
  const of = { id };
  const endpoints = `${prefix}/networks/{id}/endpoints`;
  await ask('GET', endpoints, { at: of });
  const eid = String(await ask('POST', endpoints, { at: of, body: { name: 'web' } }));
  await ask('GET', endpoints, { at: of });
  const both = { id, eid, sid };
  await ask('GET', `${endpoints}/{eid}`, { at: both });
  await ask('POST', `${endpoints}/{eid}/sandboxes`, { at: both, body: { sandbox_id: sid } });
  await ask('DELETE', `${endpoints}/{eid}/sandboxes/{sid}`, { at: both });
  await ask('DELETE', `${endpoints}/{eid}`, { at: both });
  const service = String(
    await ask('POST', `${prefix}/services`, { body: { name: 'svc', network_name: 'multihost' } }),
  );
  const one = { id: service, sid };
  await ask('GET', `${prefix}/services`);
  await ask('GET', `${prefix}/services/{id}`, { at: one });
  await ask('GET', `${prefix}/services/{id}/backend`, { at: one });
  await ask('POST', `${prefix}/services/{id}/backend`, { at: one, body: { sandbox_id: sid } });
  await ask('GET', `${prefix}/services/{id}/backend`, { at: one });
  await ask('DELETE', `${prefix}/services/{id}/backend/{sid}`, { at: one });
  await ask('DELETE', `${prefix}/services/{id}`, { at: one, body: { name: 'svc' } });
  await ask('DELETE', `${prefix}/sandboxes/{id}`, { at: { id: sid } });
  if (prefix !== '') {
    await ask('GET', `${prefix}/networks`);
    await ask('GET', `${prefix}/networks/{id}`, { at: of });
    await ask('DELETE', `${prefix}/networks/{id}`, { at: of });
  } else await ask('DELETE', '/networks/{id}', { at: of });
}

async function askOwn(ask: Ask): Promise<void> {
  const own = '/dnet/v1';
  const at = { id: 'shop', eid: 'web' };
  const network = { name: 'shop', ipv6: true, ipam: { pools: [{ subnet: '10.9.0.0/24' }] } };
  await ask('POST', `${own}/networks`, { body: network });
  await ask('PATCH', `${own}/networks/{id}`, { at, body: { labels: { a: 'b' } } });
  const endpoint = { ports: [{ container: 80 }], service: { name: 'web' }, limits: { egress: 1e9 } };
  await ask('POST', `${own}/networks/{id}/endpoints`, { at, body: { name: 'web', ...endpoint } });
  const place = `${own}/networks/{id}/endpoints/{eid}`;
  await ask('POST', `${place}/join`, { at, body: { sandbox: 'c1' } });
  for (const path of ['networks', 'endpoints', 'ports', 'sandboxes', 'health', 'inspect', 'stats', 'doctor'])
    await ask('GET', `${own}/${path}`);
  for (const path of ['topology', 'firewall', 'hosts']) await ask('GET', `${own}/${path}`);
  await ask('GET', `${own}/networks/{id}`, { at });
  await ask('GET', `${own}/networks/{id}/endpoints`, { at });
  await ask('GET', place, { at });
  await ask('GET', `${own}/sandboxes/{id}`, { at: { id: 'c1' } });
  await ask('GET', `${own}/sandboxes/{id}/stack`, { at: { id: 'c1' } });
  await ask('GET', `${own}/firewall/explain`, { query: '?to=c1&port=80' });
  await ask('POST', `${own}/firewall/explain`, { body: { to: 'host', port: 80 } });
  await ask('POST', `${own}/reconcile`, { body: { dryRun: true } });
  await ask('PATCH', place, { at, body: { ports: [] } });
  await ask('POST', `${place}/leave`, { at, body: { sandbox: 'c1' } });
  await ask('DELETE', place, { at });
  await ask('DELETE', `${own}/networks/{id}`, { at });
  await ask('POST', `${own}/sandboxes`, { body: { containerId: 'late', externalKey: true } });
  await ask('POST', `${own}/sandboxes/{id}/key`, { at: { id: 'late' }, body: { path: '/run/netns/late' } });
  await ask('GET', `${own}/events`, { query: '?since=0&follow=false' });
  await ask('DELETE', `${own}/sandboxes/{id}`, { at: { id: 'late' } });
}

/** Whatever a route says to a name that nobody has is documented too. */
async function refusedOrNot(ask: Ask, route: string): Promise<void> {
  const [method = '', path = ''] = route.split(' ');
  if (!path.includes('{')) return;
  await ask(method as 'GET', path, method === 'GET' || method === 'DELETE' ? {} : { body: {} });
}
