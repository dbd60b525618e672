/** Links: made, changed, moved, deleted, with the kernel's rules and errors (net/core/rtnetlink.c, dev.c). */
import { randomBytes } from 'node:crypto';
import type { LinkKind, LinkSpec } from '../osl.ts';
import { carrierChanged, forgetAddresses, linkDown, linkUp, loseIpv6 } from './addresses.ts';
import { joinBridge, leaveBridge, refreshBridge, takeFromPorts } from './bridges.ts';
import { checkMac, checkMtu } from './limits.ts';
import { addLink, findLink, needLink, portsOf } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NetnsState } from './state.ts';
import { addLinkSysctls, removeLinkSysctls, renameLinkSysctls } from './sysctls.ts';

/** RFC 8200, section 5. */
export const MIN_IPV6_MTU = 1280;

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
  if (findLink(target, request.name)) throw new Refusal('EEXIST');
  const mac = request.macAddress === undefined ? undefined : checkMac(request.macAddress);
  if (request.mtu !== undefined) checkMtu(spec.kind, request.mtu);
  const parent = 'parent' in spec ? needLink(netns, spec.parent) : undefined;
  if (parent !== undefined) checkParent(spec, parent);
  if (spec.kind === 'vxlan') checkVxlan(netns, spec);
  const peer = spec.kind === 'veth' ? createPeer(request, spec) : undefined;
  const link = addLink(target, request.name, {
    kind: spec.kind,
    origin: netns,
    spec,
    parent,
    mac: mac ?? (spec.kind === 'ipvlan' || spec.kind === 'vlan' ? parent?.mac : randomMac()),
    macChosen: mac !== undefined,
    mtu: request.mtu ?? defaultMtu(spec.kind, parent),
    group: request.group,
  });
  if (peer !== undefined) {
    link.peer = peer;
    peer.peer = link;
  }
  parent?.uppers.add(link);
  if (spec.kind === 'vxlan') netns.tunnels.add(link);
  try {
    if (request.master !== undefined) joinBridge(link, needLink(target, request.master));
    if (request.up) setUp(link);
  } catch (error) {
    removeLink(link);
    throw error;
  }
}

/** A veth's far end is registered first, so it has the lower index. */
function createPeer(request: LinkRequest, spec: LinkSpec & { kind: 'veth' }): LinkState {
  const { peer } = spec;
  const mac = peer.macAddress === undefined ? undefined : checkMac(peer.macAddress);
  if (peer.mtu !== undefined) checkMtu('veth', peer.mtu);
  const sameName = request.peerTarget === request.target && peer.name === request.name;
  if (sameName || findLink(request.peerTarget, peer.name)) throw new Refusal('EEXIST');
  return addLink(request.peerTarget, peer.name, {
    kind: 'veth',
    mac: mac ?? randomMac(),
    macChosen: mac !== undefined,
    mtu: peer.mtu ?? 1500,
    group: request.group,
  });
}

function checkParent(spec: LinkSpec, parent: LinkState): void {
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

function checkVxlan(netns: NetnsState, spec: LinkSpec & { kind: 'vxlan' }): void {
  if (spec.id < 0 || spec.id >= 2 ** 24) throw new Refusal('ERANGE', 'Invalid VXLAN identifier');
  for (const { spec: other } of netns.tunnels) {
    if (other?.kind === 'vxlan' && other.id === spec.id && other.port === spec.port)
      throw new Refusal('EEXIST', 'A VXLAN device with the specified VNI already exists');
  }
}

function defaultMtu(kind: LinkKind, parent: LinkState | undefined): number {
  return parent?.mtu ?? (kind === 'vxlan' ? 1450 : 1500);
}

/** A locally administered unicast address. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 2;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

export function setUp(link: LinkState): void {
  if (link.up) return;
  const { parent } = link;
  if (parent !== undefined && !parent.up) throw new Refusal('ENETDOWN');
  link.up = true;
  linkUp(link);
  refreshCarriers(link);
}

export function setDown(link: LinkState): void {
  if (!link.up) return;
  link.up = false;
  linkDown(link);
  for (const upper of [...link.uppers]) setDown(upper);
  refreshCarriers(link);
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
    throw new Refusal('EINVAL');
  link.mtu = mtu;
  if (link.kind === 'bridge') link.mtuChosen = true;
  if (link.master !== undefined) takeFromPorts(link.master);
  if (mtu < MIN_IPV6_MTU) loseIpv6(link);
  else carrierChanged(link);
}

export function setMac(link: LinkState, mac: string): void {
  link.mac = checkMac(mac);
  link.macChosen = true;
  if (link.master !== undefined) takeFromPorts(link.master);
}

export function setMaster(link: LinkState, master: string | null): void {
  if (master === null) leaveBridge(link);
  else joinBridge(link, needLink(link.home, master));
  refreshCarriers(link);
}

export function renameLink(link: LinkState, name: string, whileUp: boolean): void {
  if (name === link.name) return;
  if (link.up && !whileUp) throw new Refusal('EBUSY', 'the link must be down to be renamed');
  if (findLink(link.home, name)) throw new Refusal('EEXIST');
  renameLinkSysctls(link, name);
  link.name = name;
}

export function setAlias(link: LinkState, alias: string): void {
  link.alias = alias === '' ? undefined : alias;
}

export function setHairpin(link: LinkState, hairpin: boolean): void {
  if (link.master === undefined) throw new Refusal('EINVAL', 'not a port of a bridge');
  link.hairpin = hairpin;
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
  link.home.links.delete(link.index);
  while (target.links.has(link.index)) link.index = target.nextIndex++;
  link.home = target;
  target.links.set(link.index, link);
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
  for (const port of portsOf(link)) leaveBridge(port);
  leaveBridge(link);
  forgetAddresses(link);
  removeLinkSysctls(link);
  link.home.links.delete(link.index);
  link.parent?.uppers.delete(link);
  link.origin.tunnels.delete(link);
  const { peer } = link;
  link.peer = undefined;
  if (peer !== undefined) {
    peer.peer = undefined;
    removeLink(peer);
  }
}
