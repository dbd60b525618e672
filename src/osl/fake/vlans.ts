/** VLANs of bridges that tell them apart (IEEE 802.1Q; net/bridge/br_vlan.c). */
import type { BridgeVlanSpec } from '../osl.ts';
import { needLink } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NetnsState, VlanState } from './state.ts';

/** What every port carries, and the bridge itself, until it is told otherwise. */
const DEFAULT: VlanState = { pvid: 1, carried: new Map([[1, { untagged: true }]]) };

/** Whether a bridge looks at the VLANs of frames at all. */
export function filtersVlans(bridge: LinkState): boolean {
  return bridge.spec?.kind === 'bridge' && bridge.spec.vlanFiltering === true;
}

/** Adds VLANs to a port, or to a bridge itself; what is there already takes the new settings. */
export function addBridgeVlan(netns: NetnsState, spec: BridgeVlanSpec): void {
  const { link, state } = vlansOf(netns, spec.link);
  let { pvid } = state;
  const carried = new Map(state.carried);
  for (let id = spec.id; id <= (spec.end ?? spec.id); id++) {
    carried.set(id, { untagged: spec.untagged === true });
    if (spec.pvid) pvid = id;
    else if (pvid === id) pvid = undefined;
  }
  link.vlans = { pvid, carried };
}

/** Takes VLANs off; those that are not there are passed over. */
export function deleteBridgeVlan(
  netns: NetnsState,
  { link: name, id, end = id }: Pick<BridgeVlanSpec, 'link' | 'id' | 'end'>,
): void {
  const { link, state } = vlansOf(netns, name);
  const isGone = (each: number | undefined) => each !== undefined && each >= id && each <= end;
  const carried = new Map([...state.carried].filter(([each]) => !isGone(each)));
  link.vlans = { pvid: isGone(state.pvid) ? undefined : state.pvid, carried };
}

function vlansOf(netns: NetnsState, name: string): { readonly link: LinkState; readonly state: VlanState } {
  const link = needLink(netns, name);
  if (link.kind !== 'bridge' && link.master === undefined) throw new Refusal('EOPNOTSUPP');
  return { link, state: link.vlans ?? DEFAULT };
}

/** The VLAN of a frame that comes in by a port, or from the bridge itself; `undefined` when it is dropped. */
export function admit(port: LinkState, tag: number | undefined): number | undefined {
  const { pvid, carried } = port.vlans ?? DEFAULT;
  const id = tag ?? pvid;
  return id !== undefined && carried.has(id) ? id : undefined;
}

/** How a frame of a VLAN goes out by a port, or up to the bridge itself; `undefined` when it does not. */
export function emit(port: LinkState, id: number): { readonly tag: number | undefined } | undefined {
  const vlan = (port.vlans ?? DEFAULT).carried.get(id);
  return vlan && { tag: vlan.untagged ? undefined : id };
}
