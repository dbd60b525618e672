import { beforeEach, describe, expect, it } from 'vitest';
import { type FakeOsl, fakeOsl, type ReachAnswer } from '../../../src/osl/fake/index.ts';
import type { Firewall, NetworkIntent } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace } from '../../../src/osl/osl.ts';

const families = [
  {
    family: 'ipv4',
    any: '0.0.0.0',
    subnet: '10.9.0.0/24',
    gateway: '10.9.0.1',
    web: '10.9.0.2',
    other: '10.9.0.3',
    host: '192.0.2.1',
    outside: '192.0.2.7',
    length: 24,
    outerLength: 24,
  },
  {
    family: 'ipv6',
    any: '::',
    subnet: 'fd00:9::/64',
    gateway: 'fd00:9::1',
    web: 'fd00:9::2',
    other: 'fd00:9::3',
    host: '2001:db8::1',
    outside: '2001:db8::7',
    length: 64,
    outerLength: 64,
  },
] as const;
type Ground = (typeof families)[number];

let osl: FakeOsl;
let host: Namespace;
let firewall: Firewall;

/** A host that forwards, with a bridge, two containers with servers on port 80, and a machine outside. */
async function lay(ground: Ground): Promise<void> {
  osl = fakeOsl();
  host = osl.host;
  await host.setSysctl(`net/${ground.family}/conf/all/forwarding`, '1');
  await host.apply([
    { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
    { op: 'addAddress', link: 'br0', address: `${ground.gateway}/${ground.length}` },
  ]);
  await container(ground, 'web', ground.web);
  await container(ground, 'other', ground.other);
  const outside = await osl.createNamespace('/run/ns/outside');
  await host.apply([
    { op: 'createLink', name: 'uplink', link: { kind: 'veth', peer: { name: 'eth0', namespace: outside } } },
    { op: 'addAddress', link: 'uplink', address: `${ground.host}/${ground.outerLength}` },
    { op: 'setLink', name: 'uplink', up: true },
  ]);
  await outside.apply([
    { op: 'addAddress', link: 'eth0', address: `${ground.outside}/${ground.outerLength}` },
    { op: 'setLink', name: 'eth0', up: true },
  ]);
  osl.kernel.serve('/run/ns/outside', { protocol: 'tcp', address: ground.any, port: 443 });
  firewall = await host.firewall({ engine: 'nftables', table: 'libnetwork-test' });
}

async function container(ground: Ground, name: string, address: string): Promise<void> {
  const inside = await osl.createNamespace(`/run/ns/${name}`);
  await host.apply([
    {
      op: 'createLink',
      name: `v${name}`,
      link: { kind: 'veth', peer: { name: 'eth0', namespace: inside } },
      master: 'br0',
      up: true,
    },
  ]);
  await inside.apply([
    { op: 'addAddress', link: 'eth0', address: `${address}/${ground.length}` },
    { op: 'setLink', name: 'eth0', up: true },
    { op: 'addRoute', destination: 'default', family: ground.family, gateway: ground.gateway },
  ]);
  for (const port of [80, 81])
    osl.kernel.serve(`/run/ns/${name}`, { protocol: 'tcp', address: ground.any, port });
}

function intent(ground: Ground, more: Partial<NetworkIntent> = {}): NetworkIntent {
  const own = { subnet: ground.subnet, mode: 'nat', masquerade: true } as const;
  return {
    kind: 'network',
    id: 'front',
    bridge: 'br0',
    internal: false,
    icc: true,
    ipv4: undefined,
    ipv6: undefined,
    [ground.family]: own,
    ...more,
  };
}

async function publish(ground: Ground, hostAddress: string = ground.any): Promise<void> {
  const port = { protocol: 'tcp', hostAddress, hostPort: 8080, address: ground.web, port: 80 } as const;
  await firewall.apply([
    { set: intent(ground) },
    { set: { kind: 'endpoint', id: 'web', network: 'front', bridge: 'br0', ports: [port] } },
  ]);
}

const tcp = (from: string, to: string, port: number): ReachAnswer =>
  osl.kernel.reaches(from, to, { protocol: 'tcp', port });

describe.each(families)('$family packet filter of the fake kernel', (ground) => {
  beforeEach(async () => await lay(ground));

  it('hides the addresses of a network behind the host', async () => {
    expect(tcp('/run/ns/web', ground.outside, 443)).toMatchObject({
      why: expect.stringContaining('the answer does not come back: no route'),
    });
    await firewall.apply([{ set: intent(ground) }]);
    expect(tcp('/run/ns/web', ground.outside, 443)).toMatchObject({ reaches: true, source: ground.host });
  });

  it('lets published ports in by the address of the host, and no others', async () => {
    await publish(ground);
    const published = { reaches: true, namespacePath: '/run/ns/web', address: ground.web, port: 80 };
    expect(tcp('/run/ns/outside', ground.host, 8080)).toMatchObject({ ...published, source: ground.outside });
    expect(tcp('/run/ns/outside', ground.host, 8081)).toMatchObject({ reaches: false });
    expect(tcp('host', ground.host, 8080)).toMatchObject(published);
    const outside = await osl.openNamespace('/run/ns/outside');
    await outside.apply([
      { op: 'addRoute', destination: ground.subnet, family: ground.family, gateway: ground.host },
    ]);
    expect(tcp('/run/ns/outside', ground.web, 81)).toMatchObject({
      why: 'dropped by rule "not published" in forward of host',
    });
  });

  it('lets containers reach published ports of their own network by the host, hidden too', async () => {
    await publish(ground);
    expect(tcp('/run/ns/other', ground.host, 8080)).toMatchObject({ reaches: true, source: ground.gateway });
    expect(tcp('/run/ns/web', ground.host, 8080)).toMatchObject({
      why: 'port vweb of br0 sends nothing back without hairpin',
    });
    await host.apply([{ op: 'setLink', name: 'vweb', hairpin: true }]);
    expect(tcp('/run/ns/web', ground.host, 8080)).toMatchObject({ reaches: true, source: ground.gateway });
  });

  it('keeps containers apart where they may not talk', async () => {
    expect(tcp('/run/ns/other', ground.web, 80)).toMatchObject({ reaches: true });
    await firewall.apply([{ set: intent(ground, { icc: false }) }]);
    expect(tcp('/run/ns/other', ground.web, 80)).toMatchObject({
      why: 'dropped by rule "containers of the network may not talk to each other" in forward of host',
    });
  });

  it('keeps an internal network inside', async () => {
    await firewall.apply([{ set: intent(ground, { internal: true }) }]);
    expect(tcp('/run/ns/web', ground.outside, 443)).toMatchObject({
      why: expect.stringContaining('internal network'),
    });
    expect(tcp('/run/ns/other', ground.web, 80)).toMatchObject({ reaches: true });
  });

  it('keeps rules when the process dies, until somebody removes the table', async () => {
    await publish(ground);
    osl.kill();
    expect(tcp('/run/ns/outside', ground.host, 8080)).toMatchObject({ reaches: true });
    const next = fakeOsl({ kernel: osl.kernel });
    const again = await next.host.firewall({ engine: 'nftables', table: 'libnetwork-test' });
    await again.destroy();
    expect(osl.kernel.dump().namespaces.host?.tables).toEqual([]);
  });
});

describe('ports published on the loopback address', () => {
  it('reach the container only where the bridge may have loopback sources', async () => {
    await lay(families[0]);
    await publish(families[0], '127.0.0.1');
    expect(tcp('host', '127.0.0.1', 8080)).toMatchObject({
      why: expect.stringContaining('127.0.0.1 cannot leave host'),
    });
    await host.setSysctl('net/ipv4/conf/br0/route_localnet', '1');
    expect(tcp('host', '127.0.0.1', 8080)).toMatchObject({ reaches: true, source: '10.9.0.1' });
    expect(tcp('/run/ns/outside', '192.0.2.1', 8080)).toMatchObject({ reaches: false });
  });
});

describe.each([
  { address: '127.0.0.11', loopback: '127.0.0.1' },
  { address: '::1', loopback: '::1' },
])('the resolver of a sandbox at $address', ({ address, loopback }) => {
  it('is asked at port 53 and answers from there', async () => {
    osl = fakeOsl();
    const sandbox = await osl.createNamespace('/run/ns/box');
    const resolver = await sandbox.bindUdp(address, 0);
    const listener = await sandbox.listenTcp(address, 0, (stream) => stream.pipe(stream));
    resolver.onMessage((data, from) => resolver.send(data, from));
    const rules = await sandbox.firewall({ engine: 'nftables', table: 'libnetwork-test' });
    await rules.apply([
      { set: { kind: 'resolver', id: 'box', address, udpPort: resolver.port, tcpPort: listener.port } },
    ]);
    const client = await sandbox.bindUdp(loopback, 0);
    const answer = new Promise((resolve) => client.onMessage((data, from) => resolve([String(data), from])));
    client.send(Buffer.from('who?'), { address, port: 53 });
    expect(await answer).toEqual(['who?', { address, port: 53 }]);
    const stream = await sandbox.connectTcp(address, 53);
    stream.end('over tcp');
    expect(String((await stream.toArray())[0])).toBe('over tcp');
  });
});
