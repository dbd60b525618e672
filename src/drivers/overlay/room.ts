/** The namespace of an overlay network on this host: a bridge and a VXLAN device for each of its segments. */
import type { Logger, Peer, PeerChange } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import { type EndpointId, stamp } from '../../ids.ts';
import { FAMILIES } from '../../ip.ts';
import type { Change, Link, Namespace, NeighbourSpec, Osl } from '../../osl/osl.ts';
import { familyOfHost, innerMtu, type OverlayConfig, type Segment } from './config.ts';
import { keyOf, PeerTable, sameEntry } from './peers.ts';

/** What rooms are made with. */
export interface Ground {
  readonly osl: Osl;
  readonly instance: string;
  readonly logger: Logger;
  /** The directory of the rooms. */
  readonly directory: string;
  /** The address that other hosts send to. */
  readonly address: string;
}

export function roomPath({ directory }: Pick<Ground, 'directory'>, networkId: string): string {
  return `${directory}/${networkId.slice(0, 12)}`;
}

export class Room {
  readonly config: OverlayConfig;
  readonly namespace: Namespace;
  readonly mtu: number;
  readonly joined = new Set<EndpointId>();
  readonly #ground: Ground;
  readonly #peers: PeerTable;

  constructor(ground: Ground, config: OverlayConfig, namespace: Namespace, mtu: number) {
    this.#ground = ground;
    this.config = config;
    this.namespace = namespace;
    this.mtu = mtu;
    this.#peers = new PeerTable(config);
  }

  /** Opens the room that an earlier process made, or makes it; its devices are for `furnish`. */
  static async open(ground: Ground, config: OverlayConfig): Promise<Room> {
    const mtu = innerMtu(config, await outerOf(ground));
    const namespace = await ground.osl.createNamespace(roomPath(ground, config.id));
    return new Room(ground, config, namespace, mtu);
  }

  /** Makes every device that is not there. */
  async furnish(): Promise<void> {
    await this.#setSysctls();
    const links = new Map((await this.namespace.links()).map((link) => [link.name, link]));
    for (const segment of this.config.segments) {
      await this.#furnishBridge(segment, links.get(segment.bridge));
      await this.#furnishVxlan(segment, links.get(segment.vxlan));
    }
  }

  /** What of its devices is not as it should be. */
  async lacks(): Promise<string[]> {
    const links = new Map((await this.namespace.links()).map((link) => [link.name, link]));
    const missing: string[] = [];
    for (const { bridge, vxlan, pools } of this.config.segments) {
      const has = links.has(bridge) ? await this.namespace.addresses(bridge) : [];
      const addresses = FAMILIES.flatMap((family) => pools[family]?.gateway ?? []);
      if (!links.get(bridge)?.up) missing.push(`bridge ${bridge}`);
      else if (!addresses.every((each) => has.some(({ address }) => address === each)))
        missing.push(`gateway of ${bridge}`);
      const device = links.get(vxlan);
      if (!device?.up || device.master !== bridge) missing.push(`vxlan ${vxlan}`);
    }
    return missing.map((what) => `${what} of network ${this.config.name}`);
  }

  peers(): readonly Peer[] {
    return this.#peers.peers();
  }

  /** Takes peers over without touching the devices: `comparePeers` does that. */
  know(change: PeerChange): void {
    this.#peers.change(change);
  }

  /** Endpoints of other hosts came, changed or went. */
  async change(change: PeerChange): Promise<void> {
    const { set, remove } = this.#peers.change(change);
    if (set.length > 0) await this.namespace.apply(set);
    await this.#removeEntries(remove);
  }

  /** Makes the entries of the devices those of the peers; what was missing, and what was there and should not be. */
  async comparePeers(dryRun: boolean): Promise<{ missing: string[]; orphaned: string[] }> {
    const wanted = this.#peers.wanted();
    const found = await this.#entries();
    const missing = [...wanted].filter(([key, spec]) => !sameEntry(spec, found.get(key)));
    const stale = [...found].filter(([key]) => !wanted.has(key));
    if (!dryRun) {
      if (missing.length > 0)
        await this.namespace.apply(missing.map(([, spec]) => ({ op: 'setNeighbour', ...spec })));
      await this.#removeEntries(stale.map(([, spec]) => ({ op: 'deleteNeighbour', ...spec })));
    }
    const line = ([key]: readonly [string, NeighbourSpec]) => `peer ${key} of network ${this.config.name}`;
    return { missing: missing.map(line), orphaned: stale.map(line) };
  }

