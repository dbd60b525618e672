/**
 * How `nft` is told of a key whose second part is a number that a rule draws (libnftables' udata, lists of type, length
 * and value): without that it shows such a key in a wrong order of bytes, and can't read what it has shown.
 */
import type { Family } from '../../../ip.ts';
import { SLOTS } from '../../firewall/render.ts';
import { entry } from './userdata.ts';

/** udata types of a set (nftables' NFTNL_UDATA_SET_*), and how its keys' bytes are ordered. */
const SET = { KEYBYTEORDER: 0, DATABYTEORDER: 1, KEY_TYPEOF: 3, DATA_TYPEOF: 4 } as const;
const BIG_ENDIAN = 2;
/** Expressions (nftables' enum expr_types), and the headers and fields of theirs that are used here. */
const EXPRESSION = { PAYLOAD: 7, CONCAT: 13, NUMGEN: 23 } as const;
const DESTINATION = { ipv4: [12, 12], ipv6: [13, 9] } as const;
const RANDOM = 1;

/** The udata of a map from an address and a slot to an address. */
export function slotUserdata(family: Family): Buffer {
  const [header, field] = DESTINATION[family];
  const destination = expression(EXPRESSION.PAYLOAD, numbers(header, field));
  const draw = expression(EXPRESSION.NUMGEN, numbers(RANDOM, SLOTS, 0));
  const key = expression(EXPRESSION.CONCAT, Buffer.concat([entry(0, destination), entry(1, draw)]));
  return Buffer.concat([
    entry(SET.KEYBYTEORDER, number(0)),
    entry(SET.DATABYTEORDER, number(BIG_ENDIAN)),
    entry(SET.KEY_TYPEOF, key),
    entry(SET.DATA_TYPEOF, destination),
  ]);
}

function expression(type: number, data: Buffer): Buffer {
  return Buffer.concat([entry(0, number(type)), entry(1, data)]);
}

function numbers(...values: number[]): Buffer {
  return Buffer.concat(values.map((value, index) => entry(index, number(value))));
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
