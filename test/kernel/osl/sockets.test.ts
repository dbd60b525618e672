import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

/**
 * Two namespaces with a cable between: 10.9.0.1 and .2, fd00:9::1 and ::2. The first link only moves the numbers:
 * when both ends of a veth have the same index, the kernel takes up to a second to notice that they are up.
 */
async function cabled(a: Namespace, b: Namespace): Promise<void> {
  await a.apply([
    { op: 'createLink', name: 'first', link: { kind: 'bridge' } },
    {
      op: 'createLink',
      name: 'eth0',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: b } },
      up: true,
    },
    { op: 'addAddress', link: 'eth0', address: '10.9.0.1/24' },
    { op: 'addAddress', link: 'eth0', address: 'fd00:9::1/64', noDad: true },
  ]);
  await b.apply([
    { op: 'addAddress', link: 'eth0', address: '10.9.0.2/24' },
    { op: 'addAddress', link: 'eth0', address: 'fd00:9::2/64', noDad: true },
    { op: 'setLink', name: 'eth0', up: true },
  ]);
}

function echo(stream: Duplex): void {
  stream.pipe(stream);
}

const pairs = [
  { family: 'IPv4', server: '10.9.0.2', any: '0.0.0.0', loopback: '127.0.0.1' },
  { family: 'IPv6', server: 'fd00:9::2', any: '::', loopback: '::1' },
] as const;

describe.skipIf(!canUseKernel)(`sockets in namespaces ${whyNot}`, () => {
  it.each(pairs)('carry TCP between namespaces over $family, each end closing for itself', async (pair) => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await cabled(host, other);
      const listener = await other.listenTcp(pair.server, 0, echo);
      const stream = await host.connectTcp(pair.server, listener.port);
      stream.end('over the cable');
      expect(await text(stream)).toBe('over the cable');
      await expect(host.connectTcp(pair.loopback, listener.port)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        errno: 'ECONNREFUSED',
      });
      listener.close();
      await expect(host.connectTcp(pair.server, listener.port)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
    });
  });

  it.each(pairs)(
    'take turns: a flood over $family at one keeps another waiting for a part of it only',
    async ({ loopback }) => {
      await withTestHost(async ({ host }) => {
        const [loud, quiet, client] = await Promise.all(
          [0, 0, 0].map((port) => host.bindUdp(loopback, port)),
        );
        if (loud === undefined || quiet === undefined || client === undefined)
          throw new Error('all were bound');
        let flood = 0;
        loud.onMessage(() => flood++);
        const before = new Promise<number>((resolve) => quiet.onMessage(() => resolve(flood)));
        for (let i = 0; i < 1000; i++) client.send(Buffer.from('loud'), loud);
        client.send(Buffer.from('quiet'), quiet);
        // One call's worth, what was behind the last call, and the up to 32 that libuv brings in a turn.
        expect(await before).toBeLessThanOrEqual(64 + 63 + 32);
        for (const socket of [loud, quiet, client]) socket.close();
      });
    },
  );

  it('end open connections when a listener closes', async () => {
    await withTestHost(async ({ host }) => {
      const listener = await host.listenTcp('127.0.0.1', 0, (stream) => stream.write('welcome'));
      const stream = await host.connectTcp('127.0.0.1', listener.port);
      expect(String(await once(stream, 'data'))).toBe('welcome');
      listener.close();
      await once(stream, 'end');
      stream.destroy();
    });
  });

  it('say TIMEOUT when nobody answers and ABORTED when the caller gives up', async () => {
    await withTestHost(async ({ host }) => {
      const held = await host.holdPort({ protocol: 'tcp', address: '127.0.0.1', port: 0 });
      await expect(host.connectTcp('127.0.0.1', held.port, { timeoutMs: 50 })).rejects.toMatchObject({
        code: 'TIMEOUT',
      });
      const signal = AbortSignal.timeout(20);
      await expect(host.connectTcp('127.0.0.1', held.port, { signal })).rejects.toMatchObject({
        code: 'ABORTED',
      });
      held.release();
    });
  });

  it.each(pairs)('carry UDP between namespaces over $family', async (pair) => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await cabled(host, other);
      const server = await other.bindUdp(pair.any, 53);
      server.onMessage((data, from) => server.send(Buffer.concat([data, Buffer.from('!')]), from));
      const client = await host.bindUdp(pair.any, 0);
      const answer = new Promise<string>((resolve) => {
        client.onMessage((data, from) => resolve(`${data} from ${from.address} ${from.port}`));
      });
      client.send(Buffer.from('hello'), { address: pair.server, port: 53 });
      expect(await answer).toBe(`hello! from ${pair.server} 53`);
      expect([server.port, client.port > 0]).toEqual([53, true]);
      server.close();
      client.close();
      client.send(Buffer.from('late'), { address: pair.server, port: 53 });
    });
  });

  it.each(pairs)(
    'hold a port of $family against everyone, in this namespace only',
    async ({ any, loopback }) => {
      await withTestHost(async ({ host, create }) => {
        const other = await create('other');
        for (const protocol of ['tcp', 'udp'] as const) {
          const held = await host.holdPort({ protocol, address: any, port: 8080 });
          expect(held).toMatchObject({ protocol, address: any, port: 8080 });
          for (const address of [any, loopback])
            await expect(host.holdPort({ protocol, address, port: 8080 })).rejects.toMatchObject({
              code: 'CONFLICT',
              errno: 'EADDRINUSE',
            });
          const taken = protocol === 'tcp' ? host.listenTcp(any, 8080, echo) : host.bindUdp(any, 8080);
          await expect(taken).rejects.toMatchObject({ code: 'CONFLICT' });
          (await other.holdPort({ protocol, address: any, port: 8080 })).release();
          held.release();
          held.release();
          (await host.holdPort({ protocol, address: any, port: 8080 })).release();
        }
      });
    },
  );

  it('holds the same port for both families at once, and lets the kernel choose one for port 0', async () => {
    await withTestHost(async ({ host }) => {
      const first = await host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 0 });
      const second = await host.holdPort({ protocol: 'tcp', address: '::', port: first.port });
      expect(first.port).toBeGreaterThan(0);
      first.release();
      second.release();
    });
  });

  it('leaves the reserved ports out where the kernel chooses, and gives them to who asks for them', async () => {
    await withTestHost(async ({ host }) => {
      await host.setSysctl('net/ipv4/ip_local_port_range', '40000 40005');
      await host.setSysctl('net/ipv4/ip_local_reserved_ports', '40000-40002,40004');
      const chosen = await Promise.all(
        [1, 2].map(() => host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 0 })),
      );
      expect(chosen.map(({ port }) => port).sort()).toEqual([40_003, 40_005]);
      await expect(host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 0 })).rejects.toMatchObject({
        errno: 'EADDRINUSE',
      });
      const reserved = await host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 40_001 });
      expect(reserved.port).toBe(40_001);
      for (const held of [...chosen, reserved]) held.release();
    });
  });

  it('holds a port in silence: whoever comes before any rule leads on is neither answered nor refused', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'setLink', name: 'lo', up: true }]);
      const ask = () => host.connectTcp('127.0.0.1', 8080, { timeoutMs: 300 });
      await expect(ask()).rejects.toMatchObject({ code: 'UNAVAILABLE', errno: 'ECONNREFUSED' });
      const held = await host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 8080 });
      await expect(ask()).rejects.toMatchObject({ code: 'TIMEOUT' });
      held.release();
      await expect(ask()).rejects.toMatchObject({ code: 'UNAVAILABLE', errno: 'ECONNREFUSED' });
    });
  });

  it('say which protocols and addresses there are', async () => {
    await withTestHost(async ({ host }) => {
      await expect(host.bindUdp('10.9.9.9', 53)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        errno: 'EADDRNOTAVAIL',
      });
      await expect(host.bindUdp('nowhere', 53)).rejects.toMatchObject({ field: 'address', value: 'nowhere' });
      await expect(host.holdPort({ protocol: 'tcp', address: '::', port: 70000 })).rejects.toMatchObject({
        field: 'port',
      });
      await expect(host.connectTcp('10.9.0.2', 80)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        errno: 'ENETUNREACH',
      });
    });
  });
});

