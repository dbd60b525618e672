/** Plugins that are dead, slow, or mean: every call ends with a typed error, in bounded time and memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../../src/driverapi/driver.ts';
import { nothing } from '../../../src/plugin/messages/common.ts';
import { type PluginOptions, pluginSettings } from '../../../src/plugin/options.ts';
import { Plugins } from '../../../src/plugin/plugins.ts';
import { answers, RecordingPlugin } from '../../support/recordingplugin.ts';

const quiet = (): void => undefined;
const logger: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };

let directory: string;
let made: Plugins[];
let servers: { server: Server; sockets: Set<Socket> }[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `libnetwork-hostile-${process.pid}-`));
  made = [];
  servers = [];
});
afterEach(async () => {
  for (const plugins of made) plugins.close();
  for (const { server, sockets } of servers) {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(directory, { recursive: true, force: true });
});

function plugins(options: PluginOptions = {}): Plugins {
  const given = {
    socketDirectories: [directory],
    specDirectories: [],
    retryDelayMs: 1,
    retryBudgetMs: 50,
    ...options,
  };
  const result = new Plugins(v.parse(pluginSettings, given), logger);
  made.push(result);
  return result;
}

/** A plugin on the level of its socket: what it writes is up to the test. */
async function raw(onRequest: (socket: Socket, request: string) => void): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', quiet);
    socket.on('data', (data) => onRequest(socket, data.toString()));
  });
  servers.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(join(directory, 'mean.sock'), resolve));
}

