/** Encrypted overlay networks over two hosts, each with a driver and a keyring, and what is seen on the wire. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { memoryBacking, memoryStore } from '../../src/datastore/index.ts';
import type { DriverState, Peer } from '../../src/driverapi/driver.ts';
import { overlayDriver } from '../../src/drivers/overlay/overlay.ts';
import { SharedKeyring } from '../../src/globalscope/keyring.ts';
import { KeyRotator } from '../../src/globalscope/rotator.ts';
import { FAMILIES, type Family } from '../../src/ip.ts';
import { createIdm } from '../../src/ipam/idm.ts';
import { labels } from '../../src/labels.ts';
import type { Namespace } from '../../src/osl/osl.ts';
import { silent } from '../../src/testing/driver-fixtures.ts';
import {
  type Container,
  type OverlayHost,
  overlayHost,
  overlayNetwork,
  plain,
  UNDERLAY,
  wiredHosts,
} from '../kernel/overlay/world.ts';
import { Capture } from '../support/capture.ts';
import { type TestHost, withTestHost } from '../support/kernel.ts';
import { reaches, whyNoEsp, wire } from './support.ts';
import { ENCRYPTED_PORT, ESP, isTunnel, MARKER, PLAIN_PORT, Stream, spisOf, UDP } from './traffic.ts';

const noEsp = await whyNoEsp();

/** One host with a driver and its share of the keys, and what a restart of its process begins with. */
class Host {
  readonly namespace: Namespace;
  readonly name: string;
  readonly #world: World;
  readonly #address: string;
  keyring: SharedKeyring;
  overlay: OverlayHost;

  private constructor(
    world: World,
    name: string,
    namespace: Namespace,
    address: string,
    keyring: SharedKeyring,
    overlay: OverlayHost,
  ) {
    this.#world = world;
    this.name = name;
    this.namespace = namespace;
    this.#address = address;
    this.keyring = keyring;
    this.overlay = overlay;
  }

  static async make(world: World, name: string, namespace: Namespace, address: string): Promise<Host> {
    const keyring = keyringOf(world, name);
    const overlay = await overlayHost(world.test, world.secret, namespace, name, address, keyring);
    await overlay.driver.createNetwork(world.clear);
    return new Host(world, name, namespace, address, keyring, overlay);
  }

