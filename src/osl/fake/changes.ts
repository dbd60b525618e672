/** Carries out one `Change` of the osl contract. */
import type { Change, CreateLink, Namespace, SetLink } from '../osl.ts';
import { addAddress, deleteAddress } from './addresses.ts';
import {
  createLink,
  moveLink,
  renameLink,
  setAlias,
  setDown,
  setFilterBridged,
  setHairpin,
  setMac,
  setMaster,
  setMtu,
  setUp,
} from './links.ts';
import { deleteNeighbour, setNeighbour } from './neighbours.ts';
import { needLink } from './netns.ts';
import { addRoute, deleteRoute, replaceRoute } from './routes.ts';
import type { NetnsState } from './state.ts';
import { addBridgeVlan, deleteBridgeVlan } from './vlans.ts';

/** What a change needs to know beside the namespace it is made in. */
export interface Surroundings {
  /** The data behind a namespace handle. */
  readonly stateOf: (namespace: Namespace) => NetnsState;
  /** Linux 6.2 and later rename links that are up. */
  readonly renamesWhileUp: boolean;
}

/** What the kernel is asked for one change, each a request of its own. */
export function requests(netns: NetnsState, change: Change, around: Surroundings): readonly Request[] {
  let done = false;
  const send = (): void => {
    applyChange(netns, change, around);
    done = true;
  };
  if (change.op !== 'createLink' || change.alias === undefined) return [{ name: change.op, send }];
  // The request that creates a link takes no alias: a crash may leave the link without it. A link that was there
  // already is not ours to stamp.
  const { alias } = change;
  const target = change.namespace === undefined ? netns : around.stateOf(change.namespace);
  const stamp = (): void => setAlias(needLink(target, change.name), alias);
  return [
    { name: change.op, send },
    { name: 'createLink alias', send: stamp, needed: () => done },
  ];
}

export interface Request {
  readonly name: string;
  readonly send: () => void;
  /** False where it has lost its sense by the failure of the one before it. Default: needed. */
  readonly needed?: () => boolean;
}

function applyChange(netns: NetnsState, change: Change, around: Surroundings): void {
  switch (change.op) {
    case 'createLink':
      create(netns, change, around);
      break;
    case 'setLink':
      set(netns, change, around);
      break;
    case 'addAddress':
      addAddress(netns, change.link, change.address);
      break;
    case 'deleteAddress':
      deleteAddress(netns, change.link, change.address);
      break;
    case 'addBridgeVlan':
      addBridgeVlan(netns, change);
      break;
    case 'deleteBridgeVlan':
      deleteBridgeVlan(netns, change);
      break;
    case 'addRoute':
      addRoute(netns, change);
      break;
    case 'replaceRoute':
      replaceRoute(netns, change);
      break;
    case 'deleteRoute':
      deleteRoute(netns, change);
      break;
    case 'setNeighbour':
      setNeighbour(netns, change);
      break;
    case 'deleteNeighbour':
      deleteNeighbour(netns, change);
      break;
  }
}

function create(netns: NetnsState, change: CreateLink, around: Surroundings): void {
  const target = change.namespace === undefined ? netns : around.stateOf(change.namespace);
  const peerNamespace = change.link.kind === 'veth' ? change.link.peer.namespace : undefined;
  createLink(netns, {
    name: change.name,
    spec: change.link,
    macAddress: change.macAddress,
    mtu: change.mtu,
    master: change.master,
    up: change.up,
    group: change.group,
    target,
    peerTarget: peerNamespace === undefined ? netns : around.stateOf(peerNamespace),
  });
}

/** In the kernel's order (do_setlink): the move first, then the link's own values, its bridge, and its state. */
function set(netns: NetnsState, change: SetLink, around: Surroundings): void {
  const link = needLink(netns, change.name);
  const master = typeof change.master === 'string' ? needLink(netns, change.master) : undefined;
  if (change.namespace !== undefined) moveLink(link, around.stateOf(change.namespace));
  if (change.macAddress !== undefined) setMac(link, change.macAddress);
  if (change.mtu !== undefined) setMtu(link, change.mtu);
  if (change.group !== undefined) link.group = change.group;
  if (change.rename !== undefined) renameLink(link, change.rename, around.renamesWhileUp);
  if (change.alias !== undefined) setAlias(link, change.alias);
  if (change.master !== undefined) setMaster(link, master);
  if (change.up === true) setUp(link);
  if (change.up === false) setDown(link);
  if (change.filterBridged !== undefined) setFilterBridged(link, change.filterBridged);
  if (change.hairpin !== undefined) setHairpin(link, change.hairpin);
}