function http(body: string, head = 'HTTP/1.1 200 OK'): string {
  return `${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** It behaves until it has been activated. */
async function rawAfterHandshake(onRequest: (socket: Socket, request: string) => void): Promise<void> {
  const said: Record<string, string> = {
    'Plugin.Activate': '{"Implements":["NetworkDriver"]}',
    'NetworkDriver.GetCapabilities': '{"Scope":"local"}',
  };
  await raw((socket, request) => {
    const method = /^POST \/(\S+)/.exec(request)?.[1] ?? '';
    const answer = said[method];
    if (answer !== undefined) socket.write(http(answer));
    else onRequest(socket, request);
  });
}

const leave = (of: Plugins, signal?: AbortSignal) =>
  of.call('mean', 'NetworkDriver.Leave', { NetworkID: 'n', EndpointID: 'e' }, nothing, { signal });

describe('an answer', () => {
  it.each<[string, PluginOptions, (socket: Socket) => void, object]>([
    ['that never comes', { timeoutMs: 30 }, quiet, { code: 'TIMEOUT', limit: 'plugins.timeoutMs' }],
    [
      'that has no end',
      { maxBodyBytes: 10_000 },
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n{"Err":"');
        const more = setInterval(() => socket.write('x'.repeat(5_000)), 1);
        socket.on('close', () => clearInterval(more));
      },
      { code: 'INTERNAL', limit: 'plugins.maxBodyBytes' },
    ],
    [
      'of 10 MB of JSON',
      {},
      (socket) => void socket.write(http(JSON.stringify({ Value: 'x'.repeat(10_000_000) }))),
      { code: 'INTERNAL', limit: 'plugins.maxBodyBytes' },
    ],
    [
      'that trickles',
      { timeoutMs: 60 },
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n{');
        const more = setInterval(() => socket.write(' '), 5);
        socket.on('close', () => clearInterval(more));
      },
      { code: 'TIMEOUT' },
    ],
    ['that is not HTTP', {}, (socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n'), { code: 'INTERNAL' }],
    [
      'with a head of no end',
      {},
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        for (let i = 0; i < 100; i++) socket.write(`X-${i}: ${'y'.repeat(1_000)}\r\n`);
      },
      { code: 'INTERNAL' },
    ],
    [
      'that breaks off',
      {},
      (socket) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"Err"'),
      { code: 'INTERNAL' },
    ],
    [
      'that wants to speak something else',
      {},
      (socket) =>
        void socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n'),
      { code: 'INTERNAL' },
    ],
    [
      'of preliminary answers only',
      { timeoutMs: 60 },
      (socket) => {
        const more = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 2);
        socket.on('close', () => clearInterval(more));
      },
      { code: 'TIMEOUT' },
    ],
    ['that is empty', {}, (socket) => void socket.write(http('')), { code: 'INTERNAL' }],
    ['that is no JSON', {}, (socket) => void socket.write(http('<html>')), { code: 'INTERNAL' }],
    ['that is a list', {}, (socket) => void socket.write(http('[1]')), { code: 'INTERNAL' }],
    [
      'with an error that is no text',
      {},
      (socket) => void socket.write(http('{"Err":5}')),
      { code: 'INTERNAL', field: 'Err' },
    ],
    [
      'nested without end',
      {},
      (socket) => void socket.write(http('['.repeat(500_000))),
      { code: 'INTERNAL', limit: '64 levels of JSON' },
    ],
    [
      'that says no',
      {},
      (socket) => void socket.write(http('{"Err":"no\\u0000\\nway"}')),
      { code: 'INTERNAL', message: 'remote: no way' },
    ],
    [
      'that says no by its status',
      {},
      (socket) => void socket.write(http('{"Err":"no"}', 'HTTP/1.1 500 Oh')),
      { code: 'INTERNAL', message: 'NetworkDriver.Leave: no', status: 500 },
    ],
    [
      'of a status alone',
      {},
      (socket) => void socket.write(http('gone fishing', 'HTTP/1.1 404 No')),
      { code: 'INTERNAL', message: 'NetworkDriver.Leave: gone fishing', status: 404 },
    ],
    [
      'that sends one elsewhere',
      {},
      (socket) =>
        void socket.write('HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n'),
      { code: 'INTERNAL', status: 302 },
    ],
  ])('%s', async (_, options, onRequest, error) => {
    await rawAfterHandshake(onRequest);
    await expect(leave(plugins(options))).rejects.toMatchObject({ name: 'LibnetworkError', ...error });
  });

  it.each([
    'null',
    '{}',
    '{"err":null}',
    ' {"Extra":[{}]} trailing junk',
    '{}{"Err":"too late"}',
    '[]'.slice(2) || '{ }',
  ])('of %j is fine: null is nothing, and what follows is not read', async (body) => {
    await rawAfterHandshake((socket) => void socket.write(http(body)));
    await expect(leave(plugins())).resolves.toEqual({});
  });
});

describe('a plugin that can not be reached', () => {
  it('is refused at once where it has no socket', async () => {
    await expect(plugins().capabilities('nobody', 'NetworkDriver')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(directory) as string,
    });
    await expect(plugins().call('nobody', 'NetworkDriver.Leave', {}, nothing)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  it('is tried again until its time is used up: a socket that nobody listens at, or that hangs up', async () => {
    let connections = 0;
    await raw((socket) => {
      connections++;
      socket.destroy();
    });
    await expect(leave(plugins({ retryBudgetMs: 100 }))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(connections).toBeGreaterThan(3);
  });

  it('is taken up again when it is back, without asking anew what it can do', async () => {
    const plugin = await new RecordingPlugin(answers(), { name: 'mean', directory }).start();
    const all = plugins({ retryBudgetMs: 20 });
    await leave(all);
    await plugin.kill();
    await expect(leave(all)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await plugin.start();
    await leave(all);
    await plugin.stop();
    expect(plugin.methods.filter((method) => method === 'Plugin.Activate')).toHaveLength(1);
  });

  it('that restarts between two calls is not noticed: the second goes over a new connection', async () => {
    const plugin = await new RecordingPlugin(answers(), { name: 'mean', directory }).start();
    const all = plugins({ retryBudgetMs: 0 });
    await leave(all);
    await plugin.kill();
    await plugin.start();
    await leave(all);
    await plugin.stop();
  });

  it('that restarts during a call is asked again', async () => {
    const plugin = await new RecordingPlugin(answers(), { name: 'mean', directory }).start();
    const all = plugins({ retryBudgetMs: 10_000 });
    await leave(all);
    plugin.answerWith((asked, response) => {
      plugin.answerWith(answers());
      response.destroy();
      return asked.method === '' ? { body: {} } : undefined;
    });
    await leave(all);
    await plugin.stop();
    expect(plugin.methods.slice(-2)).toEqual(['NetworkDriver.Leave', 'NetworkDriver.Leave']);
  });
});

describe('others', () => {
  it('do not wait for a plugin that has just let somebody wait in vain', async () => {
    let asked = 0;
    await rawAfterHandshake(() => void asked++);
    const all = plugins({ timeoutMs: 50, restMs: 60_000, maxConnections: 1 });
    const calls = await Promise.allSettled(Array.from({ length: 50 }, () => leave(all)));
    const codes = calls.map((call) => call.status === 'rejected' && (call.reason as { code: string }).code);
    expect(codes.filter((code) => code === 'TIMEOUT')).toHaveLength(1);
    expect(codes.filter((code) => code === 'UNAVAILABLE')).toHaveLength(49);
    expect(asked).toBe(1);
  });

  it('call a plugin that answers them while it lets one wait', async () => {
    const plugin = new RecordingPlugin(
      (asked, response) => (asked.rawBody.includes('slow') ? undefined : answers()(asked, response)),
      { name: 'mean', directory },
    );
    await plugin.start();
    const all = plugins({ timeoutMs: 200 });
    await leave(all);
    const slow = all.call('mean', 'NetworkDriver.Leave', { NetworkID: 'slow' }, nothing);
    const [outcome] = await Promise.allSettled([slow, leave(all)]);
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'TIMEOUT' } });
    await leave(all);
    await plugin.stop();
  });

  it('can stop waiting, also for an activation that goes on for those who do not', async () => {
    let answer: (() => void) | undefined;
    await raw((socket, request) => {
      const write = () => void socket.write(http('{"Implements":["NetworkDriver"],"Scope":"local"}'));
      if (request.includes('/Plugin.Activate')) answer = write;
      else write();
    });
    const all = plugins();
    const leaving = new AbortController();
    const left = leave(all, leaving.signal);
    const stayed = leave(all);
    while (answer === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    leaving.abort();
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' });
    answer();
    await stayed;
  });

  it('share a bounded number of connections, however many they are', async () => {
    const plugin = await new RecordingPlugin(answers(), { name: 'mean', directory }).start();
    const all = plugins({ maxConnections: 4 });
    await Promise.all(Array.from({ length: 1000 }, () => leave(all)));
    await plugin.stop();
    expect(plugin.methods.filter((method) => method === 'NetworkDriver.Leave')).toHaveLength(1000);
    expect(plugin.mostConnections).toBeLessThanOrEqual(4);
  });
});

describe('what a plugin says it can do', () => {
  it.each([
    ['nothing', {}, { code: 'INTERNAL' }],
    ['a scope that there is not', { Scope: 'fake' }, { code: 'INTERNAL', field: 'Scope' }],
    ['a connectivity that there is not', { Scope: 'local', ConnectivityScope: 'x' }, { code: 'INTERNAL' }],
  ])('is refused when it says %s', async (_, said, error) => {
    const by = answers({ 'NetworkDriver.GetCapabilities': said });
    const plugin = await new RecordingPlugin(by, { name: 'mean', directory }).start();
    const all = plugins();
    await expect(all.capabilities('mean', 'NetworkDriver')).rejects.toMatchObject(error);
    // As an IPAM it is as good as any.
    await expect(all.capabilities('mean', 'IpamDriver')).resolves.toMatchObject({
      RequiresMACAddress: false,
    });
    await plugin.stop();
  });

  it('may hold more than is known, in any case', async () => {
    const said = { scope: 'global', CONNECTIVITYSCOPE: 'local', Foo: { bar: 1 } };
    const by = answers({ 'NetworkDriver.GetCapabilities': said });
    const plugin = await new RecordingPlugin(by, { name: 'mean', directory }).start();
    const got = await plugins().capabilities('mean', 'NetworkDriver');
    expect(got).toEqual({ Scope: 'global', ConnectivityScope: 'local', GwAllocChecker: false });
    await plugin.stop();
  });

  it('is nothing for an IPAM from before there were capabilities', async () => {
    const plugin = new RecordingPlugin(
      (asked, response) =>
        asked.method === 'IpamDriver.GetCapabilities'
          ? { status: 404, body: '404 page not found' }
          : answers()(asked, response),
      { name: 'mean', directory },
    );
    await plugin.start();
    await expect(plugins().capabilities('mean', 'IpamDriver')).resolves.toEqual({
      RequiresMACAddress: false,
      RequiresRequestReplay: false,
      spaces: { LocalDefaultAddressSpace: 'PeerLocal', GlobalDefaultAddressSpace: 'PeerGlobal' },
    });
    await plugin.stop();
  });

  it('decides what it is used for', async () => {
    const by = answers({ 'Plugin.Activate': { Implements: ['VolumeDriver', 'IpamDriver'] } });
    const plugin = await new RecordingPlugin(by, { name: 'mean', directory }).start();
    await expect(plugins().capabilities('mean', 'NetworkDriver')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('VolumeDriver, IpamDriver') as string,
    });
    await plugin.stop();
  });
});
