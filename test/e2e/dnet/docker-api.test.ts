import { readFileSync } from 'node:fs';
import Docker from 'dockerode';
import { describe, expect, it } from 'vitest';
import { type Daemon, isBuilt, withDaemon } from '../../support/dnet.ts';

interface Exchange {
  readonly case: string;
  readonly method: string;
  readonly target: string;
  readonly contentType: string | null;
  readonly body: string;
  readonly status: number;
  readonly reply: string;
}

/** What a Docker daemon of version 20.10 answered to requests that its client does not send. */
const exchanges: readonly Exchange[] = JSON.parse(
  readFileSync(new URL('../../golden/docker/raw.json', import.meta.url), 'utf8'),
);

/** Where the status differs, and why. */
const deviations: Readonly<Record<string, readonly [status: number, why: string]>> = {
  'no name': [400, 'the client’s mistake'],
  'empty name': [400, 'the client’s mistake'],
  'gateway outside subnet': [400, 'the client’s mistake'],
  'ip-range outside subnet': [400, 'refused, since no address could be given'],
  'ip-range bigger than subnet': [400, 'refused before anything is compared with other networks'],
  'aux outside': [400, 'refused before anything is compared with other networks'],
  'aux equals gateway': [403, 'the client’s mistake'],
  'bad subnet text': [400, 'the client’s mistake'],
  'host bits set in subnet': [400, 'as Docker since API 1.44'],
  'inspect r7': [404, 'it was not made'],
  '/31': [201, 'both addresses of a /31 are given out (RFC 3021)'],
  '/32': [201, 'its one address is the gateway’s'],
  'gateway only': [400, 'the client’s mistake'],
  'bridge name too long': [400, 'the client’s mistake'],
  'bad mtu': [400, 'the client’s mistake'],
  'bad bool option': [400, 'the client’s mistake'],
  'bad host binding': [400, 'the client’s mistake'],
  'unknown bridge option': [400, 'a misspelt option would be passed over in silence'],
  'bridge name already used': [409, 'docker0 is the default network’s own'],
  'ipv6 without subnet': [201, 'there are default pools for IPv6, as in Docker since version 27'],
  'inspect ambiguous name': [200, 'there are no two networks of one name'],
  'delete ambiguous name': [204, 'there are no two networks of one name'],
  'list filters {"type":["nope"]}': [400, 'the client’s mistake'],
  'list filters notjson': [400, 'the client’s mistake'],
  'prune bad until': [400, 'the client’s mistake'],
};

/** Where the recording depends on what else was there. */
const elsewhere: Readonly<Record<string, string>> = {
  'inspect by 1 hex digit': 'whether one digit is enough depends on the other ids',
  'overlay without swarm':
    'there is no swarm, and whether there is an overlay driver is another test’s matter',
};

/** Ids of the recording that stand in later requests, and ours for them. */
class Ids {
  readonly #pairs: (readonly [recorded: string, ours: string])[] = [];

  learn(recorded: string, ours: string): void {
    const [a, b] = [recorded, ours].map((text) => /"Id":"([0-9a-f]{64})"/.exec(text)?.[1]);
    if (a && b) this.#pairs.push([a, b]);
  }

