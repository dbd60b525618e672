import { memoryBackend } from '../firewall/memory.ts';
import type { Table } from '../firewall/model.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NetnsState } from './state.ts';
import { addLinkSysctls, initialSysctls } from './sysctls.ts';

/** A new namespace: an empty one with its loopback link down. */
export function newNetns(id: number, host: NetnsState | undefined): NetnsState {
  const netns: NetnsState = {
    id,
    links: new Map(),
    linksByName: new Map(),
    nextIndex: 1,
    tunnels: new Set(),
    nextPort: 0,
    addresses: [],
    routes: [],
    neighbours: [],
    sysctls: new Map(),
    ruleset: memoryBackend(),
    tableNames: new Set(),
    sockets: new Set(),
    flows: [],
    announced: [],
    xfrm: { states: new Map(), policies: new Map() },
    holders: new Set(),
  };
  initialSysctls(host, netns.sysctls);
  addLink(netns, 'lo', { kind: 'loopback', mtu: 65536, mac: '00:00:00:00:00:00' });
  return netns;
}

interface NewLink {
  readonly kind: LinkState['kind'];
  readonly origin?: NetnsState;
  readonly spec?: LinkState['spec'];
  readonly parent?: LinkState | undefined;
  readonly lower?: LinkState | undefined;
  readonly mac: string | undefined;
  readonly macChosen?: boolean;
  readonly mtu: number;
  readonly group?: number | undefined;
}

/** Puts a link, down and alone, into a namespace under its next index. */
export function addLink(netns: NetnsState, name: string, link: NewLink): LinkState {
  while (netns.links.has(netns.nextIndex)) netns.nextIndex++;
  const state: LinkState = {
    home: netns,
    origin: link.origin ?? netns,
    index: netns.nextIndex++,
    name,
    kind: link.kind,
    spec: link.spec,
    up: false,
    mtu: link.mtu,
    mac: link.mac,
    macChosen: link.macChosen ?? false,
    mtuChosen: false,
    alias: undefined,
    group: link.group ?? 0,
    master: undefined,
    peer: undefined,
    parent: link.parent,
    lower: link.lower,
    uppers: new Set(),
    hairpin: false,
    carrier: true,
    ready: false,
    statistics: {
      rxBytes: 0,
      txBytes: 0,
      rxPackets: 0,
      txPackets: 0,
      rxErrors: 0,
      txErrors: 0,
      rxDropped: 0,
      txDropped: 0,
    },
  };
  enterLink(state);
  addLinkSysctls(state);
  return state;
}

/** Puts a link into the tables of its namespace. */
export function enterLink(link: LinkState): void {
  link.home.links.set(link.index, link);
  link.home.linksByName.set(link.name, link);
}

/** Takes a link out of the tables of its namespace. */
export function strikeLink(link: LinkState): void {
  link.home.links.delete(link.index);
  link.home.linksByName.delete(link.name);
}

export function findLink(netns: NetnsState, name: string): LinkState | undefined {
  return netns.linksByName.get(name);
}

/** The link of that name. @throws Refusal ENODEV */
export function needLink(netns: NetnsState, name: string): LinkState {
  const link = findLink(netns, name);
  if (link === undefined) throw new Refusal('ENODEV', `no link is named ${name}`);
  return link;
}

/** The ports of a bridge, in the order of their indexes. */
export function portsOf(bridge: LinkState): readonly LinkState[] {
  return [...bridge.home.links.values()].filter((link) => link.master === bridge);
}

/** A carrier, as each kind of link has it. */
export function hasCarrier(link: LinkState): boolean {
  switch (link.kind) {
    case 'veth':
      return link.up && link.peer?.up === true;
    case 'bridge':
      return link.carrier;
    case 'vlan':
    case 'macvlan':
    case 'ipvlan':
      return link.parent?.up === true && hasCarrier(link.parent);
    default:
      return true;
  }
}

export function isRunning(link: LinkState): boolean {
  return link.up && hasCarrier(link);
}

/** The tables of the packet filter, by name. */
export function tablesOf(netns: NetnsState): readonly Table[] {
  return [...netns.tableNames].sort().flatMap((name) => netns.ruleset.table(name) ?? []);
}
