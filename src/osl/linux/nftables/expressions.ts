/** A rule as the expressions that the kernel runs: load into registers, compare or look up, then act. */
import { type Family, parseCidr } from '../../../ip.ts';
import type { Action, ConnectionBit, ConnectionField, Field, Match, Rule } from '../../firewall/model.ts';
import * as nft from './constants.ts';
import { encodeAddress, encodeName, protocolNumber } from './values.ts';
import type { NftWriter } from './writer.ts';

/** Appends the expressions of a rule to the list that is being written. */
export function writeExpressions(list: NftWriter, rule: Rule): void {
  const writer = new ExpressionWriter(list);
  for (const match of rule.match) writer.match(match);
  writer.action(rule.action);
}

interface Load {
  readonly expression: string;
  readonly fill: (data: NftWriter, register: number) => void;
  /** Bytes that it fills, and registers that they take. */
  readonly size: number;
  /** Only packets of this family have the field. */
  readonly family?: Family;
}

const meta = (key: number, size: number): Load => ({
  expression: 'meta',
  size,
  fill: (data, register) => data.attrU32BE(nft.NFTA_META.DREG, register).attrU32BE(nft.NFTA_META.KEY, key),
});

const payload = (base: number, offset: number, size: number, family?: Family): Load => ({
  expression: 'payload',
  size,
  ...(family && { family }),
  fill: (data, register) =>
    data
      .attrU32BE(nft.NFTA_PAYLOAD.DREG, register)
      .attrU32BE(nft.NFTA_PAYLOAD.BASE, base)
      .attrU32BE(nft.NFTA_PAYLOAD.OFFSET, offset)
      .attrU32BE(nft.NFTA_PAYLOAD.LEN, size),
});

const connection = (key: number, size: number): Load => ({
  expression: 'ct',
  size,
  fill: (data, register) => data.attrU32BE(nft.NFTA_CT.DREG, register).attrU32BE(nft.NFTA_CT.KEY, key),
});

const originalDestination: Load = {
  expression: 'ct',
  size: 4,
  fill: (data, register) =>
    data
      .attrU32BE(nft.NFTA_CT.DREG, register)
      .attrU32BE(nft.NFTA_CT.KEY, nft.NFT_CT.DST_IP)
      .attrU8(nft.NFTA_CT.DIRECTION, nft.IP_CT_DIR_ORIGINAL),
};

const addressType = (end: number): Load => ({
  expression: 'fib',
  size: 4,
  fill: (data, register) =>
    data
      .attrU32BE(nft.NFTA_FIB.DREG, register)
      .attrU32BE(nft.NFTA_FIB.RESULT, nft.NFT_FIB_RESULT_ADDRTYPE)
      .attrU32BE(nft.NFTA_FIB.FLAGS, end),
});

/** Where a header has its addresses (RFC 791, RFC 8200). */
const ADDRESSES = {
  'ip saddr': { family: 'ipv4', offset: 12, size: 4 },
  'ip daddr': { family: 'ipv4', offset: 16, size: 4 },
  'ip6 saddr': { family: 'ipv6', offset: 8, size: 16 },
  'ip6 daddr': { family: 'ipv6', offset: 24, size: 16 },
} as const;

/** The first bytes of an address; all of them by default. */
const address = (field: keyof typeof ADDRESSES, size: number = ADDRESSES[field].size): Load =>
  payload(nft.NFT_PAYLOAD_NETWORK_HEADER, ADDRESSES[field].offset, size, ADDRESSES[field].family);

const LOADS: Readonly<Record<Field | ConnectionField, Load>> = {
  nfproto: meta(nft.NFT_META.NFPROTO, 1),
  iifname: meta(nft.NFT_META.IIFNAME, 16),
  oifname: meta(nft.NFT_META.OIFNAME, 16),
  'ip saddr': address('ip saddr'),
  'ip daddr': address('ip daddr'),
  'ip6 saddr': address('ip6 saddr'),
  'ip6 daddr': address('ip6 daddr'),
  'ct original ip daddr': originalDestination,
  l4proto: meta(nft.NFT_META.L4PROTO, 1),
  dport: payload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2),
  mark: meta(nft.NFT_META.MARK, 4),
  'fib daddr type': addressType(nft.NFTA_FIB_F_DADDR),
  'fib saddr type': addressType(nft.NFTA_FIB_F_SADDR),
  'ct state': connection(nft.NFT_CT.STATE, 4),
  'ct status': connection(nft.NFT_CT.STATUS, 4),
  'ct label': connection(nft.NFT_CT.LABELS, nft.NF_CT_LABELS_SIZE),
};

const FIRST = nft.NFT_REG32_00;
const registersOf = (size: number): number => Math.ceil(size / 4);

