/** The server for browsers: who may ask, by which names, and what comes back. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { type ApiLimits, createWebApi, listen } from '../../../src/api/index.ts';
import { refusalOf } from '../../../src/api/web/guard.ts';
import { NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { apiOver } from '../../support/api.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

const SCRIPT = 'reload();';

function pageFiles(): URL {
  const directory = mkdtempSync(join(tmpdir(), 'libnetwork-page-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  writeFileSync(
    join(directory, 'index.html'),
    `<!doctype html><title>page</title><script>${SCRIPT}</script>`,
  );
  writeFileSync(join(directory, 'style.css'), 'body {}');
  writeFileSync(join(directory, 'main.js'), 'export {};');
  writeFileSync(join(directory, 'secret.txt'), 'not for you');
  return pathToFileURL(`${directory}/`);
}

async function serve(limits: Partial<ApiLimits> = {}, host = '127.0.0.1') {
  const controller = await NetworkController.open({ osl: fakeOsl(), predefined: false });
  cleanups.push(() => controller.close());
  const api = await apiOver(controller, limits);
  cleanups.push(() => api.close());
  const web: FastifyInstance = await createWebApi(api, { host, page: pageFiles() });
  cleanups.push(() => web.close());
  await listen(web.server, { host: '127.0.0.1', port: 0 });
  const { port } = web.server.address() as AddressInfo;
  const ask = (method: string, path: string, headers: Readonly<Record<string, string>> = {}) =>
    askAt(port, method, path, headers);
  return { controller, web, ask, port };
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function open(port: number, method: string, path: string, headers: Readonly<Record<string, string>>) {
  const asked = request({ host: '127.0.0.1', port, method, path, headers, agent: false });
  cleanups.push(() => asked.destroy());
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return answer;
}

async function askAt(...given: Parameters<typeof open>): Promise<Answer> {
  const answer = await open(...given);
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

describe('files of the page', () => {
  it('come with their type and nothing inline is allowed but what the page’s own text has', async () => {
    const { ask } = await serve();
    const page = await ask('GET', '/');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const policy = page.headers['content-security-policy'];
    expect(policy).toContain("default-src 'none'");
    const hash = createHash('sha256').update(SCRIPT).digest('base64');
    expect(policy).toContain(`script-src 'self' 'sha256-${hash}';`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    expect((await ask('GET', '/style.css')).headers['content-type']).toBe('text/css; charset=utf-8');
    expect((await ask('GET', '/main.js')).headers['content-type']).toBe('text/javascript; charset=utf-8');
  });

  it('are sent again only when they have changed', async () => {
    const { ask } = await serve();
    const { headers } = await ask('GET', '/style.css');
    expect(headers['cache-control']).toBe('no-cache');
    const again = await ask('GET', '/style.css', { 'if-none-match': headers.etag ?? '' });
    expect([again.status, again.body]).toEqual([304, '']);
    expect((await ask('HEAD', '/style.css')).body).toBe('');
  });

  it.each([
    '/secret.txt',
    '/../package.json',
    '/%2e%2e/package.json',
    '/dom',
    '/index.html.map',
    '//etc/passwd',
  ])('are those of the page alone: not %s', async (path) => {
    const { ask } = await serve();
    expect((await ask('GET', path)).status).toBe(404);
  });
});

describe('what may be asked', () => {
  it('is told read-only: the topology, a sandbox’s stack, the way of a packet', async () => {
    const { ask, controller } = await serve();
    const network = await controller.createNetwork({ name: 'front', driver: 'bridge' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await network.createEndpoint({
      name: 'web',
      ports: [{ protocol: 'tcp', container: 80, host: 8080 }],
    });
    await endpoint.join(sandbox);
    const told = JSON.parse((await ask('GET', '/dnet/v1/topology')).body);
    expect(told.networks).toMatchObject([{ name: 'front', ways: { ipv4: 'nat' } }]);
    expect(told.endpoints).toMatchObject([{ name: 'web', sandboxId: sandbox.id, ports: [{ host: 8080 }] }]);
    const stack = JSON.parse((await ask('GET', '/dnet/v1/sandboxes/c1/stack')).body);
    expect(stack.interfaces.eth0).toMatchObject({ rxErrors: 0 });
    expect(stack.routes).toContainEqual(expect.objectContaining({ destination: 'default', link: 'eth0' }));
    const way = JSON.parse((await ask('GET', '/dnet/v1/firewall/explain?to=host&port=8080')).body);
    expect(way).toMatchObject({ verdict: 'accept', destination: expect.stringMatching(/:80$/) });
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('never by %s', async (method) => {
    const { ask, controller } = await serve();
    const before = controller.networks().length;
    const answer = await ask(method, '/dnet/v1/networks');
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD']);
    expect(controller.networks()).toHaveLength(before);
  });

  it('is nothing that the daemon’s own socket alone may tell', async () => {
    const { ask } = await serve();
    for (const path of ['/networks', '/containers/json', '/metrics', '/services'])
      expect((await ask('GET', path)).status, path).toBe(404);
    for (const path of ['networks', 'inspect', 'doctor', 'stats', 'firewall'])
      expect((await ask('GET', `/dnet/v1/${path}`)).status, path).toBe(404);
  });
});

describe('names that the server answers to', () => {
  it('are its own, so that a page of another site can’t reach it by a name that leads here', async () => {
    const { ask, port } = await serve();
    expect((await ask('GET', '/', { host: 'evil.example' })).status).toBe(403);
    expect((await ask('GET', '/dnet/v1/topology', { host: `evil.example:${port}` })).status).toBe(403);
    expect((await ask('GET', '/dnet/v1/topology', { host: `localhost:${port}` })).status).toBe(200);
  });

  it.each([
    ['127.0.0.1', '127.0.0.1:80', true],
    ['127.0.0.1', '127.8.8.8', true],
    ['127.0.0.1', '[::1]:80', true],
    ['127.0.0.1', 'LOCALHOST.evil.example', false],
    ['127.0.0.1', '127.0.0.1.evil.example', false],
    ['127.0.0.1', '192.0.2.1', false],
    ['127.0.0.1', '', false],
    ['192.0.2.1', '192.0.2.1:8080', true],
    ['192.0.2.1', 'localhost', false],
    ['192.0.2.1', 'host.example', false],
    ['host.example', 'host.example:8080', true],
    ['Host.Example', 'host.example:8080', true],
    ['2001:DB8:0:0::1', '[2001:db8::1]:8080', true],
    ['0.0.0.0', '192.0.2.1:8080', true],
    ['::', '[2001:db8::1]:8080', true],
    ['0.0.0.0', 'evil.example', false],
  ])('listening at %s, %s: %s', (host, name, isOwn) => {
    expect(refusalOf({ host: name }, host) === undefined).toBe(isOwn);
  });
});

describe('pages of other sites', () => {
  const from = (site: string, mode: string) => ({
    host: 'localhost',
    'sec-fetch-site': site,
    'sec-fetch-mode': mode,
  });

  it('may link here, and use nothing', () => {
    expect(refusalOf(from('cross-site', 'navigate'), '127.0.0.1')).toBeUndefined();
    expect(refusalOf(from('same-origin', 'cors'), '127.0.0.1')).toBeUndefined();
    expect(refusalOf(from('none', 'navigate'), '127.0.0.1')).toBeUndefined();
    for (const site of ['cross-site', 'same-site'])
      for (const mode of ['no-cors', 'cors', 'websocket'])
        expect(refusalOf(from(site, mode), '127.0.0.1')).toMatch(/other sites/);
  });
});

describe('streams of events', () => {
  const accept = { accept: 'text/event-stream' };

  it('are limited by themselves, and free again when a page is closed', async () => {
    const { ask, port } = await serve({ webStreams: 2 });
    const first = await open(port, 'GET', '/dnet/v1/events', accept);
    await open(port, 'GET', '/dnet/v1/events', accept);
    const refused = await ask('GET', '/dnet/v1/events', accept);
    expect([refused.status, JSON.parse(refused.body).error.code]).toEqual([503, 'UNAVAILABLE']);
    expect(refused.body).toContain('limits.webStreams');
    first.destroy();
    await expect.poll(async () => (await open(port, 'GET', '/dnet/v1/events', accept)).statusCode).toBe(200);
  });

  it('go on after the last event that a page has seen', async () => {
    const { controller, port } = await serve();
    for (const name of ['a', 'b', 'c']) await controller.createNetwork({ name, driver: 'bridge' });
    const eventsAfter = async (last: Readonly<Record<string, string>>) => {
      const answer = await open(port, 'GET', '/dnet/v1/events?since=0&follow=false', { ...accept, ...last });
      const told = await text(answer);
      return [...told.matchAll(/^id: (.+)\nevent: .+\ndata: (.+)$/gm)].map(([, id = '', data = '']) => ({
        id,
        name: JSON.parse(data).facts.name,
      }));
    };
    const all = await eventsAfter({});
    expect(all.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    const rest = await eventsAfter({ 'last-event-id': all[0]?.id ?? '' });
    expect(rest.map(({ name }) => name)).toEqual(['b', 'c']);
  });

  it('end when the server closes', async () => {
    const { web, port } = await serve();
    const answer = await open(port, 'GET', '/dnet/v1/events', accept);
    const end = once(answer, 'end');
    answer.resume();
    await web.close();
    await end;
  });
});
