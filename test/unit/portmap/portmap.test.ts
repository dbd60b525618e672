import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { kernelError } from '../../../src/osl/errno.ts';
import { fakeOsl, faultScript } from '../../../src/osl/fake/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { type HoldRequest, holdPorts } from '../../../src/osl/portmap/index.ts';

const EVERYWHERE = ['0.0.0.0', '::'];

function request(more: Partial<HoldRequest> = {}): HoldRequest {
  return {
    protocol: 'tcp',
    addresses: EVERYWHERE,
    ports: 'any',
    holder: 'endpoint web of network front',
    ...more,
  };
}

const exactly = (port: number): HoldRequest['ports'] => ({ first: port, last: port });
const between = (first: number, last: number): HoldRequest['ports'] => ({ first, last });

async function taken(host: Namespace, port: number, protocol: 'tcp' | 'udp' = 'tcp', address = '0.0.0.0') {
  return host.holdPort({ protocol, address, port });
}

describe('a certain port', () => {
  it('is held on every address until it is released', async () => {
    const { host, kernel } = fakeOsl();
    const [hold] = await holdPorts(host, [request({ ports: exactly(8080) })]);
    expect(hold?.port).toBe(8080);
    await expect(taken(host, 8080)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(taken(host, 8080, 'tcp', '::')).rejects.toMatchObject({ code: 'CONFLICT' });
    await taken(host, 8080, 'udp');
    for (const held of hold?.held ?? []) held.release();
    await taken(host, 8080);
    expect(kernel.dump().namespaces.host?.sockets).toEqual(['tcp ipv4 * 8080', 'udp ipv4 * 8080']);
  });

  it('can be let go of on one address alone', async () => {
    const { host } = fakeOsl();
    const [hold] = await holdPorts(host, [request({ ports: exactly(8080) })]);
    hold?.held[1]?.release();
    await taken(host, 8080, 'tcp', '::');
    await expect(taken(host, 8080)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('that one of us holds is refused by that name', async () => {
    const { host } = fakeOsl();
    await host.apply([{ op: 'setLink', name: 'lo', up: true }]);
    await holdPorts(host, [request({ addresses: ['0.0.0.0'], ports: exactly(8080) })]);
    for (const address of ['0.0.0.0', '127.0.0.1']) {
      await expect(
        holdPorts(host, [request({ addresses: [address], ports: exactly(8080), holder: 'another' })]),
      ).rejects.toMatchObject({ code: 'CONFLICT', holder: 'endpoint web of network front', value: 8080 });
    }
  });

  it('that this process may not have is refused with what it lacks', async () => {
    const { host } = fakeOsl();
    const refusing = new Proxy(host, {
      get: (target, name) =>
        name === 'holdPort'
          ? () => Promise.reject(kernelError('bind 0.0.0.0:81/tcp', 'EACCES'))
          : Reflect.get(target, name),
    });
    await expect(holdPorts(refusing, [request({ ports: exactly(81) })])).rejects.toMatchObject({
      code: 'FORBIDDEN',
      errno: 'EACCES',
      value: 81,
      message: expect.stringMatching(/^host port 0\.0\.0\.0:81\/tcp .*CAP_NET_BIND_SERVICE: run as root/),
    });
  });

  it('that a stranger holds is refused with how to find out who', async () => {
    const { host } = fakeOsl();
    await taken(host, 8080);
    const error = await holdPorts(host, [request({ ports: exactly(8080) })]).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'CONFLICT', errno: 'EADDRINUSE', field: 'ports' });
    expect(String(error)).toContain('0.0.0.0:8080/tcp');
    expect(String(error)).toContain("ss -lnp 'sport = :8080'");
  });

  it('is not told as held by one who has released it', async () => {
    const { host } = fakeOsl();
    const [hold] = await holdPorts(host, [request({ ports: exactly(8080) })]);
    for (const held of hold?.held ?? []) held.release();
    await taken(host, 8080);
    await expect(holdPorts(host, [request({ ports: exactly(8080) })])).rejects.toMatchObject({
      holder: 'a process that is not ours',
    });
  });

  it('on an address that the host has not is refused as such', async () => {
    const { host } = fakeOsl();
    await expect(
      holdPorts(host, [request({ addresses: ['192.0.2.7'], ports: exactly(80) })]),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field: 'ports.hostAddress', value: '192.0.2.7' });
  });
});

describe('a port of a range', () => {
  it('is the first that is free on every address', async () => {
    const { host } = fakeOsl();
    await taken(host, 8080);
    await taken(host, 8081, 'tcp', '::');
    const [hold] = await holdPorts(host, [request({ ports: between(8080, 8090) })]);
    expect(hold?.port).toBe(8082);
    await taken(host, 8081);
  });

  it('gives each of several requests its own', async () => {
    const { host } = fakeOsl();
    await taken(host, 8082);
    const holds = await holdPorts(
      host,
      [1, 2, 3].map(() => request({ ports: between(8080, 8090) })),
    );
    expect(holds.map((hold) => hold.port)).toEqual([8080, 8081, 8083]);
  });

  it('leaves the certain port to the request that needs it, in whatever order they come', async () => {
    const { host } = fakeOsl();
    const holds = await holdPorts(host, [
      request({ ports: between(8080, 8081) }),
      request({ ports: exactly(8080) }),
    ]);
    expect(holds.map((hold) => hold.port)).toEqual([8081, 8080]);
  });

  it('is refused with the range when all are taken, and names the holder where it is ours', async () => {
    const { host } = fakeOsl();
    await holdPorts(host, [request({ ports: exactly(8080), holder: 'endpoint one' })]);
    await taken(host, 8081);
    await expect(holdPorts(host, [request({ ports: between(8080, 8081) })])).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      limit: '8080-8081',
      holder: 'endpoint one',
    });
  });
});

