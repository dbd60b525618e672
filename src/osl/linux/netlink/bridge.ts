import { eachAttribute, readNumber, requireLength, Writer } from './attributes.ts';

/** linux/if_link.h, linux/if_bridge.h, linux/rtnetlink.h */
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_BR_FORWARD_DELAY = 1;
const IFLA_BR_STP_STATE = 5;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_MCAST_SNOOPING = 23;
const IFLA_BR_NF_CALL_IPTABLES = 36;
const IFLA_BR_NF_CALL_IP6TABLES = 37;
const IFLA_BRIDGE_FLAGS = 0;
const IFLA_BRIDGE_VLAN_INFO = 2;
const BRIDGE_FLAGS_MASTER = 1;
const BRIDGE_FLAGS_SELF = 2;
const VLAN_PVID = 1 << 1;
const VLAN_UNTAGGED = 1 << 2;
const VLAN_RANGE_BEGIN = 1 << 3;
const VLAN_RANGE_END = 1 << 4;
const RTEXT_FILTER_BRVLAN = 1 << 1;
const AF_BRIDGE = 7;
const HEADER = 16;
/** The kernel counts a bridge's times in hundredths of a second (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** A bridge's settings; what is not named has the kernel's default. */
export interface BridgeOptions {
  readonly vlanFiltering?: boolean | undefined;
  readonly stp?: boolean | undefined;
  /** In seconds. */
  readonly forwardDelay?: number | undefined;
  readonly multicastSnooping?: boolean | undefined;
}

export function hasBridgeOptions(options: BridgeOptions): boolean {
  const { vlanFiltering, stp, forwardDelay, multicastSnooping } = options;
  return [vlanFiltering, stp, forwardDelay, multicastSnooping].some((each) => each !== undefined);
}

/** Writes the content of a bridge's IFLA_INFO_DATA. */
export function writeBridgeOptions(writer: Writer, options: BridgeOptions): void {
  const { forwardDelay, stp, vlanFiltering, multicastSnooping } = options;
  if (forwardDelay !== undefined)
    writer.attrU32(IFLA_BR_FORWARD_DELAY, Math.round(forwardDelay * TICKS_PER_SECOND));
  if (stp !== undefined) writer.attrU32(IFLA_BR_STP_STATE, Number(stp));
  if (vlanFiltering !== undefined) writer.attrU8(IFLA_BR_VLAN_FILTERING, Number(vlanFiltering));
  if (multicastSnooping !== undefined) writer.attrU8(IFLA_BR_MCAST_SNOOPING, Number(multicastSnooping));
}

/** A bridge's settings as an RTM_NEWLINK tells them, without those that the kernel was built without. */
export function decodeBridgeOptions(data: Buffer): BridgeOptions | undefined {
  requireLength(data, HEADER);
  let isBridge = false;
  let options: BridgeOptions = {};
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type !== IFLA_LINKINFO) return;
    eachAttribute(data, start, end, (inner, from, to) => {
      if (inner === IFLA_INFO_KIND) isBridge = data.toString('latin1', from, to) === 'bridge\0';
      else if (inner === IFLA_INFO_DATA && isBridge) options = readOptions(data, from, to);
    });
  });
  return isBridge ? options : undefined;
}

function readOptions(data: Buffer, start: number, end: number): BridgeOptions {
  const numbers = new Map<number, number>();
  eachAttribute(data, start, end, (type, from, to) => {
    if (OPTIONS.has(type)) numbers.set(type, readNumber(data, from, to));
  });
  const flag = (type: number) => (numbers.has(type) ? numbers.get(type) !== 0 : undefined);
  const delay = numbers.get(IFLA_BR_FORWARD_DELAY);
  return {
    vlanFiltering: flag(IFLA_BR_VLAN_FILTERING),
    stp: flag(IFLA_BR_STP_STATE),
    forwardDelay: delay === undefined ? undefined : delay / TICKS_PER_SECOND,
    multicastSnooping: flag(IFLA_BR_MCAST_SNOOPING),
  };
}

