/** What comes by the socket from who means no good, and that the daemon lives on. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { type Daemon, isBuilt, withDaemon } from '../../support/dnet.ts';

/** Sends bytes as they are; all that comes back until the daemon hangs up. */
async function raw(daemon: Daemon, bytes: string): Promise<string> {
  const socket = createConnection(daemon.socket);
  socket.on('error', () => undefined);
  socket.write(bytes);
  return text(socket);
}

async function lives(daemon: Daemon): Promise<void> {
  expect((await daemon.ask('GET', '/health')).json).toMatchObject({ status: 'ok' });
}

const CREATE = 'POST /networks/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
const BODY = '{"Name":"smuggled"}';

const AMBIGUOUS: readonly (readonly [name: string, bytes: string])[] = [
  ['two lengths', `${CREATE}Content-Length: 2\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`],
  [
    'a length and chunks',
    `${CREATE}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${CREATE}\r\n`,
  ],
  ['an unknown encoding', `${CREATE}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['a disguised encoding', `${CREATE}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ['a folded header', `GET /networks HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n folded\r\n\r\n`],
  ['a bare line feed', `GET /networks HTTP/1.1\nHost: x\n\n`],
  ['a negative length', `${CREATE}Content-Length: -5\r\n\r\n`],
  ['a chunk of no size', `${CREATE}Transfer-Encoding: chunked\r\n\r\nzz\r\n${BODY}\r\n0\r\n\r\n`],
  ['no host', 'GET /networks HTTP/1.1\r\n\r\n'],
  ['a NUL in a header', 'GET /networks HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n'],
  ['another protocol', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
];

describe.skipIf(!isBuilt)('requests that could be read in two ways (after npm run build)', () => {
  it('are refused, and the connection is closed', async () => {
    await withDaemon({}, async (daemon) => {
      for (const [name, bytes] of AMBIGUOUS) {
        const answer = await raw(daemon, bytes);
        expect(answer, name).toMatch(/^(HTTP\/1\.1 400 |$)/);
        expect(answer.match(/HTTP\/1\.1/g)?.length ?? 0, name).toBeLessThanOrEqual(1);
        expect((await daemon.ask('GET', '/v1.41/networks/smuggled')).status, name).toBe(404);
        await lives(daemon);
      }
    });
  });
});

describe.skipIf(!isBuilt)('requests that are too large (after npm run build)', () => {
  it('a body above the limit is refused, by its length or as it comes', async () => {
    await withDaemon({}, async (daemon) => {
      const body = JSON.stringify({ Name: 'x', Labels: { a: 'b'.repeat(2 * 1024 * 1024) } });
      const told = await daemon.ask('POST', '/networks/create', {
        body,
        headers: { 'content-type': 'application/json' },
      });
      expect(told.status).toBe(413);
      const chunk = `${(64 * 1024).toString(16)}\r\n${'x'.repeat(64 * 1024)}\r\n`;
      const answer = await raw(
        daemon,
        `${CREATE}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(40)}0\r\n\r\n`,
      );
      expect(answer).toMatch(/^(HTTP\/1\.1 413 |$)/);
      await lives(daemon);
    });
  });

  it('headers and paths above the limit are refused', async () => {
    await withDaemon({}, async (daemon) => {
      // Little above the limits: what a server leaves unread makes the kernel reset the connection, answer and all.
      const long = 'x'.repeat(20 * 1024);
      expect(await raw(daemon, `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${long}\r\n\r\n`)).toMatch(
        /^HTTP\/1\.1 431 /,
      );
      expect(await raw(daemon, `GET /${long} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1\.1 (431|414) /);
      expect((await daemon.ask('GET', `/networks/${'n'.repeat(2000)}`)).status).toBeGreaterThanOrEqual(400);
      await lives(daemon);
    });
  });

  it('JSON that is deep, or reaches into prototypes, or holds far too much is refused', async () => {
    await withDaemon({}, async (daemon) => {
      const headers = { 'content-type': 'application/json' };
      const bodies = [
        `{"Name":"x","IPAM":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`,
        '{"Name":"x","__proto__":{"polluted":true}}',
        '{"Name":"x","constructor":{"prototype":{"polluted":true}}}',
        JSON.stringify({
          Name: 'x',
          Labels: Object.fromEntries([...Array(2000).keys()].map((i) => [`k${i}`, ''])),
        }),
      ];
      const statuses = [];
      for (const body of bodies)
        statuses.push((await daemon.ask('POST', '/networks/create', { body, headers })).status);
      // What is unknown is passed over, however deep.
      expect(statuses).toEqual([201, 400, 400, 400]);
      await lives(daemon);
    });
  });
});

describe.skipIf(!isBuilt)('clients that take their time (after npm run build)', () => {
  it('are hung up on: headers that do not end, bodies that do not come', async () => {
    await withDaemon(
      { settings: { limits: { headersMs: 500, requestMs: 1000, idleMs: 500 } } },
      async (daemon) => {
        expect(await raw(daemon, 'GET /networks HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toMatch(
          /^(HTTP\/1\.1 408 |$)/,
        );
        expect(await raw(daemon, `${CREATE}Content-Length: 50\r\n\r\n{"Name":`)).toMatch(
          /^(HTTP\/1\.1 408 |$)/,
        );
        // One that is kept alive and says nothing more.
        expect(await raw(daemon, 'GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
        await lives(daemon);
      },
    );
  });

  it('do not keep others out for ever: connections and streams have limits', async () => {
    await withDaemon(
      { settings: { limits: { connections: 8, streams: 2, headersMs: 1000, idleMs: 1000 } } },
      async (daemon) => {
        const streams = await Promise.all([1, 2].map(() => openStream(daemon)));
        expect((await daemon.ask('GET', '/dnet/v1/events')).status).toBe(503);
        expect((await daemon.ask('GET', '/events')).status).toBe(503);
        const crowd: Socket[] = [...Array(20).keys()].map(() => createConnection(daemon.socket));
        for (const socket of crowd) socket.on('error', () => undefined);
        await Promise.all(crowd.map((socket) => once(socket, 'close')));
        for (const stream of streams) stream.destroy();
        await expect
          .poll(
            () =>
              daemon.ask('GET', '/health').then(
                ({ status }) => status,
                () => 0,
              ),
            { timeout: 60_000 },
          )
          .toBe(200);
      },
    );
  });

  it('that read a stream too slowly are hung up on, and cost no memory', async () => {
    await withDaemon({ settings: { limits: { streamBytes: 4096 } } }, async (daemon) => {
      const reader = await openStream(daemon);
      reader.pause();
      const closed = once(reader, 'close');
      reader.once('end', () => reader.destroy());
      // What a stalled reader leaves waiting: the kernel's buffer of the socket, and then ours.
      for (let i = 0; i < 400; i++) {
        await daemon.send('POST', '/networks/create', {
          Name: `n${i}`,
          Driver: 'bridge',
          ConfigOnly: true,
          Labels: {},
        });
        if (i % 50 === 49 && (await metric(daemon, 'dnet_http_streams')) === 0) break;
      }
      if ((await metric(daemon, 'dnet_http_streams')) === 0) reader.resume();
      reader.destroy();
      await closed;
      await expect.poll(() => metric(daemon, 'dnet_http_streams'), { timeout: 60_000 }).toBe(0);
      await lives(daemon);
    });
  });
});

async function openStream(daemon: Daemon): Promise<Socket> {
  const socket = createConnection(daemon.socket);
  socket.on('error', () => undefined);
  socket.write('GET /dnet/v1/events HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'readable');
  return socket;
}

async function metric(daemon: Daemon, name: string): Promise<number> {
  const { text: all } = await daemon.ask('GET', '/metrics');
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(all)?.[1]);
}

describe.skipIf(!isBuilt)('names that try to be paths (after npm run build)', () => {
  it('name nothing, whatever they are encoded as', async () => {
    await withDaemon({}, async (daemon) => {
      const tricks = [
        '..%2f..%2fetc%2fpasswd',
        '%2e%2e%2f%2e%2e',
        '..%5c..',
        '%00',
        'a%00b',
        '%252e%252e%252f',
        'a%0d%0aX-Injected:%201',
        '%ff%fe',
        '__proto__',
        'constructor',
        'toString',
      ];
      for (const trick of tricks) {
        for (const path of [
          `/networks/${trick}`,
          `/v1.41/networks/${trick}`,
          `/dnet/v1/networks/${trick}`,
          `/dnet/v1/sandboxes/${trick}`,
          `/libnetwork/networks/${trick}/endpoints`,
          `/services/${trick}/backend`,
          `/containers/${trick}/json`,
        ]) {
          const answer = await daemon.ask('GET', path);
          expect([path, answer.status === 400 || answer.status === 404]).toEqual([path, true]);
          expect(answer.headers['x-injected']).toBeUndefined();
        }
      }
      const paths = ['/tmp/../etc/passwd', 'relative', '/tmp/x\0y', '/tmp//x', '/tmp/\nx'];
      for (const hostsPath of paths) {
        const answer = await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1', hostsPath });
        expect([hostsPath, answer.status]).toEqual([hostsPath, 400]);
      }
      for (const containerId of ['../c1', 'c/1', '.', '', 'c1\n'])
        expect((await daemon.send('POST', '/dnet/v1/sandboxes', { containerId })).status).toBe(400);
      for (const name of ['../n', 'n/1', '.', '', '-n', 'n\u0000'])
        expect((await daemon.send('POST', '/dnet/v1/networks', { name })).status).toBe(400);
      await lives(daemon);
    });
  });

  it('patterns of filters cost no time that grows without bound', async () => {
    await withDaemon({}, async (daemon) => {
      await daemon.send('POST', '/networks/create', { Name: 'a'.repeat(100) });
      for (const pattern of ['(a+)+$', '(a|a)*b', 'a*a*a*a*a*a*b', '(.*)*x', '(?:a?){50}a{50}', '[']) {
        const filters = encodeURIComponent(JSON.stringify({ name: [pattern] }));
        const { status, json } = await daemon.ask('GET', `/v1.41/networks?filters=${filters}`);
        expect([pattern, status, json]).toEqual([pattern, 200, []]);
      }
    });
  });
});