describe('any port', () => {
  it('is one that is free in both families', async () => {
    const { host } = fakeOsl();
    await host.setSysctl('net/ipv4/ip_local_port_range', '40000\t40003');
    await taken(host, 40_000, 'tcp', '::');
    await taken(host, 40_001, 'tcp', '::');
    const [hold] = await holdPorts(host, [request()]);
    expect([40_002, 40_003]).toContain(hold?.port);
    expect(hold?.held.map(({ address }) => address)).toEqual(EVERYWHERE);
    await taken(host, 40_000);
    await taken(host, 40_001);
  });

  it('is refused with the name of the range when none is left, and nothing stays held', async () => {
    const { host, kernel } = fakeOsl();
    await host.setSysctl('net/ipv4/ip_local_port_range', '40000\t40001');
    await taken(host, 40_000, 'tcp', '::');
    await taken(host, 40_001, 'tcp', '::');
    const before = kernel.dump();
    await expect(holdPorts(host, [request()])).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      limit: 'net.ipv4.ip_local_port_range',
    });
    expect(kernel.dump()).toEqual(before);
  });

  it('is the preferred one where that is free', async () => {
    const { host } = fakeOsl();
    const [first] = await holdPorts(host, [request({ prefer: 45_000 })]);
    const [second] = await holdPorts(host, [request({ prefer: 45_000 })]);
    expect(first?.port).toBe(45_000);
    expect(second?.port).not.toBe(45_000);
  });
});

describe('several requests', () => {
  it.each([1, 2, 3, 4, 5, 6])('hold nothing when holding fails at step %i', async (at) => {
    const osl = fakeOsl({ faults: faultScript({ at, mode: 'fail' }) });
    const before = osl.kernel.dump();
    const requests = [request({ ports: exactly(80) }), request({ ports: between(81, 90) }), request()];
    await expect(holdPorts(osl.host, requests)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(osl.kernel.dump()).toEqual(before);
  });

  it('get ports that fit and differ, or nothing is held', async () => {
    const ports = fc.record({
      first: fc.integer({ min: 1000, max: 1006 }),
      more: fc.integer({ min: 0, max: 3 }),
    });
    const wish = fc.record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const),
      ports: fc.option(ports, { nil: undefined }),
      addresses: fc.constantFrom(['0.0.0.0'], ['::'], EVERYWHERE, ['127.0.0.1']),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { maxLength: 6 }), async (wishes) => {
        const { host, kernel } = fakeOsl();
        await host.apply([{ op: 'setLink', name: 'lo', up: true }]);
        const before = kernel.dump();
        const requests = wishes.map(({ protocol, addresses, ports: range }) =>
          request({
            protocol,
            addresses,
            ports: range ? between(range.first, range.first + range.more) : 'any',
          }),
        );
        const holds = await holdPorts(host, requests).catch((error: unknown) => error);
        if (!Array.isArray(holds)) {
          expect(LibnetworkError.is(holds, 'CONFLICT') || LibnetworkError.is(holds, 'UNAVAILABLE')).toBe(
            true,
          );
          expect(kernel.dump()).toEqual(before);
          return;
        }
        expect(kernel.dump().namespaces.host?.sockets).toHaveLength(
          wishes.flatMap((w) => w.addresses).length,
        );
        requests.forEach(({ ports: asked, addresses }, i) => {
          const hold = (holds as Awaited<ReturnType<typeof holdPorts>>)[i];
          expect(hold?.held.map(({ address }) => address)).toEqual(addresses);
          expect(new Set(hold?.held.map(({ port }) => port))).toEqual(new Set([hold?.port]));
          if (asked !== 'any')
            expect(hold?.port).toSatisfy((p: number) => p >= asked.first && p <= asked.last);
        });
      }),
      { numRuns: 150 },
    );
  });
});
