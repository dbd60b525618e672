/** Links: made, changed, moved, deleted, with the kernel's rules and errors (net/core/rtnetlink.c, dev.c). */
import { randomBytes } from 'node:crypto';
import { isSameSocket, underlayFamily } from '../checks/vxlan.ts';
import type { LinkSpec, VxlanSpec } from '../osl.ts';
import { carrierChanged, forgetAddresses, linkDown, linkUp } from './addresses.ts';
import { joinBridge, leaveBridge, refreshBridge } from './bridges.ts';
import { takeMac, takeMtu, takesMac } from './inherit.ts';
import { checkMac, checkMtu, DEFAULT_MTU } from './limits.ts';
import { addLink, enterLink, findLink, needLink, portsOf, strikeLink } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NetnsState } from './state.ts';
import { addLinkSysctls, removeLinkSysctls, renameLinkSysctls } from './sysctls.ts';

/** A `CreateLink` whose namespaces are looked up already. */
export interface LinkRequest {
  readonly name: string;
  readonly spec: LinkSpec;
  readonly macAddress?: string | undefined;
  readonly mtu?: number | undefined;
  readonly master?: string | undefined;
  readonly up?: boolean | undefined;
  readonly group?: number | undefined;
  readonly target: NetnsState;
  readonly peerTarget: NetnsState;
}

/** Makes a link; at any refusal nothing of it is left. `netns` is where the request is made, parents are looked up there. */
export function createLink(netns: NetnsState, request: LinkRequest): void {
  const { spec, target } = request;
  const lower = 'parent' in spec && spec.parent !== undefined ? needLink(netns, spec.parent) : undefined;
  const parent = spec.kind === 'vxlan' ? undefined : lower && lowerOf(lower, spec);
  const master = request.master === undefined ? undefined : needLink(target, request.master);
  const mac = request.macAddress === undefined ? undefined : checkMac(request.macAddress);
  // Some kinds check their MTU, and that of their peer, before the name is looked up; others after.
  if (spec.kind === 'veth') checkPeer(spec.peer);
  const early = spec.kind === 'veth' || spec.kind === 'vxlan';
  if (early && request.mtu !== undefined) checkMtu(spec.kind, request.mtu);
  if (findLink(target, request.name)) throw new Refusal('EEXIST');
  if (request.mtu !== undefined) checkMtu(spec.kind, request.mtu);
  if (parent !== undefined) checkParent(spec, parent, request.mtu);
  if (spec.kind === 'vxlan') checkVxlan(netns, spec);
  const peer = spec.kind === 'veth' ? createPeer(request, spec) : undefined;
  const link = addLink(target, request.name, {
    kind: spec.kind,
    origin: netns,
    spec,
    parent,
    lower: spec.kind === 'vxlan' ? lower : undefined,
    mac: takesMac(spec) ? parent?.mac : (mac ?? randomMac()),
    macChosen: mac !== undefined,
    mtu: firstMtu(request, parent, lower),
    group: request.group,
  });
  if (peer !== undefined) {
    link.peer = peer;
    peer.peer = link;
  }
  parent?.uppers.add(link);
  if (spec.kind === 'vxlan') netns.tunnels.add(link);
  try {
    if (master !== undefined) joinBridge(link, master);
    if (request.up) setUp(link);
  } catch (error) {
    removeLink(link);
    throw error;
  }
}

/** What a tunnel's outer packets add: Ethernet, IP, UDP, and VXLAN headers (vxlan_headroom). */
const HEADROOM = { ipv4: 50, ipv6: 70 } as const;

function firstMtu({ spec, mtu }: LinkRequest, parent?: LinkState, lower?: LinkState): number {
  if (spec.kind !== 'vxlan' || lower === undefined) return mtu ?? parent?.mtu ?? DEFAULT_MTU;
  const room = lower.mtu - HEADROOM[underlayFamily(spec)];
  return Math.min(mtu ?? room, room);
}

/** A macvlan on a macvlan is a sibling of it. */
function lowerOf(parent: LinkState, spec: LinkSpec): LinkState {
  return (spec.kind === parent.kind ? parent.parent : undefined) ?? parent;
}

