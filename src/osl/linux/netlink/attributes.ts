import { LibnetworkError } from '../../../errors.ts';
import { align } from './message.ts';

const NLA_TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

/**
 * Writes a message's payload: a fixed header, then attributes (length, type, value, padded to four bytes).
 * Numbers are little-endian unless the name says `BE`, as every machine that Node runs on is.
 */
export class Writer {
  #bytes: Buffer;
  #length = 0;

  /** @param expected bytes to make room for at once; it grows as needed */
  constructor(expected = 256) {
    this.#bytes = Buffer.allocUnsafe(expected);
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#bytes.writeUInt32LE(value >>> 0, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  flag(type: number): this {
    return this.#header(type, 0);
  }

  attrU8(type: number, value: number): this {
    return this.#header(type, 1).u8(value).#pad();
  }

  attrU16(type: number, value: number): this {
    return this.#header(type, 2).u16(value).#pad();
  }

  attrU16BE(type: number, value: number): this {
    return this.attrU16(type, ((value & 0xff) << 8) | (value >> 8));
  }

  attrU32(type: number, value: number): this {
    return this.#header(type, 4).u32(value);
  }

  attrBytes(type: number, value: Uint8Array): this {
    return this.#header(type, value.length).bytes(value).#pad();
  }

  /** A text with the zero byte that ends it. */
  attrString(type: number, value: string): this {
    const size = Buffer.byteLength(value) + 1;
    this.#header(type, size);
    const at = this.#reserve(size);
    this.#bytes.write(value, at);
    this.#bytes[at + size - 1] = 0;
    return this.#pad();
  }

  /** An attribute of attributes, written by `fill`. rtnetlink takes them with the nested bit and without. */
  nest(type: number, fill: (writer: this) => void, nestedBit = false): this {
    const at = this.#length;
    this.#header(nestedBit ? type | NLA_F_NESTED : type, 0);
    fill(this);
    this.#bytes.writeUInt16LE(this.#length - at, at);
    return this;
  }

  /** The bytes written so far; the writer is not used any more. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #header(type: number, length: number): this {
    const at = this.#reserve(4);
    this.#bytes.writeUInt16LE(length + 4, at);
    this.#bytes.writeUInt16LE(type, at + 2);
    return this;
  }

  #pad(): this {
    while (this.#length & 3) this.u8(0);
    return this;
  }

  #reserve(size: number): number {
    const at = this.#length;
    this.#length = at + size;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    return at;
  }
}

/** Where an attribute's value is in the payload. */
export type Visit = (type: number, start: number, end: number) => void;

/**
 * Visits the attributes in `data` from `start` to `end`, without copying. The type comes without its flag bits.
 * @throws INTERNAL for a length that does not fit
 */
export function eachAttribute(data: Buffer, start: number, end: number, visit: Visit): void {
  for (let at = start; at + 4 <= end; ) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > end) throw malformed(at);
    visit(data.readUInt16LE(at + 2) & NLA_TYPE_MASK, at + 4, at + length);
    at += align(length);
  }
}

/** The attributes of a payload by type, as slices; for what is not read by the thousand. */
export function attributeMap(data: Buffer, start = 0, end = data.length): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  eachAttribute(data, start, end, (type, from, to) => found.set(type, data.subarray(from, to)));
  return found;
}

/** A little-endian number of 1, 2, 4 or 8 bytes; numbers beyond 2^53 lose their last digits. */
export function readNumber(data: Buffer, start: number, end: number): number {
  switch (end - start) {
    case 1:
      return data.readUInt8(start);
    case 2:
      return data.readUInt16LE(start);
    case 4:
      return data.readUInt32LE(start);
    case 8:
      return Number(data.readBigUInt64LE(start));
    default:
      throw malformed(start);
  }
}

/** A text, up to its first zero byte. */
export function readString(data: Buffer, start: number, end: number): string {
  const zero = data.indexOf(0, start);
  return data.toString('utf8', start, zero >= start && zero < end ? zero : end);
}

/** Throws unless the payload is at least as long as its fixed header. */
export function requireLength(data: Buffer, length: number): void {
  if (data.length < length) throw malformed(data.length);
}

function malformed(at: number): LibnetworkError {
  return new LibnetworkError('INTERNAL', `malformed netlink attribute at byte ${at}`);
}
