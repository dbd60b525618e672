/**
 * A host with bridged networks, their containers, and a neighbour outside that knows routes to all of them.
 * Every container listens on TCP ports 80 and 81 and tells a caller who it is and whom it sees.
 */
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LibnetworkError } from '../../../src/errors.ts';
import type {
  EndpointIntent,
  Firewall,
  FirewallOptions,
  Intent,
  NetworkIntent,
  PublishedPort,
} from '../../../src/osl/firewall/firewall.ts';
import type { Change, Namespace } from '../../../src/osl/osl.ts';
import { type TestHost, withTestHost } from '../../support/kernel.ts';
import { endpoint, family, network } from '../../unit/firewall/intents.ts';
import { type Engine, openFirewall } from './support.ts';

/** The networks: the number is in all of their addresses, and in the names of their containers. */
const NETWORKS: Readonly<
  Record<string, { number: number; containers: number; over: Partial<NetworkIntent> }>
> = {
  nat: { number: 1, containers: 2, over: {} },
  other: { number: 2, containers: 1, over: {} },
  internal: { number: 3, containers: 2, over: { internal: true } },
  quiet: { number: 4, containers: 2, over: { icc: false } },
  routed: { number: 5, containers: 1, over: {} },
  open: { number: 6, containers: 1, over: {} },
};
const MODES: Readonly<Record<string, 'routed' | 'nat-unprotected'>> = {
  routed: 'routed',
  open: 'nat-unprotected',
};

export const HOST = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;
export const OUTSIDE = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } as const;
/** How long to wait for what should not come, and for what should. */
export const NOT_THERE_MS = 400;
const THERE_MS = 10_000;
const WAKE_UP_CALLS = 10;

/** The address of a container (2 and up) or of the gateway (1) in a network. */
export function addressOf(family: 'ipv4' | 'ipv6', name: string, host: number): string {
  const { number } = NETWORKS[name] ?? { number: 0 };
  return family === 'ipv4' ? `10.${number}.0.${host}` : `fd00:${number}::${host}`;
}

export function networkIntents(): NetworkIntent[] {
  return Object.entries(NETWORKS).map(([name, { number, over }]) => {
    const mode = MODES[name] ?? 'nat';
    const of = (each: 'ipv4' | 'ipv6', subnet: string) => family(each, { subnet, mode });
    const families = { ipv4: of('ipv4', `10.${number}.0.0/24`), ipv6: of('ipv6', `fd00:${number}::/64`) };
    return network({ id: name, bridge: `br-${name}`, ...families, ...over });
  });
}

/** The published ports of a container, by its name: `nat-2`. */
export function published(container: string, ...ports: readonly PublishedPort[]): EndpointIntent {
  const name = container.replace(/-\d+$/, '');
  return { ...endpoint(container, ...ports), network: name, bridge: `br-${name}` };
}

export interface World {
  readonly host: Namespace;
  /** `outside`, or a container: `nat-2`, `nat-3`, `other-2`. */
  at(name: string): Namespace;
  readonly firewall: Firewall;
  /** Another process's view of the same table. */
  reopen(): Promise<Firewall>;
  readonly hostFd: number;
  /**
   * What a TCP server said to a caller: `nat-2 sees 192.0.2.2`; `undefined` when no connection came about.
   * @param hoped false to give up early
   */
  ask(from: Namespace, address: string, port: number, hoped: boolean): Promise<string | undefined>;
  /** False where bridged packets never pass the IP hooks. */
  setBridgeNetfilter(on: boolean): Promise<boolean>;
}

/** Builds a world, and takes it down when the work has ended. */
export async function withWorld<T>(
  intents: readonly Intent[],
  work: (world: World) => Promise<T>,
  engine: Engine = 'nftables',
  options: Partial<FirewallOptions> = {},
): Promise<T> {
  return withTestHost(async (test) => {
    const places = await build(test);
    const hostFd = openSync(test.host.path, 'r');
    const open = () => openFirewall(hostFd, engine, options);
    const firewalls = [await open()];
    try {
      const firewall = firewalls[0] as Firewall;
      await firewall.sync(intents);
      return await work({
        host: test.host,
        at: (name) => places.get(name) ?? unknown(name),
        firewall,
        reopen: async () => {
          const next = await open();
          firewalls.push(next);
          return next;
        },
        hostFd,
        ask,
        setBridgeNetfilter: (on) => setBridgeNetfilter(test.host, on),
      });
    } finally {
      for (const each of firewalls) await each.close();
      closeSync(hostFd);
    }
  });
}

/** A world that several tests look at; `close` takes it down. */
export async function openWorld(
  intents: readonly Intent[],
  engine: Engine = 'nftables',
): Promise<World & { close(): Promise<void> }> {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return new Promise((resolve, reject) => {
    const work = async (world: World) => {
      const close = async () => {
        release();
        await ended;
      };
      resolve({ ...world, close });
      await released;
    };
    const ended = withWorld(intents, work, engine);
    ended.catch(reject);
  });
}

function unknown(name: string): never {
  throw new Error(`there is no ${name} in this world`);
}

