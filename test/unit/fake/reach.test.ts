import { beforeEach, describe, expect, it } from 'vitest';
import { type FakeOsl, fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Change, Namespace } from '../../../src/osl/osl.ts';

const families = [
  {
    family: 'ipv4',
    net: '10.9.0',
    any: '0.0.0.0',
    length: 24,
    outside: '192.0.2.7',
    length2: 24,
    gate: '192.0.2.1',
  },
  {
    family: 'ipv6',
    net: 'fd00:9:',
    any: '::',
    length: 64,
    outside: '2001:db8::7',
    length2: 64,
    gate: '2001:db8::1',
  },
] as const;

let osl: FakeOsl;
let host: Namespace;

beforeEach(() => {
  osl = fakeOsl();
  host = osl.host;
});

/** A bridge br0 in the host and containers on it, each `<net>.<n>` or `<net>:<n>`. */
async function network(
  family: (typeof families)[number],
  containers: readonly number[],
): Promise<Namespace[]> {
  const address = (n: number): string => `${family.net}${family.family === 'ipv4' ? '.' : ':'}${n}`;
  await host.apply([
    { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
    { op: 'addAddress', link: 'br0', address: `${address(1)}/${family.length}`, noDad: true },
  ]);
  return await Promise.all(
    containers.map(async (n) => {
      const inside = await osl.createNamespace(`/run/ns/c${n}`);
      await host.apply([
        {
          op: 'createLink',
          name: `v${n}`,
          link: { kind: 'veth', peer: { name: 'eth0', namespace: inside } },
          master: 'br0',
          up: true,
        },
      ]);
      await inside.apply([
        { op: 'addAddress', link: 'eth0', address: `${address(n)}/${family.length}`, noDad: true },
        { op: 'setLink', name: 'eth0', up: true },
        { op: 'addRoute', destination: 'default', family: family.family, gateway: address(1) },
      ]);
      return inside;
    }),
  );
}

/** A namespace beside the host, as a machine in its network. */
async function outside(family: (typeof families)[number]): Promise<Namespace> {
  const far = await osl.createNamespace('/run/ns/outside');
  const up = (name: string, address: string, length: number): Change[] => [
    { op: 'addAddress', link: name, address: `${address}/${length}`, noDad: true },
    { op: 'setLink', name, up: true },
  ];
  await host.apply([
    { op: 'createLink', name: 'uplink', link: { kind: 'veth', peer: { name: 'eth0', namespace: far } } },
    ...up('uplink', family.gate, family.length2),
  ]);
  await far.apply(up('eth0', family.outside, family.length2));
  return far;
}

describe.each(families)('$family reachability in the fake kernel', (family) => {
  const address = (n: number): string => `${family.net}${family.family === 'ipv4' ? '.' : ':'}${n}`;

  it('reaches a listener on the same bridge, and tells the way', async () => {
    await network(family, [2, 3]);
    osl.kernel.serve('/run/ns/c3', { protocol: 'tcp', address: family.any, port: 80 });
    expect(osl.kernel.reaches('/run/ns/c2', address(3), { protocol: 'tcp', port: 80 })).toEqual({
      reaches: true,
      namespacePath: '/run/ns/c3',
      address: address(3),
      port: 80,
      source: address(2),
      via: ['/run/ns/c2 eth0', 'host v2', 'host v3', '/run/ns/c3 eth0'],
    });
    expect(osl.kernel.reaches('/run/ns/c2', address(3), { protocol: 'tcp', port: 81 })).toMatchObject({
      why: `nothing listens on tcp ${family.family === 'ipv6' ? `[${address(3)}]` : address(3)}:81 in /run/ns/c3`,
    });
  });

  it('needs a route, an up link, and somebody who answers', async () => {
    const [, second] = await network(family, [2, 3]);
    const why = (to: string): string => {
      const answer = osl.kernel.reaches('/run/ns/c2', to, { protocol: 'icmp' });
      return answer.reaches ? 'reaches' : answer.why;
    };
    expect(why(address(3))).toBe('reaches');
    expect(why(address(9))).toBe(`nobody answers for ${address(9)} on eth0 of /run/ns/c2`);
    expect(osl.kernel.reaches('host', family.outside, { protocol: 'icmp' })).toEqual({
      reaches: false,
      why: `no route to ${family.outside} in host`,
    });
    await second?.apply([{ op: 'setLink', name: 'eth0', up: false }]);
    expect(why(address(3))).toContain('nobody answers');
  });

  it('forwards only where forwarding is on, and needs the way back', async () => {
    await network(family, [2]);
    const far = await outside(family);
    const ping = (): unknown => osl.kernel.reaches('/run/ns/c2', family.outside, { protocol: 'icmp' });
    expect(ping()).toMatchObject({ why: `host does not forward ${family.family} from br0` });
    await host.setSysctl(`net/${family.family}/conf/all/forwarding`, '1');
    expect(ping()).toMatchObject({ why: expect.stringContaining('the answer does not come back: no route') });
    await far.apply([
      { op: 'addRoute', destination: 'default', family: family.family, gateway: family.gate },
    ]);
    expect(ping()).toMatchObject({ reaches: true, source: address(2) });
  });

  it('carries datagrams there and back', async () => {
    const [client, server] = await network(family, [2, 3]);
    const serving = await server?.bindUdp(family.any, 5353);
    serving?.onMessage((data, from) => serving.send(Buffer.from(`echo ${data}`), from));
    const socket = await client?.bindUdp(family.any, 0);
    const answer = new Promise((resolve) => socket?.onMessage((data, from) => resolve([String(data), from])));
    socket?.send(Buffer.from('hello'), { address: address(3), port: 5353 });
    expect(await answer).toEqual(['echo hello', { address: address(3), port: 5353 }]);
  });

  it('carries connections, and refuses them where nobody listens', async () => {
    const [client, server] = await network(family, [2, 3]);
    await server?.listenTcp(family.any, 80, (stream) => stream.pipe(stream));
    const stream = await client?.connectTcp(address(3), 80);
    stream?.end('hello');
    const chunks: Buffer[] = [];
    for await (const chunk of stream ?? []) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('hello');
    await expect(client?.connectTcp(address(3), 81)).rejects.toMatchObject({ errno: 'ECONNREFUSED' });
    await expect(client?.connectTcp(address(9), 80)).rejects.toMatchObject({ errno: 'EHOSTUNREACH' });
  });

  it('counts what passes a link', async () => {
    const [client] = await network(family, [2, 3]);
    await client?.ping(address(3));
    expect((await client?.link('eth0'))?.statistics).toMatchObject({ txPackets: 1, rxPackets: 1 });
  });
});