describe.skipIf(!canUseKernel)(`ping ${whyNot}`, () => {
  it('tells the round trip, or undefined where nobody answers or nothing can be sent', async () => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await cabled(host, other);
      expect(await host.ping('10.9.0.2')).toBeGreaterThan(0);
      expect(await host.ping('fd00:9::2')).toBeGreaterThan(0);
      expect(await host.ping('127.0.0.1')).toBeGreaterThan(0);
      expect(await host.ping('::1')).toBeGreaterThan(0);
      expect(await host.ping('10.9.0.77', { timeoutMs: 30 })).toBeUndefined();
      expect(await host.ping('fd00:9::77', { timeoutMs: 30 })).toBeUndefined();
      expect(await host.ping('192.0.2.1')).toBeUndefined();
      expect(await host.ping('2001:db8::1')).toBeUndefined();
      await expect(host.ping('10.9.0.77', { signal: AbortSignal.timeout(10) })).rejects.toMatchObject({
        code: 'ABORTED',
      });
    });
  });

  it('tells many answers apart', async () => {
    await withTestHost(async ({ host, create }) => {
      await cabled(host, await create('other'));
      expect(await host.ping('10.9.0.2')).toBeGreaterThan(0);
      const targets = Array.from({ length: 40 }, (_, i) => (i % 2 ? '10.9.0.2' : '10.9.0.77'));
      const answers = await Promise.all(targets.map((target) => host.ping(target, { timeoutMs: 200 })));
      for (const [i, answer] of answers.entries())
        expect(answer !== undefined).toBe(targets[i] === '10.9.0.2');
    });
  });
});
