import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { DEFAULT_LIMITS } from '../../../src/osl/relay/relay.ts';

async function machine(): Promise<Namespace> {
  const { host } = fakeOsl();
  await host.apply([{ op: 'setLink', name: 'lo', up: true }]);
  return host;
}

const front = { protocol: 'tcp', address: '::1', port: 8080 } as const;
const target = { address: '127.0.0.1', port: 80 };

describe('a proxy of connections', () => {
  it('hands on what is said after the other side has finished', async () => {
    const host = await machine();
    // The server answers only once the client has said everything.
    await host.listenTcp('127.0.0.1', 80, (stream) => {
      let said = '';
      stream.on('data', (data: Buffer) => {
        said += String(data);
      });
      stream.on('end', () => stream.end(`you said ${said}`));
    });
    await host.servePort(front, target);
    const client = await host.connectTcp('::1', 8080);
    client.end('hello');
    expect(await text(client)).toBe('you said hello');
  });

  it('ends the client where nobody listens behind it', async () => {
    const host = await machine();
    await host.servePort(front, target);
    const client = await host.connectTcp('::1', 8080);
    expect(await text(client)).toBe('');
  });

  it('ends its connections, and frees the port, when it is released', async () => {
    const host = await machine();
    const ended: Promise<unknown>[] = [];
    await host.listenTcp('127.0.0.1', 80, (stream) => {
      stream.write('hello');
      ended.push(text(stream));
    });
    const proxy = await host.servePort(front, target);
    const client = await host.connectTcp('::1', 8080);
    await once(client, 'readable');
    proxy.release();
    expect(await text(client)).toBe('hello');
    expect(await Promise.all(ended)).toEqual(['']);
    await host.holdPort(front);
  });
});

describe('a proxy of datagrams', () => {
  async function echoing(host: Namespace) {
    const server = await host.bindUdp('127.0.0.1', 80);
    server.onMessage((data, from) => server.send(data, from));
    return host.servePort({ ...front, protocol: 'udp' }, target);
  }

  async function answer(host: Namespace, said: string): Promise<string> {
    const client = await host.bindUdp('::1', 0);
    const heard = new Promise<string>((resolve) => client.onMessage((data) => resolve(String(data))));
    client.send(Buffer.from(said), front);
    try {
      return await heard;
    } finally {
      client.close();
    }
  }

  it('gives each sender the answers to what it sent', async () => {
    const host = await machine();
    await echoing(host);
    const said = Array.from({ length: 20 }, (_, i) => `datagram ${i}`);
    expect(await Promise.all(said.map((each) => answer(host, each)))).toEqual(said);
  });

  it('remembers no more senders than its limit, and forgets all when it is released', async () => {
    const osl = fakeOsl();
    const { host } = osl;
    await host.apply([{ op: 'setLink', name: 'lo', up: true }]);
    const proxy = await echoing(host);
    const sockets = () => osl.kernel.dump().namespaces.host?.sockets.length;
    for (let i = 0; i < DEFAULT_LIMITS.senders + 5; i++) await answer(host, String(i));
    await expect.poll(sockets).toBe(DEFAULT_LIMITS.senders + 2);
    proxy.release();
    await expect.poll(sockets).toBe(1);
  });
});
