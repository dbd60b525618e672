import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import type { Namespace, UdpSocket } from '../../osl/osl.ts';
import {
  bridged,
  cable,
  type Net,
  nets,
  type OslSuite,
  type Promised,
  promisesOf,
  ready,
  refusal,
} from './ground.ts';

export function socketPromises(suite: OslSuite): void {
  const it = promisesOf(suite);
  describe.each(nets)('sockets over $family', (net) => socketsOf(it, net));
  describe.each(nets)('held ports of $family', (net) => portsOf(it, net));
  describe.each(nets)('pings over $family', (net) => pingsOf(it, net));
}

/** The next datagram, as text, and where it came from. */
function next(socket: UdpSocket): Promise<readonly [string, { address: string; port: number }]> {
  return new Promise((resolve) =>
    socket.onMessage((data, { address, port }) => resolve([String(data), { address, port }])),
  );
}

const echo = (stream: Duplex): void => {
  stream.pipe(stream);
};

function socketsOf(it: Promised, net: Net): void {
  it(`${net.family} datagrams go there and back inside a namespace`, async ({ host }) => {
    const server = await host.bindUdp(net.loopback, 0);
    server.onMessage((data, from) => server.send(Buffer.concat([data, data]), from));
    const client = await host.bindUdp(net.loopback, 0);
    const answer = next(client);
    client.send(Buffer.from('ab'), server);
    expect(await answer).toEqual(['abab', { address: net.loopback, port: server.port }]);
    for (const socket of [client, server]) socket.close();
  });

  it(`${net.family} datagrams go between two namespaces, with their sender's address`, async ({
    host,
    create,
  }) => {
    const there = await create('there');
    await cable(net, host, there);
    const server = await there.bindUdp(net.any, 5353);
    expect(server).toMatchObject({ address: net.any, port: 5353 });
    const heard = next(server);
    const client = await host.bindUdp(net.any, 0);
    client.send(Buffer.from('hello'), { address: net.at(2), port: 5353 });
    expect(await heard).toEqual(['hello', { address: net.at(1), port: client.port }]);
    for (const socket of [client, server]) socket.close();
  });

  it(`${net.family} datagrams arrive whole, each by itself and in their order, however many and long`, async ({
    host,
  }) => {
    const server = await host.bindUdp(net.loopback, 0);
    server.onMessage((data, from) => server.send(data, from));
    const client = await host.bindUdp(net.loopback, 0);
    const lengths = [
      ...Array.from({ length: 150 }, (_, i) => i),
      512,
      1500,
      4096,
      40_000,
      50_000,
      60_000,
      65_000,
      0,
    ];
    const sent = lengths.map((length, i) => Buffer.alloc(length, i));
    const heard: Buffer[] = [];
    const all = new Promise<void>((resolve) => {
      client.onMessage((data) => {
        heard.push(data);
        if (heard.length === sent.length) resolve();
      });
    });
    for (const data of sent) {
      client.send(data, server);
      // What is sent is what it was when it was sent.
      if (data.length < 150) data.fill(0);
    }
    await all;
    expect(heard.map((data) => data.length)).toEqual(lengths);
    expect(heard.every((data, i) => data.equals(Buffer.alloc(data.length, i)))).toBe(true);
    for (const socket of [client, server]) socket.close();
  });

  it(`${net.family} datagrams sent right before the end still go`, async ({ host }) => {
    const server = await host.bindUdp(net.loopback, 0);
    const heard = next(server);
    const client = await host.bindUdp(net.loopback, 0);
    client.send(Buffer.from('last words'), server);
    client.close();
    expect((await heard)[0]).toBe('last words');
    server.close();
  });

  it(`${net.family} datagrams that nobody takes are lost in silence, also after closing`, async ({
    host,
  }) => {
    const socket = await host.bindUdp(net.loopback, 0);
    socket.send(Buffer.from('x'), { address: net.loopback, port: 9 });
    socket.send(Buffer.from('x'), { address: net.far, port: 9 });
    const answer = next(socket);
    socket.send(Buffer.from('to myself'), socket);
    expect((await answer)[0]).toBe('to myself');
    socket.close();
    socket.send(Buffer.from('x'), { address: net.loopback, port: 9 });
    socket.close();
  });

  it(`${net.family} connections carry bytes between namespaces, each end closing for itself`, async ({
    host,
    create,
  }) => {
    const there = await create('there');
    await cable(net, host, there);
    const listener = await there.listenTcp(net.any, 0, echo);
    const stream = await host.connectTcp(net.at(2), listener.port);
    stream.end('over the cable');
    expect(await text(stream)).toBe('over the cable');
    listener.close();
    expect(await refusal(host.connectTcp(net.at(2), listener.port))).toMatchObject({
      code: 'UNAVAILABLE',
      errno: 'ECONNREFUSED',
    });
  });

  it(`${net.family} connections carry more than fits in one buffer`, async ({ host }) => {
    const listener = await host.listenTcp(net.loopback, 0, echo);
    const stream = await host.connectTcp(net.loopback, listener.port);
    const much = 'x'.repeat(1 << 20);
    stream.end(much);
    expect((await text(stream)).length).toBe(much.length);
    listener.close();
  });

  it(`${net.family} connections end when their listener closes`, async ({ host }) => {
    const listener = await host.listenTcp(net.loopback, 0, (stream) => void stream.write('welcome'));
    const stream = await host.connectTcp(net.loopback, listener.port);
    expect(String(await once(stream, 'data'))).toBe('welcome');
    listener.close();
    stream.resume();
    await once(stream, 'end');
    stream.destroy();
  });

  it(`${net.family} sockets are of their namespace alone`, async ({ host, create }) => {
    const there = await create('there');
    const listener = await host.listenTcp(net.loopback, 0, echo);
    expect(await refusal(there.connectTcp(net.loopback, listener.port))).toMatchObject({
      errno: 'ECONNREFUSED',
    });
    const twin = await there.listenTcp(net.loopback, listener.port, echo);
    for (const each of [listener, twin]) each.close();
  });

  it(`${net.family} sockets are bound to addresses of their namespace only`, async ({ host }) => {
    expect(await refusal(host.bindUdp(net.far, 0))).toMatchObject({ errno: 'EADDRNOTAVAIL' });
    expect(await refusal(host.listenTcp(net.far, 0, echo))).toMatchObject({ errno: 'EADDRNOTAVAIL' });
    expect(await refusal(host.bindUdp('nowhere', 0))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await refusal(host.bindUdp(net.any, 65536))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it(`${net.family} connections without a way there fail at once`, async ({ host }) => {
    expect(await refusal(host.connectTcp(net.far, 80))).toMatchObject({
      code: 'UNAVAILABLE',
      errno: 'ENETUNREACH',
    });
  });

  it(`${net.family} connections that nobody answers end with TIMEOUT, or with the caller's patience`, async ({
    host,
  }) => {
    const held = await host.holdPort({ protocol: 'tcp', address: net.loopback, port: 0 });
    const connect = (options: object): Promise<unknown> => host.connectTcp(net.loopback, held.port, options);
    expect(await refusal(connect({ timeoutMs: 30 }))).toMatchObject({ code: 'TIMEOUT' });
    const giveUp = new AbortController();
    const waiting = refusal(connect({ signal: giveUp.signal }));
    giveUp.abort();
    expect(await waiting).toMatchObject({ code: 'ABORTED' });
    held.release();
  });
}

function portsOf(it: Promised, net: Net): void {
  const spec = { protocol: 'tcp', address: net.any, port: 8080 } as const;

  it(`${net.family} ports are held against everybody, until they are released`, async ({
    host,
    open,
    path,
  }) => {
    const other = await (await open()).openNamespace(path('host'));
    for (const protocol of ['tcp', 'udp'] as const) {
      const held = await host.holdPort({ ...spec, protocol });
      expect(held).toMatchObject({ protocol, address: net.any, port: 8080 });
      const wanted = { ...spec, protocol, address: net.loopback };
      expect(await refusal(other.holdPort(wanted))).toMatchObject({ code: 'CONFLICT', errno: 'EADDRINUSE' });
      held.release();
      held.release();
      (await other.holdPort(wanted)).release();
    }
  });

  it(`${net.family} ports are held against servers, and by them`, async ({ host }) => {
    const held = await host.holdPort(spec);
    expect(await refusal(host.listenTcp(net.loopback, 8080, echo))).toMatchObject({ errno: 'EADDRINUSE' });
    held.release();
    const listener = await host.listenTcp(net.loopback, 8080, echo);
    expect(await refusal(host.holdPort(spec))).toMatchObject({ errno: 'EADDRINUSE' });
    listener.close();
    const socket = await host.bindUdp(net.any, 8080);
    expect(await refusal(host.bindUdp(net.loopback, 8080))).toMatchObject({ errno: 'EADDRINUSE' });
    socket.close();
  });

  it(`${net.family} ports are apart from other protocols, other addresses, and the other family`, async (ground) => {
    const { host, create } = ground;
    await cable(net, host, await create('there'));
    const other = net.family === 'ipv4' ? '::' : '0.0.0.0';
    const held = [
      await host.holdPort({ ...spec, address: net.loopback }),
      await host.holdPort({ ...spec, address: net.at(1) }),
      await host.holdPort({ ...spec, protocol: 'udp' }),
      await host.holdPort({ ...spec, address: other }),
    ];
    for (const each of held) each.release();
  });

  it(`${net.family} ports may be chosen by the kernel, each another one`, async ({ host }) => {
    const held = [];
    for (let i = 0; i < 5; i++) held.push(await host.holdPort({ ...spec, port: 0 }));
    const ports = held.map((each) => each.port);
    expect(new Set(ports).size).toBe(5);
    expect(Math.min(...ports)).toBeGreaterThan(1023);
    for (const each of held) each.release();
  });
}

/** Addresses may still be new: a later echo request is answered when the first was not. */
async function answers(from: Namespace | undefined, address: string): Promise<void> {
  await expect.poll(async () => await from?.ping(address), { timeout: 8000, interval: 5 }).toBeGreaterThan(0);
}

function pingsOf(it: Promised, net: Net): void {
  it(`${net.family} pings cross a bridge, and reach the bridge itself`, async (ground) => {
    const [one, two] = await bridged(net, ground, ['one', 'two']);
    await answers(one, net.at(3));
    await answers(two, net.at(2));
    await answers(one, net.at(1));
    await answers(ground.host, net.at(3));
    await answers(one, net.loopback);
  });

  it(`${net.family} pings get no answer where nobody is, and none without a route`, async (ground) => {
    const [one] = await bridged(net, ground, ['one']);
    expect(await one?.ping(net.at(99), { timeoutMs: 60 })).toBeUndefined();
    expect(await ground.host.ping(net.far, { timeoutMs: 60 })).toBeUndefined();
    expect(await refusal(ground.host.ping('nowhere'))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it(`${net.family} packets are forwarded where forwarding is on, and counted by links`, async (ground) => {
    const [one] = await bridged(net, ground, ['one']);
    const far = await ground.create('far');
    const { host } = ground;
    const outer =
      net.family === 'ipv4' ? ['192.0.2.1/24', '192.0.2.7/24'] : ['2001:db8::1/64', '2001:db8::7/64'];
    const gateway = (outer[0] ?? '').split('/')[0];
    await host.apply([
      {
        op: 'createLink',
        name: 'uplink',
        link: { kind: 'veth', peer: { name: 'eth0', namespace: far } },
        up: true,
      },
      { op: 'addAddress', link: 'uplink', address: outer[0] ?? '', noDad: true },
    ]);
    await far.apply([
      { op: 'addAddress', link: 'eth0', address: outer[1] ?? '', noDad: true },
      { op: 'setLink', name: 'eth0', up: true },
      { op: 'addRoute', family: net.family, destination: 'default', gateway },
    ]);
    await ready(net, host, 'uplink');
    await ready(net, far, 'eth0');
    await host.setSysctl(`net/${net.family}/conf/all/forwarding`, '0');
    expect(await one?.ping(net.far, { timeoutMs: 60 })).toBeUndefined();
    await host.setSysctl(`net/${net.family}/conf/all/forwarding`, '1');
    await answers(one, net.far);
    const counted = (await far.link('eth0'))?.statistics;
    expect(counted?.rxPackets).toBeGreaterThan(0);
    expect(counted?.rxBytes).toBeGreaterThan(0);
  });
}
