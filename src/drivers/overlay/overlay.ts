import { randomBytes } from 'node:crypto';
import type {
  Driver,
  DriverFactory,
  DriverHost,
  DriverNetwork,
  DriverOptions,
  DriverReport,
  DriverState,
  DriverWaits,
  EndpointDecision,
  EndpointPlace,
  JoinRequest,
  JoinResult,
  Numbers,
  PeerChange,
} from '../../driverapi/driver.ts';
import { readRecorded } from '../../driverapi/recorded.ts';
import { invalid, LibnetworkError, throwIfAborted } from '../../errors.ts';
import { type NetworkId, vethName } from '../../ids.ts';
import { parseCidr, toBytes } from '../../ip.ts';
import { labels } from '../../labels.ts';
import { attach, routesOf } from './attach.ts';
import {
  FIRST_VNI,
  isEncrypted,
  MAX_VNI,
  type OverlayConfig,
  parseConfig,
  segmentOfEndpoint,
} from './config.ts';
import { Encryption } from './encryption/encryption.ts';
import { reconcileRooms } from './reconcile.ts';
import { type Ground, Room, roomPath } from './room.ts';

/**
 * The `overlay` driver: networks that span hosts. Each is a namespace on every host that has endpoints on it, with a
 * bridge and a VXLAN device (RFC 7348) for each subnet. Who is where comes from the core, as peers: the devices
 * learn nothing, flood nothing and ask nobody. Its options are Docker's (`labels.overlay`).
 */
export const overlayDriver: DriverFactory = (host) => new OverlayDriver(host);

class OverlayDriver implements Driver {
  readonly name = 'overlay';
  readonly capability = {
    dataScope: 'global',
    connectivityScope: 'global',
    usesIpam: true,
    resolvesNames: true,
  } as const;
  readonly #host: DriverHost;
  readonly #directory: string;
  readonly #numbers: Numbers;
  readonly #rooms = new Map<NetworkId, Room>();
  readonly #encryption: Encryption;

  constructor(host: DriverHost) {
    this.#host = host;
    this.#encryption = new Encryption({ host, isReached: (address) => this.#isReached(address) });
    this.#directory = `${host.runDir}/overlay`;
    this.#numbers = host.numbers({ name: 'vxlan-id', start: 0, end: MAX_VNI });
  }

  async validateNetwork(network: DriverNetwork): Promise<void> {
    const config = parseConfig(network);
    this.#ground();
    this.#checkPort(config);
    if (config.encrypted) await this.#encryption.check();
  }