async function build(test: TestHost): Promise<Map<string, Namespace>> {
  const { host } = test;
  const places = new Map<string, Namespace>();
  await host.setSysctl('net/ipv4/ip_forward', '1');
  // The kernel solicits no neighbour for a forwarded packet while the link-local address is still being checked.
  await host.setSysctl('net/ipv6/conf/default/accept_dad', '0');
  await host.setSysctl('net/ipv6/conf/all/forwarding', '1');
  const outside = await test.create('outside');
  places.set('outside', outside);
  await cable(host, 'up0', outside, { here: HOST, there: OUTSIDE }, { ipv4: '24', ipv6: '64' });
  await listen('outside', outside);
  for (const [name, { number, containers }] of Object.entries(NETWORKS)) {
    await bridge(host, name);
    await outside.apply([
      { op: 'addRoute', family: 'ipv4', destination: `10.${number}.0.0/24`, gateway: HOST.ipv4 },
      { op: 'addRoute', family: 'ipv6', destination: `fd00:${number}::/64`, gateway: HOST.ipv6 },
    ]);
    for (let index = 2; index < 2 + containers; index++) {
      const container = await test.create(`${name}-${index}`);
      places.set(`${name}-${index}`, container);
      await attach(host, name, index, container);
      await listen(`${name}-${index}`, container);
    }
  }
  await allAwake(host);
  return places;
}

/**
 * A bridge's port forwards nothing before the kernel's link watch has seen it come up, some time after; and who asked
 * for a neighbour's address in vain asks again a second later.
 */
async function allAwake(host: Namespace): Promise<void> {
  let asleep = Object.entries(NETWORKS).flatMap(([name, { containers }]) =>
    Array.from({ length: containers }, (_, index) => index + 2).flatMap((index) => [
      addressOf('ipv4', name, index),
      addressOf('ipv6', name, index),
    ]),
  );
  for (let attempt = 0; asleep.length > 0; attempt++) {
    if (attempt === WAKE_UP_CALLS) throw new Error(`no echo from ${asleep.join(', ')}`);
    const pings = await Promise.all(asleep.map((address) => host.ping(address, { timeoutMs: 1500 })));
    asleep = asleep.filter((_, index) => pings[index] === undefined);
  }
}

async function bridge(host: Namespace, name: string): Promise<void> {
  const link = `br-${name}`;
  await host.apply([{ op: 'createLink', name: link, link: { kind: 'bridge' }, up: true }]);
  // So that answers to 127.0.0.1 may come back from a container.
  await host.setSysctl(`net/ipv4/conf/${link}/route_localnet`, '1');
  await host.apply(addresses(link, addressOf('ipv4', name, 1), addressOf('ipv6', name, 1)));
}

async function attach(host: Namespace, name: string, index: number, container: Namespace): Promise<void> {
  const port = `v${name}${index}`;
  await host.apply([
    {
      op: 'createLink',
      name: port,
      master: `br-${name}`,
      up: true,
      link: { kind: 'veth', peer: { name: 'eth0', namespace: container } },
    },
    { op: 'setLink', name: port, hairpin: true },
  ]);
  await container.apply([
    { op: 'setLink', name: 'eth0', up: true },
    ...addresses('eth0', addressOf('ipv4', name, index), addressOf('ipv6', name, index)),
    { op: 'addRoute', family: 'ipv4', destination: 'default', gateway: addressOf('ipv4', name, 1) },
    { op: 'addRoute', family: 'ipv6', destination: 'default', gateway: addressOf('ipv6', name, 1) },
  ]);
}

async function cable(
  host: Namespace,
  name: string,
  peer: Namespace,
  ends: { readonly here: typeof HOST; readonly there: typeof OUTSIDE },
  length: { readonly ipv4: string; readonly ipv6: string },
): Promise<void> {
  await host.apply([
    { op: 'createLink', name, up: true, link: { kind: 'veth', peer: { name: 'eth0', namespace: peer } } },
    ...addresses(name, ends.here.ipv4, ends.here.ipv6, length),
  ]);
  await peer.apply([
    { op: 'setLink', name: 'eth0', up: true },
    ...addresses('eth0', ends.there.ipv4, ends.there.ipv6, length),
  ]);
}

function addresses(link: string, ipv4: string, ipv6: string, length = { ipv4: '24', ipv6: '64' }): Change[] {
  return [
    { op: 'addAddress', link, address: `${ipv4}/${length.ipv4}` },
    { op: 'addAddress', link, address: `${ipv6}/${length.ipv6}`, noDad: true },
  ];
}

async function listen(name: string, place: Namespace): Promise<void> {
  for (const address of ['0.0.0.0', '::'])
    for (const port of [80, 81])
      await place.listenTcp(address, port, (stream) => {
        stream.on('error', () => stream.destroy());
        stream.write(`${name} sees ${stream instanceof Socket ? stream.remoteAddress : '?'}\n`);
        stream.on('data', (data) => stream.write(data));
        stream.on('end', () => stream.end());
      });
}

async function ask(
  from: Namespace,
  address: string,
  port: number,
  hoped: boolean,
): Promise<string | undefined> {
  try {
    const stream = await from.connectTcp(address, port, { timeoutMs: hoped ? THERE_MS : NOT_THERE_MS });
    const line = await nextLine(stream);
    stream.destroy();
    return line;
  } catch (error) {
    if (LibnetworkError.is(error, 'TIMEOUT') || LibnetworkError.is(error, 'UNAVAILABLE')) return undefined;
    throw error;
  }
}

/** The next line that comes in on a stream. */
export function nextLine(stream: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    stream.once('data', (data: Buffer) => resolve(data.toString().trim()));
    stream.once('error', reject);
  });
}

async function setBridgeNetfilter(host: Namespace, on: boolean): Promise<boolean> {
  const keys = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables'];
  for (const key of keys) {
    if ((await host.sysctl(key)) === undefined) return !on;
    await host.setSysctl(key, on ? '1' : '0');
  }
  return true;
}