  translate(text: string): string {
    let result = text;
    for (const [a, b] of this.#pairs)
      for (const digits of [64, 12, 6]) result = result.replaceAll(a.slice(0, digits), b.slice(0, digits));
    return result;
  }
}

describe.skipIf(!isBuilt)('Docker’s API (after npm run build)', () => {
  it('answers with the recorded statuses, but for those that are told above', {
    timeout: 120_000,
  }, async () => {
    await withDaemon({}, async (daemon) => {
      const ids = new Ids();
      const statuses: Record<string, number> = {};
      const wanted: Record<string, number> = {};
      for (const [
        i,
        { case: name, method, target, contentType, body, status, reply },
      ] of exchanges.entries()) {
        if (name in elsewhere) continue;
        const type = contentType ?? (reply.includes('text/plain') ? 'text/plain' : 'application/json');
        const headers = body === '' ? {} : { 'content-type': type };
        const answer = await daemon.ask(method, ids.translate(target), { body: body || undefined, headers });
        if (target.endsWith('/create')) ids.learn(reply, answer.text);
        statuses[`${i} ${name}`] = answer.status;
        wanted[`${i} ${name}`] = deviations[name]?.[0] ?? status;
        if (answer.status >= 400) expect(answer.json, name).toEqual({ message: expect.stringMatching(/./) });
      }
      expect(statuses).toEqual(wanted);
    });
  });

  it('sends the headers that clients agree on a version by', async () => {
    await withDaemon({}, async (daemon) => {
      const ping = await daemon.ask('HEAD', '/_ping');
      expect(ping).toMatchObject({
        status: 200,
        text: '',
        headers: {
          'api-version': '1.48',
          ostype: 'linux',
          'cache-control': 'no-cache, no-store, must-revalidate',
        },
      });
      const list = await daemon.ask('GET', '/v1.41/networks');
      expect(list.headers).toMatchObject({ 'content-type': 'application/json', 'api-version': '1.48' });
      expect(list.headers.server).toMatch(/^libnetwork\/\d/);
      expect(list.text.endsWith('\n')).toBe(true);
      const names = (list.json as { Name: string; name?: string }[]).map(({ Name, name }) => [Name, name]);
      expect(names).toEqual([
        ['bridge', undefined],
        ['host', undefined],
        ['none', undefined],
      ]);
      // Without a version the fields of libnetwork's own API stand beside Docker's.
      expect((await daemon.ask('GET', '/networks/bridge')).json).toMatchObject({
        Name: 'bridge',
        type: 'bridge',
      });
    });
  });
});

/** Creates a network; the status, and the message if there is one. */
async function create(daemon: Daemon, body: object): Promise<readonly [number, string | undefined]> {
  const { status, json } = await daemon.send('POST', '/v1.41/networks/create', body);
  return [status, (json as { message?: string }).message];
}

describe.skipIf(!isBuilt)('what Docker’s daemon gets wrong (after npm run build)', () => {
  it('a network that asks for docker0 is refused, and the default network stays as it is', async () => {
    await withDaemon({}, async (daemon) => {
      const before = (await daemon.ask('GET', '/v1.41/networks/bridge')).json;
      const options = { 'com.docker.network.bridge.name': 'docker0' };
      const [status, message] = await create(daemon, { Name: 'thief', Options: options });
      expect(status).toBe(409);
      expect(message).toContain('docker0');
      expect((await daemon.ask('GET', '/v1.41/networks/bridge')).json).toEqual(before);
      await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1' });
      expect((await daemon.send('POST', '/networks/bridge/connect', { Container: 'c1' })).status).toBe(200);
    });
  });

  it('a range outside its subnet is refused', async () => {
    await withDaemon({}, async (daemon) => {
      const pool = { Subnet: '172.30.0.0/24', IPRange: '10.0.0.0/25' };
      const [status, message] = await create(daemon, { Name: 'odd', IPAM: { Config: [pool] } });
      expect(status).toBe(400);
      expect(message).toMatch(/ipRange must lie inside the subnet/);
    });
  });

  it('a second network of one name is refused, whether or not the client asks to check', async () => {
    await withDaemon({}, async (daemon) => {
      expect(await create(daemon, { Name: 'twin' })).toEqual([201, undefined]);
      for (const CheckDuplicate of [undefined, false, true])
        expect(await create(daemon, { Name: 'twin', CheckDuplicate })).toEqual([
          409,
          'network with name twin already exists',
        ]);
      // Also when both are asked for at once.
      const both = await Promise.all([1, 2, 3].map(() => create(daemon, { Name: 'triplet' })));
      expect(both.map(([status]) => status).sort()).toEqual([201, 409, 409]);
    });
  });

  it('a client’s mistake is no fault of the server', async () => {
    await withDaemon({}, async (daemon) => {
      const config = (pool: object) => ({ Name: 'bad', IPAM: { Config: [pool] } });
      const option = (key: string, value: string) => ({ Name: 'bad', Options: { [key]: value } });
      const mistakes: object[] = [
        {},
        { Name: '' },
        { Name: 5 },
        { Name: '../../etc' },
        { Name: 'bad', Driver: 'nosuch' },
        { Name: 'bad', IPAM: { Driver: 'nosuch' } },
        config({ Subnet: 'abc' }),
        config({ Subnet: '172.28.0.0/33' }),
        config({ Subnet: '172.30.0.0/24', Gateway: '10.0.0.1' }),
        config({ Gateway: '172.30.0.1' }),
        option('com.docker.network.driver.mtu', 'abc'),
        option('com.docker.network.bridge.enable_icc', 'maybe'),
        option('com.docker.network.bridge.host_binding_ipv4', 'x.y'),
        option('com.docker.network.bridge.name', 'averyveryverylongname'),
        { Name: 'bad', Labels: { a: 'line\nbreak' } },
        { Name: 'bad', Internal: 'yes' },
      ];
      for (const mistake of mistakes) {
        const [status, message] = await create(daemon, mistake);
        expect([status >= 400 && status < 500, message], JSON.stringify(mistake)).toEqual([
          true,
          expect.any(String),
        ]);
      }
      for (const filters of [
        'notjson',
        '5',
        '[]',
        '{"type":["nope"]}',
        '{"dangling":["maybe"]}',
        '{"name":5}',
      ])
        expect((await daemon.ask('GET', `/networks?filters=${encodeURIComponent(filters)}`)).status).toBe(
          400,
        );
      expect((await daemon.ask('GET', '/v1.41/networks')).json).toHaveLength(3);
    });
  });

  it('a container is connected to a network once, by whatever endpoint', async () => {
    await withDaemon({}, async (daemon) => {
      await create(daemon, { Name: 'net' });
      await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1' });
      await daemon.send('POST', '/dnet/v1/networks/net/endpoints', { name: 'web' });
      await daemon.send('POST', '/dnet/v1/networks/net/endpoints/web/join', { sandbox: 'c1' });
      const answer = await daemon.send('POST', '/networks/net/connect', { Container: 'c1' });
      expect([answer.status, answer.json]).toEqual([
        403,
        { message: 'endpoint with name web already exists in network net' },
      ]);
    });
  });

  it('a link opens the way to exposed ports where containers may not talk to each other', async () => {
    await withDaemon({}, async (daemon) => {
      await create(daemon, {
        Name: 'apart',
        Options: { 'com.docker.network.bridge.enable_icc': 'false' },
        IPAM: { Driver: 'default', Config: [{ Subnet: '10.83.0.0/24' }] },
      });
      for (const containerId of ['db', 'web'])
        await daemon.send('POST', '/dnet/v1/sandboxes', { containerId });
      const exposed = { name: 'db', ipv4: '10.83.0.2', exposedPorts: [{ protocol: 'tcp', port: 5432 }] };
      await daemon.send('POST', '/dnet/v1/networks/apart/endpoints', exposed);
      await daemon.send('POST', '/dnet/v1/networks/apart/endpoints/db/join', { sandbox: 'db' });
      const config = { IPAMConfig: { IPv4Address: '10.83.0.7' }, Links: ['db:postgres'] };
      const body = { Container: 'web', EndpointConfig: config };
      expect((await daemon.send('POST', '/networks/apart/connect', body)).status).toBe(200);
      const { text } = await daemon.ask('GET', '/dnet/v1/firewall');
      expect(text).toContain('10.83.0.7 . 10.83.0.2 . tcp . 5432');
      await daemon.send('POST', '/networks/apart/disconnect', { Container: 'web' });
      expect((await daemon.ask('GET', '/dnet/v1/firewall')).text).not.toContain('5432');
    });
  });

  it('disconnecting what is not connected is refused', async () => {
    await withDaemon({}, async (daemon) => {
      await create(daemon, { Name: 'net' });
      await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1' });
      const answer = await daemon.send('POST', '/networks/net/disconnect', { Container: 'c1' });
      expect([answer.status, answer.json]).toEqual([
        403,
        { message: 'container c1 is not connected to network net' },
      ]);
    });
  });
});

describe.skipIf(!isBuilt)('dockerode (after npm run build)', () => {
  it('makes, lists, shows, connects, disconnects, prunes and follows networks', async () => {
    await withDaemon({}, async (daemon) => {
      const docker = new Docker({ socketPath: daemon.socket });
      expect(String(await docker.ping())).toBe('OK');
      expect(await docker.version()).toMatchObject({ ApiVersion: '1.48', MinAPIVersion: '1.24' });
      expect((await docker.info()).Plugins.Network).toContain('bridge');
      const network = await docker.createNetwork({
        Name: 'front',
        Labels: { tier: 'front' },
        IPAM: { Driver: 'default', Config: [{ Subnet: '10.82.0.0/24' }] },
      });
      await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1' });
      await network.connect({
        Container: 'c1',
        EndpointConfig: { Aliases: ['www'], IPAMConfig: { IPv4Address: '10.82.0.7' } },
      });
      expect(await network.inspect()).toMatchObject({
        Name: 'front',
        Labels: { tier: 'front' },
        Containers: { c1: { IPv4Address: '10.82.0.7/24' } },
      });
      const listed = await docker.listNetworks({ filters: { label: ['tier=front'] } });
      expect(listed.map(({ Id }) => Id)).toEqual([network.id]);
      expect(await docker.listContainers()).toMatchObject([{ Id: 'c1' }]);
      await expect(network.remove()).rejects.toMatchObject({ statusCode: 403 });
      await network.disconnect({ Container: 'c1' });
      await expect(docker.getNetwork('nosuch').inspect()).rejects.toMatchObject({ statusCode: 404 });
      expect(await docker.pruneNetworks()).toEqual({ NetworksDeleted: ['front'] });
      expect(await docker.pruneNetworks()).toEqual({ NetworksDeleted: null });
      const until = Math.floor(Date.now() / 1000) + 1;
      const told: string[] = [];
      const events = await docker.getEvents({ since: 0, until });
      for await (const chunk of events) told.push(...String(chunk).trim().split('\n'));
      const actions = told.map((line) => JSON.parse(line).Action);
      expect(actions).toEqual(['create', 'connect', 'disconnect', 'destroy']);
    });
  });
});