  /** Chooses a VXLAN number for each segment, or takes those that the options name. */
  async allocateNetwork(network: DriverNetwork, { signal }: DriverWaits = {}): Promise<DriverOptions> {
    const { segments } = parseConfig(network);
    if (segments.length === 0)
      throw invalid('ipam.pools', [], 'an overlay network needs a subnet, IPv4 or IPv6');
    const taken: number[] = [];
    const holder = holderOf(network);
    for (const { vni } of segments) {
      throwIfAborted(signal);
      const request = vni === undefined ? { from: FIRST_VNI, serial: true, holder } : { id: vni, holder };
      taken.push(await this.#numbers.request(request));
    }
    return { [labels.overlay.vxlanIds]: taken.join(',') };
  }

  async freeNetwork(network: DriverNetwork): Promise<void> {
    const held = await this.#numbers.held();
    for (const { id, holder } of held) if (holder === holderOf(network)) await this.#numbers.release(id);
  }

  async createNetwork(network: DriverNetwork, { signal }: DriverWaits = {}): Promise<void> {
    throwIfAborted(signal);
    const config = parseConfig(network);
    const known = this.#rooms.get(network.id);
    this.#checkPort(config);
    // Before there is a device that could send.
    if (config.encrypted) await this.#encryption.enter(network.id, config.port, { signal });
    try {
      const room = known ?? (await Room.open(this.#ground(), config));
      this.#rooms.set(network.id, room);
      await room.furnish();
    } catch (error) {
      if (!known) await this.deleteNetwork(network);
      throw error;
    }
  }

  async deleteNetwork(network: DriverNetwork): Promise<void> {
    const room = this.#rooms.get(network.id);
    if (room) await room.tearDown();
    else await this.#host.osl.deleteNamespace(roomPath({ directory: this.#directory }, network.id));
    this.#rooms.delete(network.id);
    if (isEncrypted(network.options)) await this.#encryption.leave(network.id);
  }

  decideEndpoint({ network, endpoint }: EndpointPlace): EndpointDecision {
    segmentOfEndpoint(this.#room(network).config, endpoint);
    return endpoint.macAddress === undefined ? { macAddress: macFor(endpoint.ipv4) } : {};
  }

  async join(request: JoinRequest, { signal }: DriverWaits = {}): Promise<JoinResult> {
    const room = this.#room(request.network);
    throwIfAborted(signal);
    const segment = segmentOfEndpoint(room.config, request.endpoint);
    await attach(room, segment, this.#host.instance, request);
    room.joined.add(request.endpoint.id);
    return { link: { kind: 'in-place' }, routes: routesOf(room.config, segment) };
  }

  async leave({ network, endpoint }: EndpointPlace): Promise<void> {
    const room = this.#rooms.get(network.id);
    await room?.namespace.deleteLink(vethName(endpoint.id));
    room?.joined.delete(endpoint.id);
  }

  async updatePeers(network: DriverNetwork, change: PeerChange): Promise<void> {
    await this.#rooms.get(network.id)?.change(change);
    this.#encryption.peersChanged();
  }

  async endpointInfo({ network, endpoint }: EndpointPlace): Promise<Readonly<Record<string, unknown>>> {
    const { config, mtu } = this.#room(network);
    const { vni } = segmentOfEndpoint(config, endpoint);
    return {
      'com.docker.network.endpoint.macaddress': endpoint.macAddress,
      vni,
      mtu,
      via: this.#host.address,
    };
  }

  async restore(state: DriverState): Promise<void> {
    for (const [id, config] of readRecorded(state.networks, parseConfig, this.#host.logger)) {
      if (config.encrypted) this.#encryption.resume(id, config.port);
      this.#rooms.set(id, await Room.open(this.#ground(), config));
    }
    for (const { network, endpoint, joined } of state.endpoints)
      if (joined) this.#rooms.get(network.id)?.joined.add(endpoint.id);
  }

  async reconcile(
    state: DriverState,
    { dryRun = false, signal }: DriverWaits & { readonly dryRun?: boolean } = {},
  ): Promise<DriverReport> {
    throwIfAborted(signal);
    const { osl, logger, instance } = this.#host;
    // First what keeps shut what the devices are opened for.
    const encryption = await this.#encryption.reconcile(dryRun);
    const place = { osl, logger, instance, directory: this.#directory };
    const rooms = await reconcileRooms(place, this.#rooms, state, dryRun);
    return {
      missing: [...encryption.missing, ...rooms.missing],
      orphaned: [...encryption.orphaned, ...rooms.orphaned],
    };
  }

  async close(): Promise<void> {
    await this.#encryption.end();
    await Promise.all([...this.#rooms.values()].map(({ namespace }) => namespace.close()));
    this.#rooms.clear();
  }

  #isReached(address: string): boolean {
    return [...this.#rooms.values()].some(
      (room) => room.config.encrypted && room.peers().some(({ via }) => via === address),
    );
  }

  /** The kernel tells by the port what it must encrypt. @throws CONFLICT */
  #checkPort({ id, port, encrypted }: OverlayConfig): void {
    const other = [...this.#rooms.values()].find(({ config }) => config.id !== id && config.port === port);
    if (!other || other.config.encrypted === encrypted) return;
    throw new LibnetworkError(
      'CONFLICT',
      `UDP port ${port} is used by network ${other.config.name}, which is ${encrypted ? 'not ' : ''}encrypted: choose another`,
      { field: labels.overlay.port, value: port, holder: `network ${other.config.name}` },
    );
  }

  #ground(): Ground {
    const { osl, instance, logger, address } = this.#host;
    if (address !== undefined) return { osl, instance, logger, address, directory: this.#directory };
    throw new LibnetworkError(
      'UNAVAILABLE',
      'an overlay network needs an address that other hosts reach this one by: set cluster.address (`dnet daemon`: --cluster-store, --cluster-advertise)',
      { field: 'cluster.address' },
    );
  }

  #room(network: DriverNetwork): Room {
    const room = this.#rooms.get(network.id);
    if (room) return room;
    throw new LibnetworkError(
      'NOT_FOUND',
      `the overlay driver has no network ${network.name} (${network.id.slice(0, 12)}) on this host`,
      { field: 'network', value: network.id },
    );
  }
}

function holderOf({ id }: { readonly id: string }): string {
  return `network ${id}`;
}

/** Docker's: 02:42 and the IPv4 address, which no two endpoints of a network share. Without one, a random one. */
function macFor(ipv4: string | undefined): string {
  const address = ipv4 === undefined ? undefined : parseCidr(ipv4)?.address;
  const bytes = address ? Buffer.concat([Buffer.from([0x02, 0x42]), toBytes(address)]) : randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}
