/** What is refused before anything is asked of the kernel: the whole of an `apply` is checked first. */
import { invalid } from '../../errors.ts';
import { familyOf, parseAddress, parseCidr, parsePrefix } from '../../ip.ts';
import { checkVxlan } from '../checks/vxlan.ts';
import type { BridgeVlanSpec, Change, CreateLink, LinkSpec, NeighbourSpec, RouteSpec } from '../osl.ts';

const MAX_NAME_BYTES = 15;
const MAX_ALIAS_BYTES = 255;

/** @throws INVALID_ARGUMENT naming the field as `changes[2].address` */
export function validate(changes: readonly Change[]): void {
  for (const [i, change] of changes.entries()) validateChange(change, `changes[${i}]`);
}

function validateChange(change: Change, at: string): void {
  switch (change.op) {
    case 'createLink':
      validateCreate(change, at);
      break;
    case 'setLink':
      checkName(change.name, `${at}.name`);
      if (change.rename !== undefined) checkName(change.rename, `${at}.rename`);
      if (typeof change.master === 'string') checkName(change.master, `${at}.master`);
      checkValues(change, at);
      break;
    case 'addAddress':
    case 'deleteAddress':
      checkName(change.link, `${at}.link`);
      if (parseCidr(change.address) === undefined)
        throw invalid(`${at}.address`, change.address, 'must be an address with the length of its prefix');
      break;
    case 'addBridgeVlan':
      validateVlans(change, at);
      if (change.pvid && change.end !== undefined && change.end !== change.id)
        throw invalid(`${at}.pvid`, change.pvid, 'must be of one VLAN, not of a range');
      break;
    case 'deleteBridgeVlan':
      validateVlans(change, at);
      break;
    case 'addRoute':
    case 'replaceRoute':
    case 'deleteRoute':
      validateRoute(change, at);
      break;
    case 'setNeighbour':
    case 'deleteNeighbour':
      validateNeighbour(change, at);
      break;
  }
}

function validateVlans(change: Pick<BridgeVlanSpec, 'link' | 'id' | 'end'>, at: string): void {
  checkName(change.link, `${at}.link`);
  checkRange(change.id, 1, 4094, `${at}.id`);
  if (change.end !== undefined) checkRange(change.end, change.id, 4094, `${at}.end`);
}

function validateCreate(change: CreateLink, at: string): void {
  checkName(change.name, `${at}.name`);
  if (change.master !== undefined) checkName(change.master, `${at}.master`);
  checkValues(change, at);
  validateSpec(change.link, `${at}.link`);
}

function validateSpec(link: LinkSpec, at: string): void {
  if ('parent' in link && link.parent !== undefined) checkName(link.parent, `${at}.parent`);
  if (link.kind === 'veth') {
    checkName(link.peer.name, `${at}.peer.name`);
    checkValues(link.peer, `${at}.peer`);
  }
  if (link.kind === 'bridge' && link.forwardDelay !== undefined) {
    const [low, high] = link.stp ? [2, 30] : [0, 30];
    if (!(link.forwardDelay >= low && link.forwardDelay <= high))
      throw invalid(`${at}.forwardDelay`, link.forwardDelay, `must be ${low} to ${high} seconds`);
  }
  if (link.kind === 'vlan') checkRange(link.id, 1, 4094, `${at}.id`);
  if (link.kind === 'vxlan') checkVxlan(link, at);
}

interface Values {
  readonly macAddress?: string | undefined;
  readonly mtu?: number | undefined;
  readonly group?: number | undefined;
  readonly alias?: string | undefined;
}

function checkValues({ macAddress, mtu, group, alias }: Values, at: string): void {
  if (macAddress !== undefined) checkMacText(macAddress, `${at}.macAddress`);
  if (mtu !== undefined) checkRange(mtu, 1, 2 ** 31 - 1, `${at}.mtu`);
  if (group !== undefined) checkRange(group, 0, 2 ** 31 - 1, `${at}.group`);
  if (alias !== undefined && Buffer.byteLength(alias) > MAX_ALIAS_BYTES)
    throw invalid(`${at}.alias`, alias, `must be at most ${MAX_ALIAS_BYTES} bytes`);
}

function validateRoute(route: RouteSpec, at: string): void {
  const { destination, family, gateway } = route;
  if (destination !== 'default' && parsePrefix(destination)?.family !== family)
    throw invalid(`${at}.destination`, destination, `must be 'default' or a prefix of ${family}`);
  if (gateway !== undefined && familyOf(gateway) !== family)
    throw invalid(`${at}.gateway`, gateway, `must be an address of ${family}`);
  if (route.link !== undefined) checkName(route.link, `${at}.link`);
  if (route.metric !== undefined) checkRange(route.metric, 0, 2 ** 32 - 1, `${at}.metric`);
}

function validateNeighbour(spec: NeighbourSpec, at: string): void {
  checkName(spec.link, `${at}.link`);
  checkMacText(spec.macAddress, `${at}.macAddress`);
  const missing = spec.address === undefined && !spec.fdb;
  if (missing || (spec.address !== undefined && parseAddress(spec.address) === undefined))
    throw invalid(`${at}.address`, spec.address, 'must be an address');
}

function checkName(name: string, field: string): void {
  const size = Buffer.byteLength(name);
  if (size === 0 || size > MAX_NAME_BYTES)
    throw invalid(field, name, `must be a name of 1 to ${MAX_NAME_BYTES} bytes`);
  if (name === '.' || name === '..' || /[/:\s\0]/.test(name))
    throw invalid(field, name, 'must not hold slashes, colons or spaces');
}

function checkMacText(mac: string, field: string): void {
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(mac))
    throw invalid(field, mac, 'must be six pairs of hex digits with colons');
}

function checkRange(value: number, least: number, most: number, field: string): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw invalid(field, value, `must be a whole number from ${least} to ${most}`);
}
