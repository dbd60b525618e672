/**
 * Malformed answers to our client and malformed requests to our server: no crash, no leak, every one a typed error.
 * `LIBNETWORK_FUZZ` sets how many of each (100000 for all), `LIBNETWORK_FUZZ_SEED` replays a run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bridgeDriver } from '../../../src/drivers/bridge/bridge.ts';
import { remoteDriver } from '../../../src/drivers/remote/remote.ts';
import { driverHost, LibnetworkError } from '../../../src/index.ts';
import { createIpam } from '../../../src/ipam/index.ts';
import { remoteIpam } from '../../../src/ipam/remote/remote.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { openPlugins } from '../../../src/plugin/plugins.ts';
import { servePlugin } from '../../../src/plugin/serve.ts';
import { type DriverSubject, endpointOf, networkOf } from '../../../src/testing/driver-fixtures.ts';
import { handshake } from '../../support/recordingplugin.ts';
import { silent } from '../../support/silent.ts';
import { Mutator } from './mutate.ts';

const COUNT = Number(process.env.LIBNETWORK_FUZZ ?? 2_000);
const SEED = Number(process.env.LIBNETWORK_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const LIMIT = 60_000 + COUNT * 30;
/** Much more than a run needs for itself, and much less than if each of its calls left something. */
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `libnetwork-fuzz-${process.pid}-`));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const subject = { name: 'fuzz' } as DriverSubject;
const network = networkOf(subject);
const endpoint = endpointOf(network, 2, { macAddress: undefined });

const replies: Readonly<Record<string, unknown>> = {
  ...handshake,
  'NetworkDriver.CreateEndpoint': {
    Interface: { Address: '', AddressIPv6: '', MacAddress: '02:42:0a:09:01:02' },
  },
  'NetworkDriver.Join': {
    InterfaceName: { SrcName: 'far0', DstPrefix: 'eth' },
    Gateway: '10.9.1.1',
    GatewayIPv6: 'fd00:9:1::1',
    StaticRoutes: [
      { Destination: '10.99.0.0/16', RouteType: 0, NextHop: '10.9.1.1' },
      { Destination: '10.98.0.0/16', RouteType: 1 },
    ],
    DisableGatewayService: false,
  },
  'NetworkDriver.EndpointOperInfo': {
    Value: {
      'com.docker.network.portmap': [
        { Proto: 6, IP: '', Port: 80, HostIP: '0.0.0.0', HostPort: 8080, HostPortEnd: 8080 },
      ],
    },
  },
  'NetworkDriver.GwAllocCheck': { SkipIPv4: true, SkipIPv6: false },
  'NetworkDriver.AllocateNetwork': { Options: { a: 'b' } },
  'IpamDriver.RequestPool': {
    PoolID: 'p',
    Pool: '10.9.1.0/24',
    Data: { 'com.docker.network.gateway': '10.9.1.1/24' },
  },
  'IpamDriver.RequestAddress': { Address: '10.9.1.2/24', Data: null },
};