  rotate(): Promise<void> {
    const store = memoryStore({ backing: this.#world.backing, scope: 'global' });
    return new KeyRotator(store).rotate({ timeoutMs: 60_000 });
  }

  /** Another process takes over, as the records tell it to. */
  async restart(state: DriverState): Promise<void> {
    await this.overlay.driver.close?.();
    await this.keyring.end();
    this.keyring = keyringOf(this.#world, this.name);
    const { test } = this.#world;
    const osl = { ...test.osl, host: this.namespace };
    const driver = await overlayDriver({
      osl,
      firewall: await this.namespace.firewall({ engine: 'none', table: 'libnetwork-overlay' }),
      instance: 'test',
      runDir: test.path(`run-${this.name}`),
      logger: silent,
      address: this.#address,
      numbers: createIdm,
      keyring: this.keyring,
    });
    this.overlay = { ...this.overlay, driver };
    await driver.restore(state);
    await driver.reconcile(state);
  }
}

function keyringOf({ backing }: World, host: string): SharedKeyring {
  const store = memoryStore({ backing, scope: 'global' });
  const keyring = new SharedKeyring({ store, host, rotateMs: 3_600_000, logger: silent });
  keyring.connect({
    put: async (key, value) => void (await store.put(key, value)),
    remove: async (key) => void (await store.delete(key)),
  });
  return keyring;
}

class World {
  readonly test: TestHost;
  readonly backing = memoryBacking();
  readonly secret = overlayNetwork(1, { options: { [labels.overlay.vxlanIds]: '5001', encrypted: '' } });
  readonly clear = overlayNetwork(2, { options: { [labels.overlay.vxlanIds]: '5002' } });

  constructor(test: TestHost) {
    this.test = test;
  }

  /** What the records of a host say, given its containers' peers on the network that is encrypted. */
  stateWith(peers: readonly Peer[], own: readonly Container[]): DriverState {
    const endpoints = own.map(({ peer }) => ({
      network: this.secret,
      endpoint: { ...peer, networkId: this.secret.id, name: 'a', options: {}, ports: [], bindings: [] },
      joined: true,
    }));
    return { networks: [this.secret], endpoints, peers: new Map([[this.secret.id, peers]]) };
  }
}

/** Two hosts, the networks `secret`, which is encrypted, and `clear`, and a container of each host on both. */
async function withWorld(
  family: Family,
  work: (world: World, hosts: readonly [Host, Host], containers: Containers) => Promise<void>,
): Promise<void> {
  await withTestHost(async (test) => {
    const world = new World(test);
    const [first, second] = await wiredHosts(test);
    const one = await Host.make(world, 'h1', first, UNDERLAY[family](1));
    const two = await Host.make(world, 'h2', second, UNDERLAY[family](2));
    const { secret, clear } = world;
    try {
      const containers = {
        secret: [await one.overlay.run(2), await two.overlay.run(3)],
        clear: [await one.overlay.run(2, 0, clear), await two.overlay.run(3, 0, clear)],
      } as const;
      for (const [network, [a, b]] of [
        [secret, containers.secret],
        [clear, containers.clear],
      ] as const) {
        await one.overlay.driver.updatePeers?.(network, { set: [b.peer], removed: [] });
        await two.overlay.driver.updatePeers?.(network, { set: [a.peer], removed: [] });
        for (const each of FAMILIES) await reaches(a.namespace, plain(b.peer[each]));
      }
      await work(world, [one, two], containers);
    } finally {
      for (const { overlay, keyring } of [one, two]) {
        await overlay.driver.close?.();
        await keyring.end();
      }
    }
  });
}

type Containers = Readonly<Record<'secret' | 'clear', readonly [Container, Container]>>;
const ip = ({ peer }: Container): string => plain(peer.ipv4);
const endOf = (container: Container) => ({ namespace: container.namespace, address: ip(container) });

/** Sends one datagram from a container to another, and waits until it is there. */
async function tell(from: Container, to: Container): Promise<void> {
  const stream = await Stream.begin(endOf(from), endOf(to));
  expect(await stream.end(3)).toEqual([]);
}

describe.skipIf(noEsp)(`encrypted overlay networks ${noEsp}`, () => {
  it.each(FAMILIES)('show nothing but ESP on the wire, beside others in the clear, over %s', (family) =>
    withWorld(family, async (_, [one], { secret, clear }) => {
      const capture = new Capture(one.namespace.path);
      await tell(...secret);
      const [back, forth] = [secret[1], secret[0]];
      await tell(back, forth);
      const packets = capture.end();
      expect(packets.filter((packet) => isTunnel(packet, ENCRYPTED_PORT))).toEqual([]);
      expect(packets.filter(({ frame }) => frame.includes(MARKER))).toEqual([]);
      // One way each, with a number each.
      expect(spisOf(packets).size).toBe(2);

      const other = new Capture(one.namespace.path);
      await tell(...clear);
      const plain = other.end().filter((packet) => isTunnel(packet, PLAIN_PORT));
      expect(plain.filter(({ frame }) => frame.includes(MARKER)).length).toBeGreaterThan(0);
    }),
  );

  it.each(FAMILIES)('carry the largest packets that their MTU promises, whole, over %s', (family) =>
    withWorld(family, async (_, [one], { secret: [a, b] }) => {
      const { mtu = 0 } = (await a.namespace.link('eth0')) ?? {};
      expect(mtu).toBe(family === 'ipv4' ? 1416 : 1396);
      const socket = await b.namespace.bindUdp(ip(b), 0);
      const sizes: number[] = [];
      socket.onMessage((data) => sizes.push(data.length));
      const capture = new Capture(one.namespace.path);
      const from = await a.namespace.bindUdp(ip(a), 0);
      from.send(Buffer.alloc(mtu - 28, 'x'), { address: socket.address, port: socket.port });
      await expect.poll(() => sizes, { timeout: 5_000 }).toEqual([mtu - 28]);
      const lengths = capture
        .end()
        .flatMap(({ protocol, frame }) => (protocol === ESP ? [frame.length - 14] : []));
      // In one packet, which fills that of the hosts.
      expect(Math.max(...lengths)).toBeLessThanOrEqual(1500);
      expect(Math.max(...lengths)).toBeGreaterThan(1496);
      for (const each of [socket, from]) each.close();
    }),
  );

  it('carry a stream that the kernel hands over in pieces larger than a packet', () =>
    withWorld('ipv4', async (_, [one], { secret: [a, b] }) => {
      const sent = randomBytes(2 << 20);
      const arrived: Buffer[] = [];
      const listener = await b.namespace.listenTcp(ip(b), 0, (stream) => {
        stream.on('data', (part: Buffer) => arrived.push(part));
      });
      const capture = new Capture(one.namespace.path);
      const stream = await a.namespace.connectTcp(ip(b), listener.port);
      stream.end(sent);
      const size = () => arrived.reduce((sum, { length }) => sum + length, 0);
      await expect.poll(size, { timeout: 30_000 }).toBe(sent.length);
      expect(Buffer.compare(Buffer.concat(arrived), sent)).toBe(0);
      expect(capture.end().filter((packet) => isTunnel(packet, ENCRYPTED_PORT))).toEqual([]);
      listener.close();
    }));

  it('drop what comes in the clear for them, also in the name of a member', () =>
    withWorld('ipv4', async ({ test }, [, two], { secret, clear }) => {
      // A stranger on another wire of the second host, that gives itself the first one's address.
      const stranger = await test.create('stranger');
      await wire([stranger, 'eth0'], [two.namespace, 'eth9']);
      const { macAddress = '' } = (await two.namespace.link('eth9')) ?? {};
      await stranger.apply([
        { op: 'addAddress', link: 'eth0', address: `${UNDERLAY.ipv4(1)}/24` },
        { op: 'setNeighbour', link: 'eth0', address: UNDERLAY.ipv4(2), macAddress },
      ]);
      const socket = await stranger.bindUdp(UNDERLAY.ipv4(1), 0);
      const injected = async (to: Container, vni: number, port: number): Promise<boolean> => {
        const listener = await to.namespace.bindUdp(ip(to), 7000);
        let arrived = false;
        listener.onMessage(() => {
          arrived = true;
        });
        const datagram = vxlan(vni, frameTo(to, 7000));
        for (let i = 0; i < 20 && !arrived; i++) {
          socket.send(datagram, { address: UNDERLAY.ipv4(2), port });
          await sleep(20);
        }
        listener.close();
        return arrived;
      };
      expect(await injected(clear[1], 5002, PLAIN_PORT)).toBe(true);
      expect(await injected(secret[1], 5001, ENCRYPTED_PORT)).toBe(false);
      expect(await injected(secret[1], 5001, PLAIN_PORT)).toBe(false);
      // It is the policy that drops: without it, the same arrives.
      const policies = await two.namespace.xfrmPolicies();
      const guards = policies.filter(({ direction }) => direction === 'in');
      await two.namespace.applyXfrm(guards.map((policy) => ({ op: 'deletePolicy', policy })));
      expect(await injected(secret[1], 5001, ENCRYPTED_PORT)).toBe(true);
      socket.close();
    }));

  it('send nothing in the clear when associations are missing, and are put right by reconcile()', () =>
    withWorld('ipv4', async (world, [one], { secret: [a, b] }) => {
      const capture = new Capture(one.namespace.path);
      const states = await one.namespace.xfrmStates();
      await one.namespace.applyXfrm(states.map((state) => ({ op: 'deleteState', state })));
      expect(await a.namespace.ping(ip(b), { timeoutMs: 300 })).toBeUndefined();
      expect(await b.namespace.ping(ip(a), { timeoutMs: 300 })).toBeUndefined();
      const state = world.stateWith([b.peer], [a]);
      const { driver } = one.overlay;
      expect((await driver.reconcile(state, { dryRun: true })).missing).toHaveLength(2);
      await driver.reconcile(state);
      await reaches(a.namespace, ip(b));
      await tell(a, b);
      await tell(b, a);
      expect(capture.end().filter((packet) => isTunnel(packet, ENCRYPTED_PORT))).toEqual([]);
      expect(await driver.reconcile(state)).toEqual({ missing: [], orphaned: [] });
    }));

  it('lose nothing while keys are replaced', () =>
    withWorld('ipv4', async (_, [one, two], { secret: [a, b] }) => {
      const capture = new Capture(one.namespace.path);
      const streams = [await Stream.begin(endOf(a), endOf(b)), await Stream.begin(endOf(b), endOf(a))];
      for (const stream of streams) await stream.passes(5);
      for (const host of [one, two, one]) {
        await host.rotate();
        for (const stream of streams) await stream.passes(5);
      }
      for (const stream of streams) expect(await stream.end(20)).toEqual([]);
      const packets = capture.end();
      expect(packets.filter(({ frame }) => frame.includes(MARKER))).toEqual([]);
      // Four generations each way.
      expect(spisOf(packets).size).toBe(8);
      await expect.poll(async () => (await one.namespace.xfrmStates()).length, { timeout: 15_000 }).toBe(2);
      for (const { statistics } of await one.namespace.xfrmStates())
        expect(statistics).toMatchObject({ replayed: 0, forged: 0 });
    }));

  it('lose nothing while a controller is restarted', () =>
    withWorld('ipv4', async (world, [one], { secret: [a, b] }) => {
      const names = async () =>
        (await one.namespace.xfrmStates()).map(({ spi, destination }) => `${destination} ${spi}`);
      const before = await names();
      const streams = [await Stream.begin(endOf(a), endOf(b)), await Stream.begin(endOf(b), endOf(a))];
      await one.restart(world.stateWith([b.peer], [a]));
      await expect.poll(() => one.keyring.view?.others.length).toBe(1);
      await one.rotate();
      for (const stream of streams) expect(await stream.end(20)).toEqual([]);
      expect(await names()).toEqual(expect.arrayContaining(before));
    }));

  it('leave the entries of others as they are, and none of their own behind', () =>
    withWorld('ipv4', async ({ secret }, [one, two]) => {
      await one.namespace.applyXfrm(foreignEntries());
      await two.overlay.driver.deleteNetwork(secret);
      expect(await two.namespace.xfrmStates()).toEqual([]);
      expect(await two.namespace.xfrmPolicies()).toEqual([]);
      await one.overlay.driver.deleteNetwork(secret);
      expect((await one.namespace.xfrmStates()).map(({ spi }) => spi)).toEqual([0x1000]);
      expect((await one.namespace.xfrmPolicies()).map(({ priority }) => priority)).toEqual([5]);
    }));
});

function foreignEntries() {
  const [source, destination] = ['198.51.100.1', '198.51.100.2'];
  const key = new Uint8Array(20).fill(3);
  const common = { source, destination, mode: 'transport', reqid: 7 } as const;
  const selector = { source: `${source}/32`, destination: `${destination}/32` };
  return [
    {
      op: 'addState',
      state: { ...common, spi: 0x1000, key, icvBits: 128, replayWindow: 32, esn: false },
    },
    {
      op: 'setPolicy',
      policy: { direction: 'out', selector, priority: 5, action: 'allow', template: common },
    },
  ] as const;
}

/** RFC 7348, 5. */
function vxlan(vni: number, frame: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(0x08, 0);
  header.writeUInt32BE(vni << 8, 4);
  return Buffer.concat([header, frame]);
}

/** A datagram to a container in a frame: Ethernet, IPv4 and UDP. */
function frameTo(to: Container, port: number): Buffer {
  const data = Buffer.from(MARKER);
  const bytes = (text: string, separator: string, radix: number) =>
    text.split(separator).map((part) => Number.parseInt(part, radix));
  const ethernet = Buffer.from([...bytes(to.peer.macAddress, ':', 16), 2, 0, 0, 0, 0, 9, 8, 0]);
  const [a = 0, b = 0, c = 0] = bytes(ip(to), '.', 10);
  const header = Buffer.from([
    0x45,
    0,
    0,
    28 + data.length,
    0,
    0,
    0,
    0,
    64,
    UDP,
    0,
    0,
    a,
    b,
    c,
    200,
    ...bytes(ip(to), '.', 10),
  ]);
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  header.writeUInt16BE(0xffff - ((sum & 0xffff) + (sum >> 16)), 10);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(6000, 0);
  udp.writeUInt16BE(port, 2);
  udp.writeUInt16BE(8 + data.length, 4);
  return Buffer.concat([ethernet, header, udp, data]);
}