const OPTIONS: ReadonlySet<number> = new Set([
  IFLA_BR_FORWARD_DELAY,
  IFLA_BR_STP_STATE,
  IFLA_BR_VLAN_FILTERING,
  IFLA_BR_MCAST_SNOOPING,
]);

/** The payload of RTM_NEWLINK that has a bridge show the packet filter what passes from port to port, or not. */
export function encodeFilterBridged(index: number, on: boolean): Buffer {
  const writer = new Writer(64);
  writer.u8(0).u8(0).u16(0).u32(index).u32(0).u32(0);
  writer.nest(IFLA_LINKINFO, (info) => {
    info.attrString(IFLA_INFO_KIND, 'bridge');
    info.nest(IFLA_INFO_DATA, (data) => {
      for (const type of [IFLA_BR_NF_CALL_IPTABLES, IFLA_BR_NF_CALL_IP6TABLES]) data.attrU8(type, Number(on));
    });
  });
  return writer.finish();
}

/** VLANs that a bridge port carries, from `id` to `end`. */
export interface BridgeVlan {
  /** 1 to 4094. */
  readonly id: number;
  /** The last of a range; default: `id` alone. */
  readonly end?: number | undefined;
  /** Frames that come in without a tag belong to this VLAN. One at most, never a range. */
  readonly pvid?: boolean | undefined;
  /** Frames of this VLAN go out without a tag. */
  readonly untagged?: boolean | undefined;
}

/**
 * The payload of RTM_SETLINK that adds VLANs to a port, and of RTM_DELLINK that takes them off.
 * @param on `port`: of a bridge; `bridge`: the bridge itself, as the port that its own addresses are at
 */
export function encodeBridgeVlan(index: number, vlan: BridgeVlan, on: 'port' | 'bridge'): Buffer {
  const { id, end = id } = vlan;
  const flags = (vlan.pvid ? VLAN_PVID : 0) | (vlan.untagged ? VLAN_UNTAGGED : 0);
  const writer = new Writer(64);
  writeHeader(writer, index);
  writer.nest(
    IFLA_AF_SPEC,
    (w) => {
      w.attrU16(IFLA_BRIDGE_FLAGS, on === 'port' ? BRIDGE_FLAGS_MASTER : BRIDGE_FLAGS_SELF);
      if (end === id) return writeVlan(w, flags, id);
      writeVlan(w, flags | VLAN_RANGE_BEGIN, id);
      writeVlan(w, flags | VLAN_RANGE_END, end);
    },
    true,
  );
  return writer.finish();
}

/** `struct bridge_vlan_info`: u16 flags, u16 VLAN. */
function writeVlan(writer: Writer, flags: number, id: number): void {
  writer.attrU32(IFLA_BRIDGE_VLAN_INFO, flags | (id << 16));
}

/** The payload of an RTM_GETLINK dump of all bridge ports with their VLANs. */
export function encodeGetBridgeVlans(): Buffer {
  const writer = new Writer(64);
  writeHeader(writer, 0);
  return writer.attrU32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN).finish();
}

/** A port, or a bridge itself, and what it carries, one VLAN each. */
export interface PortVlans {
  readonly index: number;
  readonly vlans: readonly Required<Omit<BridgeVlan, 'end'>>[];
}

/** Decodes what answers `encodeGetBridgeVlans`. @throws INTERNAL for what is no link message */
export function decodeBridgeVlans(data: Buffer): PortVlans {
  requireLength(data, HEADER);
  const vlans: PortVlans['vlans'][number][] = [];
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type !== IFLA_AF_SPEC) return;
    eachAttribute(data, start, end, (inner, from, to) => {
      if (inner !== IFLA_BRIDGE_VLAN_INFO || to - from !== 4) return;
      const flags = data.readUInt16LE(from);
      const id = data.readUInt16LE(from + 2);
      vlans.push({ id, pvid: (flags & VLAN_PVID) !== 0, untagged: (flags & VLAN_UNTAGGED) !== 0 });
    });
  });
  return { index: data.readInt32LE(4), vlans };
}

function writeHeader(writer: Writer, index: number): void {
  writer.u8(AF_BRIDGE).u8(0).u16(0).u32(index).u32(0).u32(0);
}
