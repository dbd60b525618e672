import {
  type BridgeOptions,
  decodeBridgeOptions,
  decodeBridgeVlans,
  encodeGetBridgeVlans,
  type PortVlans,
} from './netlink/bridge.ts';
import { encodeGetLink, RTM_GETLINK } from './netlink/link.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { dumpLinks } from './tables.ts';
import { requireLinkName } from './values.ts';

/** What a bridge's port carries, one VLAN each. */
export type CarriedVlan = PortVlans['vlans'][number];

/** A bridge's settings, without those that the kernel was built without; `undefined` for what is no bridge. */
export async function readBridge(socket: NetlinkSocket, name: string): Promise<BridgeOptions | undefined> {
  requireLinkName(name, 'name');
  const payload = encodeGetLink({ name }, false);
  const [reply] = await socket.request([
    { type: RTM_GETLINK, flags: 0, payload, operation: `read bridge ${name}` },
  ]);
  if (reply?.error && reply.error.errno !== 'ENODEV') throw reply.error;
  const found = reply?.payloads[0];
  return found && decodeBridgeOptions(found);
}

/** The VLANs of all bridges and their ports, by the link's name. Links that carry none are left out. */
export async function readBridgeVlans(
  socket: NetlinkSocket,
): Promise<ReadonlyMap<string, readonly CarriedVlan[]>> {
  const operation = 'list VLANs of bridges';
  const payload = encodeGetBridgeVlans();
  const payloads = await socket.dump({ type: RTM_GETLINK, flags: 0, payload, operation });
  const names = new Map((await dumpLinks(socket, false)).map(({ index, name }) => [index, name]));
  const found = new Map<string, readonly CarriedVlan[]>();
  for (const { index, vlans } of payloads.map(decodeBridgeVlans)) {
    const name = names.get(index);
    if (name !== undefined && vlans.length > 0) found.set(name, vlans);
  }
  return found;
}
