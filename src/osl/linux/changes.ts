import { invalid } from '../../errors.ts';
import { type InterfaceAddress, parseAddress, parseCidr, parsePrefix, toBytes } from '../../ip.ts';
import { checkVxlan } from '../checks/vxlan.ts';
import type {
  BridgeSpec,
  Change,
  CreateLink,
  LinkSpec,
  NeighbourSpec,
  RouteSpec,
  SetLink,
  VxlanSpec,
} from '../osl.ts';
import { newVethIndexes, type VethIndexes } from './indexes.ts';
import { encodeAddress, RTM_DELADDR, RTM_NEWADDR } from './netlink/address.ts';
import { type BridgeVlan, encodeBridgeVlan, encodeFilterBridged } from './netlink/bridge.ts';
import {
  encodeHairpin,
  encodeNewLink,
  encodeSetLink,
  IPVLAN_FLAGS,
  IPVLAN_MODES,
  type LinkFields,
  type LinkInfo,
  MACVLAN_MODES,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from './netlink/link.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './netlink/message.ts';
import { encodeNeighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from './netlink/neighbour.ts';
import { encodeDeleteRoute, encodeNewRoute, RTM_DELROUTE, RTM_NEWROUTE } from './netlink/route.ts';
import { macBytes, requireLinkName, requireRange } from './values.ts';

/** A link as far as changes to others need it. */
export interface KnownLink {
  readonly index: number;
  /** The index of the bridge it is a port of. */
  readonly master: number | undefined;
}

/** What a change's messages are made with, once the kernel has been asked. */
export interface Resolved {
  link(name: string): KnownLink;
  /** A link of the namespace that the change's own link is born in. */
  birthplaceLink(name: string): KnownLink;
  /** The descriptor of the change's `namespace`. */
  readonly namespaceFd: number | undefined;
  /** The descriptor of the veth peer's `namespace`. */
  readonly peerNamespaceFd: number | undefined;
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** A change, validated, and ready to become messages when the indexes it needs are known. */
export interface Plan {
  readonly change: Change;
  /** Links that must be looked up first. */
  readonly needs: readonly string[];
  /** A link to be looked up where this one is born, or moved to. */
  readonly needsAtBirthplace: string | undefined;
  /** Names that are something else after this change than before. */
  readonly touches: readonly string[];
  /** True when the kernel waits for a grace period. */
  readonly slow: boolean;
  encode(resolved: Resolved): readonly Message[];
  /** The indexes that the two ends of a new veth will have. */
  readonly indexes?: VethIndexes | undefined;
  /** A message to the namespace that the link was born in, sent once it was. */
  readonly afterBirth?: Message | undefined;
  /**
   * A message about the link that was born, by its index, that the kernel refuses where it has ignored a part of
   * the request: then the link is deleted again.
   */
  readonly proof?: ((index: number) => Message) | undefined;
}

const NOTHING = { needs: [], needsAtBirthplace: undefined, touches: [], slow: false } as const;
const MAX_VLAN = 4094;
const CREATE = NLM_F_CREATE | NLM_F_EXCL;

/** Validates a change. @throws INVALID_ARGUMENT, naming the field as `changes[2].address` */
export function plan(change: Change, at: string): Plan {
  switch (change.op) {
    case 'createLink':
      return planCreate(change, at);
    case 'setLink':
      return planSet(change, at);
    case 'addAddress':
    case 'deleteAddress':
      return planAddress(change, at);
    case 'addRoute':
    case 'replaceRoute':
    case 'deleteRoute':
      return planRoute(change, change.op, at);
    case 'setNeighbour':
    case 'deleteNeighbour':
      return planNeighbour(change, change.op, at);
    case 'addBridgeVlan':
    case 'deleteBridgeVlan':
      return planBridgeVlan(change, at);
    default:
      throw invalid(at, change, 'no such change');
  }
}

function planCreate(change: CreateLink, at: string): Plan {
  const { name, link, master, alias } = change;
  requireLinkName(name, `${at}.name`);
  if (master !== undefined) requireLinkName(master, `${at}.master`);
  const elsewhere = change.namespace !== undefined;
  const indexes = link.kind === 'veth' ? newVethIndexes() : undefined;
  const own = { ...fields(change, at), index: indexes?.own };
  const info = linkInfo(link, at, indexes);
  const parent = 'parent' in link && link.parent !== undefined ? [link.parent] : [];
  const peer = link.kind === 'veth' ? link.peer : undefined;
  const byIndex = indexes !== undefined && alias !== undefined && !elsewhere;
  return {
    ...NOTHING,
    change,
    indexes,
    needs: master === undefined || elsewhere ? parent : [...parent, master],
    needsAtBirthplace: elsewhere ? master : undefined,
    touches: [...(elsewhere ? [] : [name]), ...(peer && !peer.namespace ? [peer.name] : [])],
    encode: (resolved) => {
      const bridge =
        master === undefined
          ? undefined
          : elsewhere
            ? resolved.birthplaceLink(master)
            : resolved.link(master);
      const given = { ...own, master: bridge?.index, namespaceFd: resolved.namespaceFd };
      const create = { type: RTM_NEWLINK, flags: CREATE, payload: encodeNewLink(given, info(resolved)) };
      return byIndex ? [create, setLink(indexes.own, { alias })] : [create];
    },
    // Apart, since sent along it would stamp a foreign link of that name when the creation is refused.
    afterBirth: alias === undefined || byIndex ? undefined : setLink(0, { name, alias }),
    proof: link.kind === 'bridge' && link.vlanFiltering ? proofOfVlanFiltering : undefined,
  };
}

/** The link's own data, with what is known only later left open. */
function linkInfo(
  link: LinkSpec,
  at: string,
  indexes: VethIndexes | undefined,
): (resolved: Resolved) => LinkInfo {
  const where = `${at}.link`;
  if ('parent' in link && link.parent !== undefined) requireLinkName(link.parent, `${where}.parent`);
  switch (link.kind) {
    case 'bridge':
      validateBridge(link, where);
      return () => link;
    case 'dummy':
    case 'ifb':
      return () => link;
    case 'veth': {
      requireLinkName(link.peer.name, `${where}.peer.name`);
      const peer = { ...fields(link.peer, `${where}.peer`), index: indexes?.peer };
      return (resolved) => ({ kind: 'veth', peer: { ...peer, namespaceFd: resolved.peerNamespaceFd } });
    }
    case 'vlan':
      requireRange(link.id, 1, MAX_VLAN, `${where}.id`);
      return (resolved) => ({ kind: 'vlan', parent: resolved.link(link.parent).index, id: link.id });
    case 'macvlan': {
      const mode = choice(MACVLAN_MODES, link.mode, `${where}.mode`);
      return (resolved) => ({ kind: 'macvlan', parent: resolved.link(link.parent).index, mode });
    }
    case 'ipvlan': {
      const mode = choice(IPVLAN_MODES, link.mode, `${where}.mode`);
      const flag = choice(IPVLAN_FLAGS, link.flag ?? 'bridge', `${where}.flag`);
      return (resolved) => ({ kind: 'ipvlan', parent: resolved.link(link.parent).index, mode, flag });
    }
    case 'vxlan':
      return vxlanInfo(link, where);
    default:
      throw invalid(`${where}.kind`, link, 'no such kind of link');
  }
}

function vxlanInfo(link: VxlanSpec, at: string): (resolved: Resolved) => LinkInfo {
  checkVxlan(link, at);
  const [local, group] = [link.local, link.group].map((text) => {
    const address = text === undefined ? undefined : parseAddress(text);
    return address && toBytes(address);
  });
  const { parent } = link;
  return (resolved) => ({
    ...link,
    local,
    group,
    parent: parent === undefined ? undefined : resolved.link(parent).index,
  });
}

function validateBridge({ forwardDelay, stp }: BridgeSpec, at: string): void {
  if (forwardDelay === undefined) return;
  const [low, high] = stp ? [2, 30] : [0, 30];
  if (!(forwardDelay >= low && forwardDelay <= high))
    throw invalid(`${at}.forwardDelay`, forwardDelay, `must be ${low} to ${high} seconds`);
}

/** A kernel without VLAN filtering ignores that it is asked for, but no VLAN of a port. This one is there anyway. */
function proofOfVlanFiltering(index: number): Message {
  return bridgeVlanMessage({ index, master: undefined }, { id: 1, pvid: true, untagged: true }, RTM_SETLINK);
}

function planBridgeVlan(
  change: Extract<Change, { op: 'addBridgeVlan' | 'deleteBridgeVlan' }>,
  at: string,
): Plan {
  const { op, link, id, end = id } = change;
  requireLinkName(link, `${at}.link`);
  requireRange(id, 1, MAX_VLAN, `${at}.id`);
  requireRange(end, id, MAX_VLAN, `${at}.end`);
  if (op === 'addBridgeVlan' && change.pvid && end !== id)
    throw invalid(`${at}.pvid`, change.pvid, 'must be of one VLAN, not of a range');
  const type = op === 'addBridgeVlan' ? RTM_SETLINK : RTM_DELLINK;
  return {
    ...NOTHING,
    change,
    needs: [link],
    encode: (resolved) => [bridgeVlanMessage(resolved.link(link), change, type)],
  };
}

function bridgeVlanMessage({ index, master }: KnownLink, vlan: BridgeVlan, type: number): Message {
  const payload = encodeBridgeVlan(index, vlan, master === undefined ? 'bridge' : 'port');
  return { type, flags: 0, payload };
}

function planSet(change: SetLink, at: string): Plan {
  const { name, master, rename, hairpin, filterBridged } = change;
  requireLinkName(name, `${at}.name`);
  if (rename !== undefined) requireLinkName(rename, `${at}.rename`);
  if (typeof master === 'string') requireLinkName(master, `${at}.master`);
  const own = fields(change, at);
  const moves = change.namespace !== undefined;
  return {
    ...NOTHING,
    change,
    needs: typeof master === 'string' && !moves ? [name, master] : [name],
    // The kernel moves first, and looks for the bridge where the link is then.
    needsAtBirthplace: typeof master === 'string' && moves ? master : undefined,
    touches: rename !== undefined || master !== undefined || moves ? [name, ...(rename ? [rename] : [])] : [],
    slow: moves || change.up === false || master !== undefined,
    encode: (resolved) => {
      const { index } = resolved.link(name);
      const find = moves ? resolved.birthplaceLink : resolved.link;
      const bridge = typeof master === 'string' ? find(master).index : master === null ? 0 : undefined;
      const given = { ...own, name: rename, master: bridge, alias: change.alias };
      const messages = [setLink(index, { ...given, namespaceFd: resolved.namespaceFd })];
      if (filterBridged !== undefined)
        messages.push({ type: RTM_NEWLINK, flags: 0, payload: encodeFilterBridged(index, filterBridged) });
      if (hairpin === undefined) return messages;
      const port = { type: RTM_SETLINK, flags: 0, payload: encodeHairpin(index, hairpin) };
      return moves ? [port, ...messages] : [...messages, port];
    },
  };
}

function planAddress(change: Extract<Change, { op: 'addAddress' | 'deleteAddress' }>, at: string): Plan {
  requireLinkName(change.link, `${at}.link`);
  const cidr = parseCidr(change.address);
  if (!cidr) throw invalid(`${at}.address`, change.address, "must be an address with its prefix's length");
  const add = change.op === 'addAddress';
  const noDad = add && change.noDad === true;
  return {
    ...NOTHING,
    change,
    needs: [change.link],
    encode: (resolved) => [addressMessage(resolved.link(change.link).index, cidr, add, noDad)],
  };
}

function addressMessage(index: number, cidr: InterfaceAddress, add: boolean, noDad: boolean): Message {
  const payload = encodeAddress(index, cidr, noDad);
  return add ? { type: RTM_NEWADDR, flags: CREATE, payload } : { type: RTM_DELADDR, flags: 0, payload };
}

function planRoute(
  change: Change & RouteSpec,
  op: 'addRoute' | 'replaceRoute' | 'deleteRoute',
  at: string,
): Plan {
  const { family, link, scope, metric } = change;
  const destination = change.destination === 'default' ? undefined : parsePrefix(change.destination);
  if (change.destination !== 'default' && destination?.family !== family)
    throw invalid(`${at}.destination`, change.destination, `must be 'default' or an ${family} prefix`);
  const gateway = change.gateway === undefined ? undefined : parseAddress(change.gateway);
  if (change.gateway !== undefined && gateway?.family !== family)
    throw invalid(`${at}.gateway`, change.gateway, `must be an ${family} address`);
  if (link !== undefined) requireLinkName(link, `${at}.link`);
  if (metric !== undefined) requireRange(metric, 0, 0xffff_ffff, `${at}.metric`);
  return {
    ...NOTHING,
    change,
    needs: link === undefined ? [] : [link],
    encode: (resolved) => {
      const index = link === undefined ? undefined : resolved.link(link).index;
      const route = { family, destination, gateway, index, scope, metric };
      if (op === 'deleteRoute') return [{ type: RTM_DELROUTE, flags: 0, payload: encodeDeleteRoute(route) }];
      const flags = op === 'addRoute' ? CREATE : NLM_F_CREATE | NLM_F_REPLACE;
      return [{ type: RTM_NEWROUTE, flags, payload: encodeNewRoute(route) }];
    },
  };
}

function planNeighbour(
  change: Change & NeighbourSpec,
  op: 'setNeighbour' | 'deleteNeighbour',
  at: string,
): Plan {
  requireLinkName(change.link, `${at}.link`);
  const macAddress = macBytes(change.macAddress, `${at}.macAddress`);
  const address = change.address === undefined ? undefined : parseAddress(change.address);
  if (change.address !== undefined ? !address : !change.fdb)
    throw invalid(`${at}.address`, change.address, 'must be an address');
  // Entries for many receivers (zeros, multicast) hold a list of remotes: they are added to, never replaced.
  const manifold = macAddress.every((byte) => byte === 0) || ((macAddress[0] ?? 0) & 1) === 1;
  const flags = NLM_F_CREATE | (change.fdb && manifold ? NLM_F_APPEND : NLM_F_REPLACE);
  return {
    ...NOTHING,
    change,
    needs: [change.link],
    encode: (resolved) => {
      const { index, master } = resolved.link(change.link);
      const toBridge = address === undefined && master !== undefined;
      const fdb = change.fdb ? (toBridge ? 'master' : 'self') : undefined;
      const payload = encodeNeighbour({ index, address, macAddress, fdb });
      return [
        op === 'setNeighbour'
          ? { type: RTM_NEWNEIGH, flags, payload }
          : { type: RTM_DELNEIGH, flags: 0, payload },
      ];
    },
  };
}

interface Given {
  readonly name?: string | undefined;
  readonly macAddress?: string | undefined;
  readonly mtu?: number | undefined;
  readonly up?: boolean | undefined;
  readonly group?: number | undefined;
  readonly alias?: string | undefined;
}

function fields(given: Given, at: string): LinkFields {
  const { name, mtu, up, group, alias } = given;
  if (mtu !== undefined) requireRange(mtu, 1, 0x7fff_ffff, `${at}.mtu`);
  if (group !== undefined) requireRange(group, 0, 0x7fff_ffff, `${at}.group`);
  if (alias !== undefined && Buffer.byteLength(alias) > 255)
    throw invalid(`${at}.alias`, alias, 'must be at most 255 bytes');
  const macAddress =
    given.macAddress === undefined ? undefined : macBytes(given.macAddress, `${at}.macAddress`);
  return { name, macAddress, mtu, up, group };
}

function setLink(index: number, changed: LinkFields): Message {
  return { type: RTM_SETLINK, flags: 0, payload: encodeSetLink(index, changed) };
}

function choice<T extends string>(choices: Readonly<Record<T, number>>, value: T, field: string): number {
  const number = Object.hasOwn(choices, value) ? choices[value] : undefined;
  if (number === undefined) throw invalid(field, value, `must be one of ${Object.keys(choices).join(', ')}`);
  return number;
}
