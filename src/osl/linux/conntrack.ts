import { type Address, equal, FAMILIES, type Family, familyOf, fromBytes } from '../../ip.ts';
import { type ConnectionFacts, fitsOneOf } from '../firewall/connections.ts';
import type { ConnectionFilter } from '../osl.ts';
import { familyNumber } from './netlink/address.ts';
import { attributeMap, Writer } from './netlink/attributes.ts';
import { NETLINK_NETFILTER, type NetlinkRequest } from './netlink/message.ts';
import { NetlinkSocket } from './netlink/socket.ts';

/** linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h */
const IPCTNL_MSG_CT_GET = 0x101;
const IPCTNL_MSG_CT_DELETE = 0x102;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const HEADER = 4;
const EMPTY = Buffer.alloc(0);

/** One direction of a tracked connection. Protocols without ports have none. */
export interface Tuple {
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  /** An IP protocol number. */
  readonly protocol: number;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
}

/** A connection that the kernel tracks: as it was begun, and as answers come after address translation. */
export interface Connection {
  readonly original: Tuple;
  readonly reply: Tuple;
  /** What a request must carry to delete it and no later one of the same addresses. */
  readonly key: { readonly original: Buffer; readonly id: Buffer | undefined };
}

/** All connections of a family that the namespace tracks. */
export async function readConnections(
  namespaceFd: number | undefined,
  family: Family,
): Promise<readonly Connection[]> {
  return withSocket(namespaceFd, (socket) => dump(socket, family));
}

/**
 * Makes the kernel forget connections, so that their next packets are judged by the present rules: a flow that was
 * translated keeps its translation otherwise, also after the port is unpublished or published anew.
 * @returns how many were forgotten
 */
export async function forgetConnections(
  namespaceFd: number | undefined,
  family: Family,
  matches: (connection: Connection) => boolean,
): Promise<number> {
  return withSocket(namespaceFd, async (socket) => {
    const requests = (await dump(socket, family)).filter(matches).map((each) => deletion(family, each));
    const replies = await socket.request(requests);
    // What is gone meanwhile has ended by itself.
    for (const { error } of replies) if (error && error.errno !== 'ENOENT') throw error;
    return replies.filter(({ error }) => !error).length;
  });
}

/** See `Namespace.flushConntrack`. */
export async function flushConnections(
  namespaceFd: number | undefined,
  filters: readonly ConnectionFilter[],
): Promise<number> {
  const fits = fitsOneOf(filters);
  let flushed = 0;
  for (const family of FAMILIES) {
    if (filters.some(({ address }) => address === undefined || familyOf(address) === family))
      flushed += await forgetConnections(namespaceFd, family, (each) => fits(factsOf(each)));
  }
  return flushed;
}

function factsOf({ original, reply }: Connection): ConnectionFacts {
  return {
    protocol: original.protocol,
    port: original.destinationPort,
    addresses: [original.source, original.destination, reply.source, reply.destination],
  };
}

/** True for connections with an address at either end, before or after translation. */
export function involves(address: Address): (connection: Connection) => boolean {
  return ({ original, reply }) =>
    [original.source, original.destination, reply.source, reply.destination].some(
      (each) => each !== undefined && equal(each, address),
    );
}

/** True for connections that were begun to a port, whatever it was translated to. */
export function wasBegunTo(protocol: number, port: number): (connection: Connection) => boolean {
  return ({ original }) => original.protocol === protocol && original.destinationPort === port;
}

/** Decodes one connection of a dump. @throws INTERNAL for what is none */
export function decodeConnection(payload: Buffer): Connection {
  const attributes = attributeMap(payload, HEADER);
  const original = attributes.get(CTA_TUPLE_ORIG) ?? EMPTY;
  return {
    original: decodeTuple(original),
    reply: decodeTuple(attributes.get(CTA_TUPLE_REPLY) ?? EMPTY),
    key: { original, id: attributes.get(CTA_ID) },
  };
}

function decodeTuple(data: Buffer): Tuple {
  const parts = attributeMap(data);
  const addresses = attributeMap(parts.get(CTA_TUPLE_IP) ?? EMPTY);
  const transport = attributeMap(parts.get(CTA_TUPLE_PROTO) ?? EMPTY);
  // Types 1 and 2 are IPv4's source and destination, 3 and 4 IPv6's.
  return {
    source: address(addresses.get(1) ?? addresses.get(3)),
    destination: address(addresses.get(2) ?? addresses.get(4)),
    protocol: transport.get(CTA_PROTO_NUM)?.[0] ?? 0,
    sourcePort: port(transport.get(CTA_PROTO_SRC_PORT)),
    destinationPort: port(transport.get(CTA_PROTO_DST_PORT)),
  };
}

function address(bytes: Buffer | undefined): Address | undefined {
  return bytes?.length === 4 || bytes?.length === 16 ? fromBytes(bytes) : undefined;
}

function port(bytes: Buffer | undefined): number | undefined {
  return bytes?.length === 2 ? bytes.readUInt16BE() : undefined;
}

async function dump(socket: NetlinkSocket, family: Family): Promise<readonly Connection[]> {
  const payload = new Writer(HEADER).u8(familyNumber(family)).u8(0).u16(0).finish();
  const operation = 'list connections';
  const payloads = await socket.dump({ type: IPCTNL_MSG_CT_GET, flags: 0, payload, operation });
  return payloads.map(decodeConnection);
}

function deletion(family: Family, { key }: Connection): NetlinkRequest {
  const writer = new Writer().u8(familyNumber(family)).u8(0).u16(0);
  writer.nest(CTA_TUPLE_ORIG, (w) => w.bytes(key.original), true);
  if (key.id) writer.attrBytes(CTA_ID, key.id);
  const payload = writer.finish();
  return { type: IPCTNL_MSG_CT_DELETE, flags: 0, payload, operation: 'forget a connection' };
}

async function withSocket<T>(
  namespaceFd: number | undefined,
  work: (socket: NetlinkSocket) => Promise<T>,
): Promise<T> {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, namespaceFd);
  try {
    return await work(socket);
  } finally {
    socket.close();
  }
}