describe(`${COUNT} of each, seed ${SEED}`, () => {
  it(
    'malformed answers: every call ends, and every failure is typed',
    async () => {
      const mutator = new Mutator(SEED);
      let behave = true;
      let sockets = 0;
      const server = createServer((socket) => {
        sockets++;
        socket.on('close', () => sockets--);
        socket.on('error', () => undefined);
        socket.on('data', (data) => answer(socket, data.toString()));
      });
      const answer = (socket: Socket, request: string): void => {
        const method = /^POST \/(\S+)/.exec(request)?.[1];
        if (method === undefined) return;
        const valid = replies[method] ?? {};
        const body = behave ? JSON.stringify(valid) : mutator.body(valid);
        const status =
          behave || mutator.integer(8) > 0
            ? '200 OK'
            : mutator.pick(['500 No', '404 No', '204 No', '302 Go']);
        const line = `HTTP/1.1 ${status}`;
        if (behave || mutator.integer(10) > 0)
          socket.write(`${line}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
        else socket.end(mutator.http(line, body));
      };
      await new Promise<void>((resolve) => server.listen(join(directory, 'mean.sock'), resolve));
      const plugins = openPlugins({
        socketDirectories: [directory],
        specDirectories: [],
        retryBudgetMs: 0,
        restMs: 0,
        timeoutMs: 10_000,
      });
      const driver = remoteDriver('mean', { plugins, logger: silent });
      const ipam = remoteIpam('mean', { plugins, logger: silent });
      await driver.ready();
      await ipam.ready();
      behave = false;
      const osl = fakeOsl();
      const place = { network, endpoint };
      const request = { ...place, namespace: osl.host, interfaceName: 'eth0' };
      const calls = [
        () => driver.createNetwork(network),
        () => driver.deleteNetwork(network),
        () => driver.createEndpoint(place),
        () => driver.deleteEndpoint(place),
        () => driver.join(request),
        () => driver.leave(place),
        () => driver.publish(place, { ipv4: true, ipv6: true }),
        () => driver.endpointInfo(place),
        () => driver.allocateNetwork(network),
        () => driver.discover('new', { address: '192.0.2.1', self: true }),
        () => ipam.requestPool({ addressSpace: 'PeerLocal', family: 'ipv4', subnet: '10.9.1.0/24' }),
        () => ipam.requestAddress({ poolId: 'p' }),
        () => ipam.releaseAddress('p', '10.9.1.2'),
        () => ipam.releasePool('p'),
      ];
      let failed = 0;
      const one = async (): Promise<void> => {
        try {
          await mutator.pick(calls)();
        } catch (error) {
          if (!LibnetworkError.is(error)) throw error;
          failed++;
        }
      };
      const growth = await growthOf(async (share) => {
        for (let done = 0; done < share; done += 8) await Promise.all(Array.from({ length: 8 }, one));
      });
      expect(failed).toBeGreaterThan(COUNT / 10);
      expect(sockets).toBeLessThanOrEqual(16);
      expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
      behave = true;
      await driver.leave(place);
      plugins.close();
      await osl.close();
      await new Promise((resolve) => server.close(resolve));
    },
    LIMIT,
  );

  it(
    'malformed requests: every one is answered or its connection closed, and every refusal is typed',
    async () => {
      const mutator = new Mutator(SEED);
      const osl = fakeOsl();
      const driver = await bridgeDriver(await driverHost({ osl, instance: 'fuzz' }));
      const socketPath = join(directory, 'ours.sock');
      const server = await servePlugin({ driver, ipam: createIpam() }, { socket: socketPath, osl });
      const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
      const ask = (path: string, body: string) => askOver(agent, socketPath, path, body);
      let refused = 0;
      const one = async (): Promise<void> => {
        const [method, valid] = mutator.pick(Object.entries(requests));
        const path =
          mutator.integer(20) === 0
            ? `/${mutator.pick(['', 'x', 'Plugin.Activate/..', method.toLowerCase(), '%00'])}`
            : `/${method}`;
        const body = mutator.body(valid);
        if (mutator.integer(10) === 0) {
          const answered = await rawExchange(
            socketPath,
            mutator.http(`POST ${path} HTTP/1.1\r\nHost: x`, body),
          );
          expect(answered === '' || answered.startsWith('HTTP/1.1 ')).toBe(true);
          return;
        }
        const answer = await ask(path, body);
        const said = JSON.parse(answer.text) as { Err?: unknown; Error?: unknown; Code?: unknown };
        const refusal = said.Err ?? said.Error;
        if (answer.status !== 200) expect(refusal).toBeTypeOf('string');
        if (refusal === undefined) return;
        refused++;
        expect(refusal).toBeTypeOf('string');
        if (answer.status === 200) expect(said.Code).toMatch(/^[A-Z_]+$/);
      };
      const growth = await growthOf(async (share) => {
        for (let done = 0; done < share; done += 8) await Promise.all(Array.from({ length: 8 }, one));
      });
      expect(refused).toBeGreaterThan(COUNT / 10);
      expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
      expect((await ask('/Plugin.Activate', '')).text).toBe('{"Implements":["NetworkDriver","IpamDriver"]}');
      agent.destroy();
      await server.close();
      await osl.close();
    },
    LIMIT,
  );
});

const ids = { NetworkID: network.id, EndpointID: endpoint.id };
const data = [
  {
    AddressSpace: 'LocalDefault',
    Pool: '10.9.1.0/24',
    Gateway: '10.9.1.1/24',
    AuxAddresses: { a: '10.9.1.9/24' },
  },
];
const portmap = [{ Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 0, HostPortEnd: 0 }];
const options = {
  'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
  'com.docker.network.portmap': portmap,
};
const requests: Readonly<Record<string, unknown>> = {
  'Plugin.Activate': null,
  'NetworkDriver.GetCapabilities': null,
  'NetworkDriver.AllocateNetwork': { NetworkID: network.id, Options: {}, IPv4Data: data, IPv6Data: null },
  'NetworkDriver.FreeNetwork': { NetworkID: network.id },
  'NetworkDriver.GwAllocCheck': { Options: {} },
  'NetworkDriver.CreateNetwork': {
    NetworkID: network.id,
    Options: {
      'com.docker.network.generic': { 'com.docker.network.driver.mtu': '1400' },
      'com.docker.network.internal': false,
    },
    IPv4Data: data,
    IPv6Data: [],
  },
  'NetworkDriver.DeleteNetwork': { NetworkID: network.id },
  'NetworkDriver.CreateEndpoint': {
    ...ids,
    Options: options,
    Interface: { Address: '10.9.1.2/24', AddressIPv6: '', MacAddress: '' },
  },
  'NetworkDriver.DeleteEndpoint': ids,
  'NetworkDriver.EndpointOperInfo': ids,
  'NetworkDriver.Join': { ...ids, SandboxKey: '/var/run/docker/netns/x', Options: options },
  'NetworkDriver.Leave': ids,
  'NetworkDriver.ProgramExternalConnectivity': { ...ids, Options: options },
  'NetworkDriver.RevokeExternalConnectivity': ids,
  'NetworkDriver.DiscoverNew': { DiscoveryType: 1, DiscoveryData: { Address: '192.0.2.1', Self: true } },
  'NetworkDriver.DiscoverDelete': { DiscoveryType: 1, DiscoveryData: {} },
  'IpamDriver.GetCapabilities': null,
  'IpamDriver.GetDefaultAddressSpaces': null,
  'IpamDriver.RequestPool': {
    AddressSpace: 'LocalDefault',
    Pool: '10.9.1.0/24',
    SubPool: '',
    Options: {},
    V6: false,
  },
  'IpamDriver.ReleasePool': { PoolID: 'LocalDefault/10.9.1.0/24' },
  'IpamDriver.RequestAddress': { PoolID: 'LocalDefault/10.9.1.0/24', Address: '10.9.1.7', Options: null },
  'IpamDriver.ReleaseAddress': { PoolID: 'LocalDefault/10.9.1.0/24', Address: '10.9.1.7' },
};

/** How much memory the second half of a run keeps: the first half fills what is filled once. */
async function growthOf(run: (share: number) => Promise<void>): Promise<number> {
  await run(COUNT / 2);
  const before = settledHeap();
  await run(COUNT / 2);
  return settledHeap() - before;
}

function settledHeap(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}

function askOver(
  agent: http.Agent,
  socketPath: string,
  path: string,
  body: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, socketPath, path, method: 'POST' }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Bytes to a socket, and the bytes that come back until the other side, or we, have said all. */
function rawExchange(socketPath: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let got = '';
    const socket = connect(socketPath, () => socket.end(bytes));
    socket.on('data', (data) => {
      got += data.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(got));
  });
}
