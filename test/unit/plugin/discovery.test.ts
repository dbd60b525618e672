import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findPlugin, scanPlugins } from '../../../src/plugin/discovery.ts';

let root: string;
let places: { socketDirectories: string[]; specDirectories: string[] };
const servers: Server[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), `libnetwork-discovery-${process.pid}-`));
  places = {
    socketDirectories: [join(root, 'run')],
    specDirectories: [join(root, 'etc'), join(root, 'usr')],
  };
});
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  rmSync(root, { recursive: true, force: true });
});

function put(path: string, text: string): string {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  return join(root, path);
}

async function listen(path: string): Promise<string> {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(join(root, path), resolve));
  return join(root, path);
}

describe('a plugin is found', () => {
  it('by its socket, beside the others or in a directory of its name', async () => {
    const echo = await listen('run/echo.sock');
    const foo = await listen('run/foo/foo.sock');
    expect(await findPlugin(places, 'echo')).toEqual({
      name: 'echo',
      address: { kind: 'unix', path: echo },
      file: echo,
    });
    expect((await findPlugin(places, 'foo'))?.file).toBe(foo);
  });

  it('by a spec that names its address', async () => {
    put('etc/a.spec', 'unix:///var/lib/echo.sock\n');
    put('etc/b/b.spec', '  tcp://localhost:8080');
    put('usr/c.spec', 'http://[::1]:81');
    expect((await findPlugin(places, 'a'))?.address).toEqual({ kind: 'unix', path: '/var/lib/echo.sock' });
    expect((await findPlugin(places, 'b'))?.address).toEqual({
      kind: 'tcp',
      host: 'localhost',
      port: 8080,
      tls: undefined,
    });
    expect((await findPlugin(places, 'c'))?.address).toMatchObject({ host: '::1', port: 81 });
  });

  it('by JSON, under the name of the file and not the one inside', async () => {
    const TLSConfig = { CAFile: '/etc/ca.pem', CertFile: '/etc/cert.pem', KeyFile: '/etc/key.pem' };
    put(
      'usr/example.json',
      JSON.stringify({ Name: 'other', Addr: 'https://example.com:8080/plugin', TLSConfig }),
    );
    expect(await findPlugin(places, 'other')).toBeUndefined();
    expect((await findPlugin(places, 'example'))?.address).toEqual({
      kind: 'tcp',
      host: 'example.com',
      port: 8080,
      tls: { insecure: false, caFile: '/etc/ca.pem', certFile: '/etc/cert.pem', keyFile: '/etc/key.pem' },
    });
  });

  it('with its certificate checked by a CA, not at all without one, and by those of the system without TLSConfig', async () => {
    const tls = async (name: string) => {
      const address = (await findPlugin(places, name))?.address;
      return address?.kind === 'tcp' ? address.tls : undefined;
    };
    put(
      'etc/noca.json',
      JSON.stringify({ Addr: 'https://a:1', TLSConfig: { CertFile: '/c', KeyFile: '/k' } }),
    );
    put('etc/plain.json', JSON.stringify({ Addr: 'https://a:1' }));
    put('etc/bare.spec', 'https://a:1');
    put('etc/tcp.json', JSON.stringify({ Addr: 'tcp://a:1', TLSConfig: { CAFile: '/ca' } }));
    expect(await tls('noca')).toMatchObject({ insecure: true });
    expect(await tls('plain')).toEqual({ insecure: false });
    expect(await tls('bare')).toEqual({ insecure: true });
    expect(await tls('tcp')).toBeUndefined();
  });

  it('where its socket is before any spec, and in the earlier directory before the later one', async () => {
    put('etc/echo.spec', 'tcp://etc:1');
    put('usr/echo.spec', 'tcp://usr:1');
    put('etc/both.json', JSON.stringify({ Addr: 'tcp://json:1' }));
    put('etc/both/both.spec', 'tcp://spec:1');
    expect((await findPlugin(places, 'echo'))?.address).toMatchObject({ host: 'etc' });
    expect((await findPlugin(places, 'both'))?.address).toMatchObject({ host: 'spec' });
    const socket = await listen('run/echo.sock');
    expect((await findPlugin(places, 'echo'))?.file).toBe(socket);
  });
});

describe('no plugin', () => {
  it('is what has no file, or a file that is no socket', async () => {
    put('run/echo.sock', '');
    mkdirSync(join(root, 'etc', 'dir.spec'), { recursive: true });
    expect(await findPlugin(places, 'echo')).toBeUndefined();
    expect(await findPlugin(places, 'dir')).toBeUndefined();
  });

  it.each(['../etc/passwd', '..', '.', '', 'a/b', '/run', 'a\0b', '-x'])(
    'is behind the name %j, wherever it leads',
    async (name) => {
      put('etc/passwd.spec', 'tcp://a:1');
      expect(await findPlugin(places, name)).toBeUndefined();
    },
  );

  it.each([
    ['a.spec', 'localhost:8080'],
    ['a.spec', 'ftp://localhost'],
    ['a.spec', 'unix://relative.sock'],
    ['a.spec', ''],
    ['a.spec', `tcp://${'x'.repeat(70_000)}`],
    ['a.json', '{'],
    ['a.json', '{"Name":"a"}'],
    ['a.json', '{"Addr":5}'],
    ['a.json', '{"Addr":"tcp://a:1","TLSConfig":{"CAFile":[]}}'],
  ])('comes of a file %s that says %.40s: the file is named', async (file, text) => {
    const path = put(`etc/${file}`, text);
    await expect(findPlugin(places, 'a')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field: path });
  });
});

it('lists sockets and specs; a directory counts only with a file of its own name; missing ones are fine', async () => {
  expect(await scanPlugins(places)).toEqual([]);
  await listen('run/echo.sock');
  await listen('run/foo/foo.sock');
  await listen('run/not-a-plugin/bar.sock');
  put('etc/spec.spec', 'tcp://a:1');
  put('usr/json/json.json', '{}');
  put('usr/readme.txt', '');
  expect(await scanPlugins(places)).toEqual(['echo', 'foo', 'json', 'spec']);
});
