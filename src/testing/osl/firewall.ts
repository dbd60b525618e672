import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import type { Intent } from '../../osl/firewall/firewall.ts';
import type { Namespace } from '../../osl/osl.ts';
import { bridged, type Ground, type Net, nets, type OslSuite, promisesOf, ready, refusal } from './ground.ts';

const TABLE = 'libnetwork-contract';
const GREETING = 'published';

/** The packet filter in its place: what an intent says holds for real connections. */
export function firewallPromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe.each(nets)('the packet filter over $family', (net) => {
    it(`${net.family} connections reach published ports only, and network addresses stay hidden`, async (ground) => {
      const { web, far, hostAddress } = await lay(net, ground);
      const firewall = await ground.host.firewall({ engine: 'nftables', table: TABLE });
      await firewall.apply([{ set: network(net) }, { set: published(net) }]);
      const get = async (port: number): Promise<unknown> =>
        await fetched(far, hostAddress, port, port === 8080 ? PATIENT_MS : undefined);
      expect(await get(8080)).toBe(GREETING);
      expect(await get(81)).toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|TIMEOUT)$/) });
      expect(await fetched(far, net.at(2), 81)).toMatchObject({ code: 'TIMEOUT' });

      const seen: unknown[] = [];
      const server = await far.bindUdp(net.any, 5353);
      server.onMessage((_data, from) => seen.push(from.address));
      const client = await web.bindUdp(net.any, 0);
      client.send(Buffer.from('x'), { address: net.far, port: 5353 });
      await expect.poll(() => seen, { timeout: 5000 }).toEqual([hostAddress]);
      for (const socket of [server, client]) socket.close();

      await firewall.destroy();
      await firewall.close();
      expect(await fetched(far, hostAddress, 8080)).toMatchObject({ errno: 'ECONNREFUSED' });
    });

    it(`${net.family} rules outlive the handle that made them, and are found again`, async (ground) => {
      const { far, hostAddress } = await lay(net, ground);
      const firewall = await ground.host.firewall({ engine: 'nftables', table: TABLE });
      const intents = [network(net), published(net)];
      await firewall.sync(intents);
      await firewall.close();
      expect(await fetched(far, hostAddress, 8080, PATIENT_MS)).toBe(GREETING);
      const again = await ground.host.firewall({ engine: 'nftables', table: TABLE });
      expect(await again.sync(intents, { dryRun: true })).toEqual({ missing: [], orphaned: [] });
      expect((await again.sync([network(net)], { dryRun: true })).orphaned).not.toEqual([]);
      await again.destroy();
      await again.close();
    });
  });
}

interface Laid {
  readonly web: Namespace;
  /** Outside: the host is its way to everything. */
  readonly far: Namespace;
  readonly hostAddress: string;
}

/** A container with servers on ports 80 and 81, and a machine outside. */
async function lay(net: Net, ground: Ground): Promise<Laid> {
  const { host } = ground;
  const [web] = await bridged(net, ground, ['web']);
  if (web === undefined) throw new TypeError('no namespace was made');
  const far = await ground.create('far');
  const [hostAddress, length] = net.family === 'ipv4' ? ['192.0.2.1', 24] : ['2001:db8::1', 64];
  await host.setSysctl(`net/${net.family}/conf/all/forwarding`, '1');
  await host.apply([
    {
      op: 'createLink',
      name: 'uplink',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: far } },
      up: true,
    },
    { op: 'addAddress', link: 'uplink', address: `${hostAddress}/${length}`, noDad: true },
  ]);
  await far.apply([
    { op: 'addAddress', link: 'eth0', address: `${net.far}/${length}`, noDad: true },
    { op: 'setLink', name: 'eth0', up: true },
    { op: 'addRoute', family: net.family, destination: 'default', gateway: hostAddress },
  ]);
  await ready(net, host, 'uplink');
  await ready(net, far, 'eth0');
  for (const port of [80, 81]) await web.listenTcp(net.any, port, (stream) => void stream.end(GREETING));
  return { web, far, hostAddress };
}

function network(net: Net): Intent {
  const own = { subnet: net.subnet, mode: 'nat', masquerade: true } as const;
  return {
    kind: 'network',
    id: 'front',
    bridge: 'br0',
    ipv4: net.family === 'ipv4' ? own : undefined,
    ipv6: net.family === 'ipv6' ? own : undefined,
    internal: false,
    icc: true,
  };
}

function published(net: Net): Intent {
  const port = {
    protocol: 'tcp',
    hostAddress: net.any,
    hostPort: 8080,
    address: net.at(2),
    port: 80,
  } as const;
  return { kind: 'endpoint', id: 'web', network: 'front', bridge: 'br0', ports: [port] };
}

/** Long enough for a second attempt, as addresses may still be new. */
const PATIENT_MS = 5000;

/** What a server says, or how the connection fails. */
async function fetched(from: Namespace, address: string, port: number, timeoutMs = 300): Promise<unknown> {
  let greeting = '';
  const failure = await refusal(
    from.connectTcp(address, port, { timeoutMs }).then(async (stream) => {
      stream.end();
      greeting = await text(stream);
    }),
  );
  return failure ?? greeting;
}