  /** Ends the room with all that is in it. */
  async tearDown(): Promise<void> {
    await empty(this.namespace);
    await this.#ground.osl.deleteNamespace(this.namespace.path);
    await this.namespace.close();
  }

  async #entries(): Promise<Map<string, NeighbourSpec>> {
    const found = new Map<string, NeighbourSpec>();
    for (const { vxlan } of this.config.segments) {
      for (const { link, family, address, macAddress, permanent } of await this.namespace.neighbours(vxlan)) {
        // Without a remote it is an entry of the bridge.
        if (!permanent || address === undefined || macAddress === undefined) continue;
        const spec = { link, address, macAddress, ...(family === 'bridge' ? { fdb: true } : {}) };
        found.set(keyOf(spec), spec);
      }
    }
    return found;
  }

  /** What is gone already is no failure. */
  async #removeEntries(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    try {
      await this.namespace.apply(changes);
    } catch (error) {
      if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
    }
  }

  /** It routes between its subnets, by whichever way a packet comes. */
  async #setSysctls(): Promise<void> {
    const { namespace } = this;
    await namespace.setSysctl('net/ipv4/ip_forward', '1');
    await namespace.setSysctl('net/ipv4/conf/all/rp_filter', '0');
    if (!this.config.segments.some(({ pools }) => pools.ipv6)) return;
    await namespace.setSysctl('net/ipv6/conf/default/accept_dad', '0');
    await namespace.setSysctl('net/ipv6/conf/default/disable_ipv6', '0');
    await namespace.setSysctl('net/ipv6/conf/all/forwarding', '1');
  }

  async #furnishBridge({ bridge, pools }: Segment, found: Link | undefined): Promise<void> {
    const { mtu } = this;
    const alias = stamp(this.#ground.instance, this.config.id);
    const changes: Change[] = [];
    if (!found) changes.push({ op: 'createLink', name: bridge, link: { kind: 'bridge' }, mtu, alias });
    const has = found ? (await this.namespace.addresses(bridge)).map(({ address }) => address) : [];
    for (const family of FAMILIES) {
      const address = pools[family]?.gateway;
      if (address !== undefined && !has.includes(address))
        changes.push({ op: 'addAddress', link: bridge, address, noDad: true });
    }
    if (!found?.up || found.alias === undefined)
      changes.push({ op: 'setLink', name: bridge, up: true, ...(found && { alias }) });
    if (changes.length > 0) await this.namespace.apply(changes);
  }

  /** Made from the host's namespace, which its outer packets go by; born in the room. */
  async #furnishVxlan({ vxlan: name, bridge, vni }: Segment, found: Link | undefined): Promise<void> {
    const { osl, address, instance } = this.#ground;
    const alias = stamp(instance, this.config.id);
    if (found?.up && found.master === bridge && found.alias !== undefined) return;
    if (found) return this.namespace.apply([{ op: 'setLink', name, master: bridge, up: true, alias }]);
    const { port, name: network } = this.config;
    if (vni === undefined)
      throw new LibnetworkError('INTERNAL', `network ${network} has no VXLAN number for ${bridge}`);
    await osl.host.apply([
      {
        op: 'createLink',
        name,
        namespace: this.namespace,
        // Nothing is learnt and nothing asked: what is not in its tables is dropped.
        link: { kind: 'vxlan', id: vni, port, local: address, learning: false, proxy: true },
        mtu: this.mtu,
        master: bridge,
        up: true,
        alias,
      },
    ]);
  }
}

/** The devices go before their namespace: so the numbers of tunnels are free at once, and no sandbox keeps an end. */
export async function empty(room: Namespace): Promise<void> {
  const made = (await room.links()).filter(({ kind }) => ['vxlan', 'veth', 'bridge'].includes(kind));
  await Promise.all(made.map(({ name }) => room.deleteLink(name)));
}

async function outerOf({ osl: { host }, address }: Ground) {
  const own = (await host.addresses()).find((each) => each.address.split('/')[0] === address);
  const mtu = own && (await host.link(own.link))?.mtu;
  return { family: familyOfHost(address), mtu };
}