type VethSpec = LinkSpec & { readonly kind: 'veth' };

function checkPeer(peer: VethSpec['peer']): void {
  if (peer.macAddress !== undefined) checkMac(peer.macAddress);
  if (peer.mtu !== undefined) checkMtu('veth', peer.mtu);
}

/** A veth's far end is registered first, so it has the lower index. */
function createPeer(request: LinkRequest, { peer }: VethSpec): LinkState {
  const sameName = request.peerTarget === request.target && peer.name === request.name;
  if (sameName || findLink(request.peerTarget, peer.name)) throw new Refusal('EEXIST');
  return addLink(request.peerTarget, peer.name, {
    kind: 'veth',
    mac: peer.macAddress?.toLowerCase() ?? randomMac(),
    macChosen: peer.macAddress !== undefined,
    mtu: peer.mtu ?? DEFAULT_MTU,
  });
}

function checkParent(spec: LinkSpec, parent: LinkState, mtu: number | undefined): void {
  if (spec.kind !== 'ipvlan' && mtu !== undefined && mtu > parent.mtu) throw new Refusal('EINVAL');
  const children = [...parent.uppers];
  switch (spec.kind) {
    case 'vlan':
      if (spec.id < 0 || spec.id > 4094) throw new Refusal('ERANGE', 'Invalid VLAN id');
      if (parent.kind === 'loopback') throw new Refusal('EOPNOTSUPP', 'VLANs not supported on device');
      if (children.some((child) => child.spec?.kind === 'vlan' && child.spec.id === spec.id))
        throw new Refusal('EEXIST', 'VLAN device already exists');
      return;
    case 'macvlan':
    case 'ipvlan': {
      if (parent.kind === 'loopback') throw new Refusal('EINVAL');
      const rival = spec.kind === 'macvlan' ? 'ipvlan' : 'macvlan';
      if (parent.master !== undefined || children.some((child) => child.kind === rival))
        throw new Refusal('EBUSY');
      const passthru = children.some((c) => c.spec?.kind === 'macvlan' && c.spec.mode === 'passthru');
      const wantsAll = spec.kind === 'macvlan' && spec.mode === 'passthru';
      if (passthru || (wantsAll && children.some((c) => c.kind === 'macvlan'))) throw new Refusal('EINVAL');
      return;
    }
  }
}

/** One socket takes packets of a family, with checksum or without: there, a number may be used once. */
function checkVxlan(netns: NetnsState, spec: VxlanSpec): void {
  for (const { spec: other } of netns.tunnels) {
    if (other?.kind === 'vxlan' && other.id === spec.id && isSameSocket(other, spec))
      throw new Refusal('EEXIST', 'A VXLAN device with the specified VNI already exists');
  }
}

/** A locally administered unicast address. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 2;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

export function setUp(link: LinkState): void {
  if (link.up) return;
  if (link.kind === 'vlan' && link.parent?.up === false) throw new Refusal('ENETDOWN');
  if (link.kind === 'macvlan' && isMacTaken(link)) throw new Refusal('EADDRINUSE');
  link.up = true;
  linkUp(link);
  // A vlan follows the link below it, up and down.
  for (const vlan of vlansOn(link)) setUp(vlan);
  refreshCarriers(link);
}

export function setDown(link: LinkState): void {
  if (!link.up) return;
  link.up = false;
  linkDown(link);
  for (const vlan of vlansOn(link)) setDown(vlan);
  refreshCarriers(link);
}

function vlansOn(link: LinkState): readonly LinkState[] {
  return [...link.uppers].filter((upper) => upper.kind === 'vlan');
}

/** Frames are told apart by MAC: a macvlan may not have that of the link below, nor of a sibling that is up. */
function isMacTaken(link: LinkState, mac = link.mac): boolean {
  if (link.parent === undefined || takesMac(link.spec)) return false;
  const others = [link.parent, ...[...link.parent.uppers].filter((other) => other !== link && other.up)];
  return others.some((other) => other.mac === mac);
}

