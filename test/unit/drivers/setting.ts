/** A bridge driver on a fake kernel, and networks, endpoints and sandboxes to try it with. */
import type {
  Driver,
  DriverEndpoint,
  DriverNetwork,
  EndpointPlace,
  Logger,
} from '../../../src/driverapi/driver.ts';
import { builtinDrivers } from '../../../src/drivers/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import type { EndpointId, NetworkId } from '../../../src/ids.ts';
import { newId } from '../../../src/ids.ts';
import { createIdm } from '../../../src/ipam/idm.ts';
import { type FakeKernel, type FakeOsl, fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Firewall } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace, TcpListener } from '../../../src/osl/osl.ts';

export interface Setting {
  readonly osl: FakeOsl;
  readonly host: Namespace;
  readonly firewall: Firewall;
  readonly driver: Driver;
  /** What was logged: `warn the message`. */
  readonly log: readonly string[];
}

export async function bridgeSetting(kernel?: FakeKernel, instance = 'test'): Promise<Setting> {
  const osl = fakeOsl({ kernel });
  const log: string[] = [];
  const note = (level: string) => (message: string) => void log.push(`${level} ${message}`);
  const logger: Logger = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  };
  const firewall = await osl.host.firewall({ engine: 'nftables', table: `libnetwork-${instance}` });
  const make = builtinDrivers.bridge;
  if (make === undefined) throw new Error('there is no bridge driver');
  const driver = await make({ osl, firewall, instance, runDir: '/run', numbers: createIdm, logger });
  await driver.restore({ networks: [], endpoints: [] });
  return { osl, host: osl.host, firewall, driver, log };
}

export function network(more: Partial<DriverNetwork> = {}): DriverNetwork {
  return {
    id: newId<NetworkId>(),
    name: 'front',
    internal: false,
    ipv4: [{ subnet: '10.9.0.0/24', gateway: '10.9.0.1/24', auxAddresses: {} }],
    ipv6: [{ subnet: 'fd00:9::/64', gateway: 'fd00:9::1/64', auxAddresses: {} }],
    options: {},
    ...more,
  };
}

export function endpoint(of: DriverNetwork, host = 2, more: Partial<DriverEndpoint> = {}): DriverEndpoint {
  const ipv4 = of.ipv4[0]?.subnet.replace(/\.\d+\//, `.${host}/`);
  const ipv6 = of.ipv6[0]?.subnet.replace('::/', `::${host}/`);
  return {
    id: newId<EndpointId>(),
    networkId: of.id,
    name: `web${host}`,
    macAddress: `02:42:0a:09:00:${host.toString(16).padStart(2, '0')}`,
    ipv4,
    ipv6,
    options: {},
    ports: [],
    bindings: [],
    ...more,
  };
}

/** Joins as the core does, up to addresses and routes. */
export async function join(
  {
    driver,
    osl,
  }: { readonly driver: Driver; readonly osl: { createNamespace(path: string): Promise<Namespace> } },
  place: EndpointPlace,
  path: string,
  interfaceName = 'eth0',
): Promise<Namespace> {
  const namespace = await osl.createNamespace(path);
  const result = await driver.join({ ...place, namespace, interfaceName });
  const { ipv4, ipv6 } = place.endpoint;
  const addresses = [ipv4, ipv6].filter((address) => address !== undefined);
  await namespace.apply([
    ...addresses.map((address) => ({ op: 'addAddress', link: interfaceName, address, noDad: true }) as const),
    { op: 'setLink', name: interfaceName, up: true },
  ]);
  for (const [family, gateway] of [
    ['ipv4', result.gateway4],
    ['ipv6', result.gateway6],
  ] as const) {
    if (gateway !== undefined)
      await namespace.apply([
        { op: 'addRoute', destination: 'default', family, gateway, link: interfaceName },
      ]);
  }
  return namespace;
}

/** A machine beside the host: `192.0.2.2` and `2001:db8::2`, where the host is `.1` and `::1`. */
export async function neighbour(
  osl: { readonly host: Namespace; createNamespace(path: string): Promise<Namespace> },
  path: string,
): Promise<Namespace> {
  const namespace = await osl.createNamespace(path);
  await osl.host.apply([
    { op: 'setLink', name: 'lo', up: true },
    {
      op: 'createLink',
      name: 'uplink',
      link: { kind: 'veth', peer: { name: 'uplink', namespace } },
      up: true,
    },
    { op: 'addAddress', link: 'uplink', address: '192.0.2.1/24' },
    { op: 'addAddress', link: 'uplink', address: '2001:db8::1/64', noDad: true },
  ]);
  await namespace.apply([
    { op: 'addAddress', link: 'uplink', address: '192.0.2.2/24' },
    { op: 'addAddress', link: 'uplink', address: '2001:db8::2/64', noDad: true },
    { op: 'setLink', name: 'uplink', up: true },
  ]);
  return namespace;
}

/** Says its name to whoever connects. */
export function greet(
  namespace: Namespace,
  address: string,
  port: number,
  name: string,
): Promise<TcpListener> {
  return namespace.listenTcp(address, port, (stream) => {
    stream.on('error', () => stream.destroy());
    stream.end(name);
  });
}

/**
 * What the server at an address says; the code of the failure where there is none. It has time for a second SYN,
 * which TCP sends after one second: a link that has just come up may lose the first.
 */
export async function ask(
  from: Namespace,
  address: string,
  port: number,
  timeoutMs = 3_000,
): Promise<string> {
  try {
    const stream = await from.connectTcp(address, port, { timeoutMs });
    let said = '';
    for await (const chunk of stream) said += String(chunk);
    return said;
  } catch (error) {
    if (LibnetworkError.is(error)) return error.code;
    throw error;
  }
}

/** True when nobody answers at an address. */
export async function isClosed(from: Namespace, address: string, port: number): Promise<boolean> {
  return ['UNAVAILABLE', 'TIMEOUT'].includes(await ask(from, address, port, 300));
}

/** Says its name to whoever sends a datagram. */
export async function greetUdp(namespace: Namespace, port: number, name: string): Promise<void> {
  for (const address of ['0.0.0.0', '::']) {
    const socket = await namespace.bindUdp(address, port);
    socket.onMessage((_, from) => socket.send(Buffer.from(name), from));
  }
}

/** Sends one datagram after the other from one socket, as a client does that never looks back. */
export async function udpClient(from: Namespace, address: string) {
  const socket = await from.bindUdp(address.includes(':') ? '::' : '0.0.0.0', 0);
  let hear: (said: string) => void = () => undefined;
  socket.onMessage((data) => hear(String(data)));
  return {
    /** Who answers at a port; `nobody` after some time. */
    ask: (port: number, timeoutMs = 500) =>
      new Promise<string>((resolve) => {
        const timer = setTimeout(() => resolve('nobody'), timeoutMs);
        hear = (said) => {
          clearTimeout(timer);
          resolve(said);
        };
        socket.send(Buffer.from('who?'), { address, port });
      }),
    close: () => socket.close(),
  };
}