class ExpressionWriter {
  readonly #list: NftWriter;
  /** The family that the rule has asked for already. */
  #family: Family | undefined;

  constructor(list: NftWriter) {
    this.#list = list;
  }

  match(match: Match): void {
    if ('fields' in match) {
      this.#lookup(match.fields, match.set, undefined, match.op === 'not in');
    } else if (match.field === 'ct state' || match.field === 'ct status' || match.field === 'ct label') {
      this.#bits(match.field, match.op, match.values);
    } else if (match.op === 'range') this.#range(match.field, match.values);
    else this.#compareField(match.field, match.op, match.values[0]);
  }

  action(action: Action): void {
    switch (action.kind) {
      case 'vmap':
        this.#lookup(action.fields, action.map, nft.NFT_REG_VERDICT);
        break;
      case 'dnat':
        this.#lookup(action.fields, action.map, FIRST);
        this.#nat(nft.NFT_NAT_DNAT, action.family, true);
        break;
      case 'balance':
        this.#draw(action.family, action.map, action.among);
        this.#nat(nft.NFT_NAT_DNAT, action.family, false);
        break;
      case 'snat-to':
        this.#immediate(FIRST, (data, type) => data.data(type, encodeAddress(action.address)));
        this.#nat(nft.NFT_NAT_SNAT, action.family, false);
        break;
      case 'masquerade':
        this.#add('masq', () => undefined);
        break;
      case 'label':
        this.#immediate(FIRST, (data, type) => data.data(type, bitMask(nft.NF_CT_LABELS_SIZE, [action.bit])));
        this.#add('ct', (data) =>
          data.attrU32BE(nft.NFTA_CT.KEY, nft.NFT_CT.LABELS).attrU32BE(nft.NFTA_CT.SREG, FIRST),
        );
        break;
      default:
        this.#immediate(nft.NFT_REG_VERDICT, (data, type) => data.verdict(type, action));
    }
  }

  #immediate(register: number, fill: (data: NftWriter, type: number) => void): void {
    this.#add('immediate', (data) => {
      data.attrU32BE(nft.NFTA_IMMEDIATE.DREG, register);
      fill(data, nft.NFTA_IMMEDIATE.DATA);
    });
  }

  #compareField(field: Field, op: '==' | '!=', text: string): void {
    const { value, mask } = encodeOperand(field, text);
    this.#require(LOADS[field].family);
    // A prefix of whole bytes is compared by these bytes alone.
    this.#load(
      field in ADDRESSES ? address(field as keyof typeof ADDRESSES, value.length) : LOADS[field],
      FIRST,
    );
    if (mask !== undefined) this.#mask(mask);
    this.#compare(op, value);
    if (field === 'nfproto' && op === '==') this.#family = text === 'ipv4' ? 'ipv4' : 'ipv6';
  }

  #range(field: Field, [first, last]: readonly [string, string]): void {
    this.#load(LOADS[field], FIRST);
    this.#compare('>=', encodeOperand(field, first).value);
    this.#compare('<=', encodeOperand(field, last).value);
  }

  #bits(field: ConnectionField, op: '==' | '!=', bits: readonly ConnectionBit[]): void {
    const { size } = LOADS[field];
    this.#load(LOADS[field], FIRST);
    this.#mask(bitMask(size, bits));
    this.#compare(op === '==' ? '!=' : '==', Buffer.alloc(size));
  }

  #mask(mask: Uint8Array): void {
    this.#add('bitwise', (data) =>
      data
        .attrU32BE(nft.NFTA_BITWISE.SREG, FIRST)
        .attrU32BE(nft.NFTA_BITWISE.DREG, FIRST)
        .attrU32BE(nft.NFTA_BITWISE.LEN, mask.length)
        .data(nft.NFTA_BITWISE.MASK, mask)
        .data(nft.NFTA_BITWISE.XOR, new Uint8Array(mask.length)),
    );
  }

  #compare(op: keyof typeof nft.NFT_CMP, value: Uint8Array): void {
    this.#add('cmp', (data) =>
      data
        .attrU32BE(nft.NFTA_CMP.SREG, FIRST)
        .attrU32BE(nft.NFTA_CMP.OP, nft.NFT_CMP[op])
        .data(nft.NFTA_CMP.DATA, value),
    );
  }

  /** @param target the register for what a map holds; none for a plain set */
  #lookup(fields: readonly Field[], set: string, target: number | undefined, inverted = false): void {
    for (const field of fields) this.#require(LOADS[field].family);
    let register = FIRST;
    for (const field of fields) {
      this.#load(LOADS[field], register);
      register += registersOf(LOADS[field].size);
    }
    this.#lookupLoaded(set, target, inverted);
  }

  /** The destination and a random number behind it, then what the map holds for both. */
  #draw(family: Family, map: string, among: number): void {
    const destination = LOADS[family === 'ipv4' ? 'ip daddr' : 'ip6 daddr'];
    this.#require(family);
    this.#load(destination, FIRST);
    this.#add('numgen', (data) =>
      data
        .attrU32BE(nft.NFTA_NG.DREG, FIRST + registersOf(destination.size))
        .attrU32BE(nft.NFTA_NG.MODULUS, among)
        .attrU32BE(nft.NFTA_NG.TYPE, nft.NFT_NG_RANDOM)
        .attrU32BE(nft.NFTA_NG.OFFSET, 0),
    );
    this.#lookupLoaded(map, FIRST, false);
  }

  #lookupLoaded(set: string, target: number | undefined, inverted: boolean): void {
    this.#add('lookup', (data) => {
      data.attrString(nft.NFTA_LOOKUP.SET, set).attrU32BE(nft.NFTA_LOOKUP.SREG, FIRST);
      if (target !== undefined) data.attrU32BE(nft.NFTA_LOOKUP.DREG, target);
      if (inverted) data.attrU32BE(nft.NFTA_LOOKUP.FLAGS, nft.NFT_LOOKUP_F_INV);
    });
  }

  /** Translates to the address in the first registers and, with `port`, to the port in the one behind. */
  #nat(type: number, family: Family, port: boolean): void {
    this.#add('nat', (data) => {
      data
        .attrU32BE(nft.NFTA_NAT.TYPE, type)
        .attrU32BE(nft.NFTA_NAT.FAMILY, nft.NFPROTO[family])
        .attrU32BE(nft.NFTA_NAT.REG_ADDR_MIN, FIRST);
      if (port) data.attrU32BE(nft.NFTA_NAT.REG_PROTO_MIN, FIRST + (family === 'ipv4' ? 1 : 4));
    });
  }

  /** The address fields are at other places in packets of the other family, so that comes first, once. */
  #require(family: Family | undefined): void {
    if (family === undefined || family === this.#family) return;
    this.#compareField('nfproto', '==', family);
  }

  #load(load: Load, register: number): void {
    this.#add(load.expression, (data) => load.fill(data, register));
  }

  #add(name: string, fill: (data: NftWriter) => void): void {
    this.#list.group(nft.NFTA_LIST_ELEM, (element) =>
      element.attrString(nft.NFTA_EXPR.NAME, name).group(nft.NFTA_EXPR.DATA, fill),
    );
  }
}