/** Carries a change of a link's carrier on: to its far end, its bridge and theirs, and what lies on top. */
function refreshCarriers(link: LinkState): void {
  for (const end of [link, link.peer]) {
    if (end?.master !== undefined) refreshBridge(end.master);
    for (const affected of [end, end?.master, ...(end?.uppers ?? [])]) {
      if (affected !== undefined) carrierChanged(affected);
    }
  }
}

export function setMtu(link: LinkState, mtu: number): void {
  checkMtu(link.kind, mtu);
  if (link.parent !== undefined && mtu > link.parent.mtu && link.kind !== 'ipvlan')
    throw new Refusal(link.kind === 'vlan' ? 'ERANGE' : 'EINVAL');
  if (link.kind === 'bridge') link.mtuChosen = true;
  takeMtu(link, mtu);
}

export function setMac(link: LinkState, mac: string): void {
  const checked = checkMac(mac);
  // A passthru macvlan has the MAC of the link below, and changes it.
  const owner = takesMac(link.spec) && link.kind === 'macvlan' ? (link.parent ?? link) : link;
  if (owner.kind === 'macvlan' && owner.up && isMacTaken(owner, checked)) throw new Refusal('EADDRINUSE');
  owner.macChosen = true;
  takeMac(owner, checked);
}

/** Makes a link a port of a bridge, or of none. */
export function setMaster(link: LinkState, master: LinkState | undefined): void {
  if (master === undefined) leaveBridge(link);
  else joinBridge(link, master);
  refreshCarriers(link);
}

export function renameLink(link: LinkState, name: string, whileUp: boolean): void {
  if (name === link.name) return;
  if (link.up && !whileUp) throw new Refusal('EBUSY', 'the link must be down to be renamed');
  if (findLink(link.home, name)) throw new Refusal('EEXIST');
  renameLinkSysctls(link, name);
  link.home.linksByName.delete(link.name);
  link.name = name;
  link.home.linksByName.set(name, link);
}

export function setAlias(link: LinkState, alias: string): void {
  link.alias = alias === '' ? undefined : alias;
}

export function setHairpin(link: LinkState, hairpin: boolean): void {
  if (link.master === undefined) throw new Refusal('EOPNOTSUPP', 'not a port of a bridge');
  link.hairpin = hairpin;
}

export function setFilterBridged(link: LinkState, on: boolean): void {
  if (link.kind !== 'bridge') throw new Refusal('EOPNOTSUPP', 'not a bridge');
  link.filterBridged = on;
}

/** Moves a link; it arrives down, alone, and without addresses. */
export function moveLink(link: LinkState, target: NetnsState): void {
  if (link.home === target) return;
  if (link.kind === 'loopback' || link.kind === 'bridge')
    throw new Refusal('EINVAL', 'The interface netns is immutable');
  if (findLink(target, link.name))
    throw new Refusal('EEXIST', 'An interface with the same name exists in the target netns');
  setDown(link);
  leaveBridge(link);
  forgetAddresses(link);
  removeLinkSysctls(link);
  strikeLink(link);
  while (target.links.has(link.index)) link.index = target.nextIndex++;
  link.home = target;
  enterLink(link);
  addLinkSysctls(link);
}

export function deleteLink(netns: NetnsState, name: string): boolean {
  const link = findLink(netns, name);
  if (link === undefined) return false;
  if (link.kind === 'loopback') throw new Refusal('EOPNOTSUPP');
  removeLink(link);
  return true;
}

/** Takes a link out, with what can't be without it: a veth's other end, a bridge's memberships, links on top. */
export function removeLink(link: LinkState): void {
  if (!link.home.links.has(link.index)) return;
  setDown(link);
  for (const upper of [...link.uppers]) removeLink(upper);
  for (const tunnel of [...link.home.tunnels]) if (tunnel.lower === link) removeLink(tunnel);
  for (const port of portsOf(link)) leaveBridge(port);
  leaveBridge(link);
  forgetAddresses(link);
  removeLinkSysctls(link);
  strikeLink(link);
  link.parent?.uppers.delete(link);
  link.origin.tunnels.delete(link);
  const { peer } = link;
  link.peer = undefined;
  if (peer !== undefined) {
    peer.peer = undefined;
    removeLink(peer);
  }
}
