import type { VxlanSpec } from '../../link.ts';
import { eachAttribute, readNumber, type Writer } from './attributes.ts';

/** linux/if_link.h */
const IFLA_VXLAN = {
  ID: 1,
  GROUP: 2,
  LINK: 3,
  LOCAL: 4,
  TTL: 5,
  LEARNING: 7,
  AGEING: 8,
  LIMIT: 9,
  PORT_RANGE: 10,
  PROXY: 11,
  RSC: 12,
  L2MISS: 13,
  L3MISS: 14,
  PORT: 15,
  GROUP6: 16,
  LOCAL6: 17,
  UDP_CSUM: 18,
  UDP_ZERO_CSUM6_TX: 19,
  UDP_ZERO_CSUM6_RX: 20,
} as const;

/** A vxlan's own data: addresses as 4 or 16 bytes, its link by index. */
export interface VxlanInfo extends Omit<VxlanSpec, 'local' | 'group' | 'parent'> {
  readonly local?: Uint8Array | undefined;
  readonly group?: Uint8Array | undefined;
  readonly parent?: number | undefined;
}

export function writeVxlan(writer: Writer, info: VxlanInfo): void {
  const { local, group, parent, sourcePorts, udp6ZeroChecksum } = info;
  const number = (type: number, value: number | undefined) => {
    if (value !== undefined) writer.attrU32(type, value);
  };
  const choice = (type: number, value: boolean | undefined) => {
    if (value !== undefined) writer.attrU8(type, Number(value));
  };
  writer.attrU32(IFLA_VXLAN.ID, info.id);
  if (group) writer.attrBytes(group.length === 4 ? IFLA_VXLAN.GROUP : IFLA_VXLAN.GROUP6, group);
  number(IFLA_VXLAN.LINK, parent);
  if (local) writer.attrBytes(local.length === 4 ? IFLA_VXLAN.LOCAL : IFLA_VXLAN.LOCAL6, local);
  if (info.ttl !== undefined) writer.attrU8(IFLA_VXLAN.TTL, info.ttl);
  choice(IFLA_VXLAN.LEARNING, info.learning);
  number(IFLA_VXLAN.AGEING, info.ageing);
  number(IFLA_VXLAN.LIMIT, info.limit);
  if (sourcePorts) {
    const range = Buffer.alloc(4);
    range.writeUInt16BE(sourcePorts.first);
    range.writeUInt16BE(sourcePorts.last, 2);
    writer.attrBytes(IFLA_VXLAN.PORT_RANGE, range);
  }
  choice(IFLA_VXLAN.PROXY, info.proxy);
  choice(IFLA_VXLAN.RSC, info.shortCircuit);
  choice(IFLA_VXLAN.L2MISS, info.l2miss);
  choice(IFLA_VXLAN.L3MISS, info.l3miss);
  writer.attrU16BE(IFLA_VXLAN.PORT, info.port);
  choice(IFLA_VXLAN.UDP_CSUM, info.udpChecksum);
  choice(IFLA_VXLAN.UDP_ZERO_CSUM6_TX, udp6ZeroChecksum?.send);
  choice(IFLA_VXLAN.UDP_ZERO_CSUM6_RX, udp6ZeroChecksum?.receive);
}

/** The identifier in a vxlan's own data. */
export function readVxlanId(data: Buffer, start: number, end: number): number | undefined {
  let id: number | undefined;
  eachAttribute(data, start, end, (type, from, to) => {
    if (type === IFLA_VXLAN.ID) id = readNumber(data, from, to);
  });
  return id;
}