/** What a field is compared to; for a prefix that ends within a byte, with the mask to put over the field. */
function encodeOperand(field: Field, text: string): { value: Uint8Array; mask?: Uint8Array } {
  switch (field) {
    case 'nfproto':
      return { value: Uint8Array.of(text === 'ipv4' ? nft.NFPROTO.ipv4 : nft.NFPROTO.ipv6) };
    case 'iifname':
    case 'oifname':
      return { value: encodeName(text) };
    case 'l4proto':
      return { value: Uint8Array.of(protocolNumber(text)) };
    case 'dport':
      return { value: Uint8Array.of(Number(text) >> 8, Number(text) & 0xff) };
    case 'mark': {
      const [value, mask] = text.split('/').map((bits) => hostOrder(Number(bits)));
      return { value: value ?? hostOrder(0), ...(mask && { mask }) };
    }
    case 'fib daddr type':
    case 'fib saddr type':
      return { value: hostOrder(nft.ADDRESS_TYPES[text] ?? 0) };
    default:
      return encodePrefix(text);
  }
}

function encodePrefix(text: string): { value: Uint8Array; mask?: Uint8Array } {
  const length = parseCidr(text)?.prefix.length;
  const [host = ''] = text.split('/');
  const value = encodeAddress(host);
  if (length === undefined) return { value };
  if (length > 0 && length % 8 === 0) return { value: value.subarray(0, length / 8) };
  const mask = value.map((_, index) => 0xff00 >> Math.min(8, Math.max(0, length - 8 * index)));
  return { value, mask };
}

/** Bits by their numbers, in the machine's own order as `hostOrder` tells. */
function bitMask(size: number, bits: readonly ConnectionBit[]): Uint8Array {
  const mask = Buffer.alloc(size);
  for (const bit of bits) {
    const number = nft.CT_BITS[bit];
    mask.writeUInt8(mask.readUInt8(number >> 3) | (1 << (number & 7)), number >> 3);
  }
  return mask;
}

/** Conntrack's and the FIB's numbers are in the machine's own order; Node runs on little-endian machines. */
function hostOrder(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
