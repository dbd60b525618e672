/** Arrays of messages as the kernel reads and writes them: `struct mmsghdr`, `msghdr` and `iovec` (sys/socket.h). */
import { endianness } from 'node:os';
import { type Address, formatAddress, fromBytes, parseAddress } from '../../ip.ts';
import type { SocketAddress } from '../osl.ts';
import { AF_INET, AF_INET6, MSG_DONTWAIT, MSG_TRUNC } from './constants.ts';
import { koffi, libc } from './libc.ts';
import { encodeSocketAddress } from './sockaddr.ts';

/** Datagrams that one call moves at most. */
export const BATCH = 64;
/** No datagram is longer. */
const LONGEST = 65_535;
/** `sizeof(struct sockaddr_in6)`, with 4 bytes left over. */
const NAME = 32;
const NAME_IN6 = 28;
/** A `mmsghdr` is 8 words: name, its length, vectors, their number, control data, its length, flags; the length. */
const WORDS = 8;
const FLAGS = 6;
const LENGTH = 7;

/** A memory of the kernel's words. Numbers up to 2^53 are written, which addresses and lengths are. */
class Words {
  readonly bytes: Buffer;
  readonly #numbers: Uint32Array;

  constructor(count: number) {
    this.bytes = Buffer.alloc(count * 4 * unitsOfWord());
    this.#numbers = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, count * unitsOfWord());
  }

  set(word: number, value: number): void {
    const size = unitsOfWord();
    this.#numbers[word * size + (isBig ? size - 1 : 0)] = value % 2 ** 32;
    if (size === 2) this.#numbers[word * size + (isBig ? 0 : 1)] = value / 2 ** 32;
  }

  /** A C int or socklen_t, which stands at the start of its word. */
  setInt(word: number, value: number): void {
    this.#numbers[word * unitsOfWord()] = value;
  }

  int(word: number): number {
    return this.#numbers[word * unitsOfWord()] ?? 0;
  }
}

const isBig = endianness() === 'BE';
let units: number | undefined;

/** How many 32 bits a word has. */
function unitsOfWord(): number {
  units ??= koffi().sizeof('void *') / 4;
  return units;
}

function addressOf(bytes: Buffer): number {
  return Number(koffi().address(bytes));
}

/** Headers of messages that have one vector each. */
class Headers {
  readonly names = Buffer.alloc(BATCH * NAME);
  readonly #headers = new Words(BATCH * WORDS);
  readonly #vectors = new Words(BATCH * 2);

  constructor() {
    const [names, vectors] = [addressOf(this.names), addressOf(this.#vectors.bytes)];
    const word = this.size / WORDS;
    for (let i = 0; i < BATCH; i++) {
      this.#headers.set(i * WORDS, names + i * NAME);
      this.#headers.set(i * WORDS + 2, vectors + i * 2 * word);
      this.#headers.set(i * WORDS + 3, 1);
    }
  }

  get bytes(): Buffer {
    return this.#headers.bytes;
  }

  /** Bytes that one header takes. */
  get size(): number {
    return this.#headers.bytes.length / BATCH;
  }

  /** Where a message is, and how long. */
  set(i: number, address: number, length: number): void {
    this.#vectors.set(i * 2, address);
    this.#vectors.set(i * 2 + 1, length);
  }

  setNameLength(i: number, length: number): void {
    this.#headers.setInt(i * WORDS + 1, length);
  }

  /** How long the message is that the kernel has put in. */
  received(i: number): number {
    return this.#headers.int(i * WORDS + LENGTH);
  }

  isCut(i: number): boolean {
    return (this.#headers.int(i * WORDS + FLAGS) & MSG_TRUNC) !== 0;
  }
}

/** Where datagrams come in: one for all sockets of a thread, since they are looked at one socket after the other. */
export class Inbox {
  readonly #headers = new Headers();
  /** Odd distances, so that the starts of the messages do not share the processor's cache lines. */
  readonly #stride = LONGEST + 1 + 192;
  /** 4 MB that take memory only where something was written. */
  readonly #data = Buffer.alloc(BATCH * this.#stride);

  constructor() {
    const start = addressOf(this.#data);
    for (let i = 0; i < BATCH; i++) {
      this.#headers.set(i, start + i * this.#stride, LONGEST);
      this.#headers.setNameLength(i, NAME);
    }
  }

  /** How many have come; 0 also where the socket has an error to tell, which is gone with that. */
  receive(fd: number): number {
    return Math.max(0, libc().recvmmsg(fd, this.#headers.bytes, BATCH, MSG_DONTWAIT, null));
  }

  /** A message, for its reader to keep. */
  copy(i: number): Buffer {
    const length = this.#headers.received(i);
    const copy = Buffer.allocUnsafe(length);
    const at = i * this.#stride;
    this.#data.copy(copy, 0, at, at + length);
    return copy;
  }

  /** Who sent a message; `undefined` where it is not whole. */
  sender(i: number): SocketAddress | undefined {
    // The kernel has set it to what it wrote.
    this.#headers.setNameLength(i, NAME);
    return this.#headers.isCut(i) ? undefined : readName(this.#headers.names, i * NAME);
  }
}

let shared: Inbox | undefined;

export function inbox(): Inbox {
  shared ??= new Inbox();
  return shared;
}

/** Datagrams of one socket that wait to be sent. */
export class Outbox {
  readonly #headers = new Headers();
  readonly #data = Buffer.alloc(2 * (LONGEST + 1));
  readonly #address = addressOf(this.#data);
  readonly #starts: number[] = [];
  readonly #receivers: SocketAddress[] = [];
  #count = 0;
  #sent = 0;
  #end = 0;

  /** False when there is no more room for it, and for an address that names a link or is none. */
  add(data: Uint8Array, to: SocketAddress): boolean {
    if (this.#count === BATCH || this.#end + data.length > this.#data.length) return false;
    const i = this.#count;
    const length = writeName(this.#headers.names, i * NAME, to);
    if (length === 0) return false;
    this.#headers.setNameLength(i, length);
    this.#headers.set(i, this.#address + this.#end, data.length);
    this.#data.set(data, this.#end);
    this.#starts[i] = this.#end;
    this.#receivers[i] = to;
    this.#end += data.length;
    this.#count++;
    return true;
  }

  /** True when all are sent; else `errno()` tells what the next one met. */
  send(fd: number): boolean {
    const { bytes, size } = this.#headers;
    while (this.#sent < this.#count) {
      const from = this.#sent === 0 ? bytes : bytes.subarray(this.#sent * size);
      const sent = libc().sendmmsg(fd, from, this.#count - this.#sent, MSG_DONTWAIT);
      if (sent < 0) return false;
      this.#sent += sent;
    }
    return true;
  }

  /** Gives up the next one, which is there when `send` has failed. */
  skip(): { readonly to: SocketAddress; readonly data: Uint8Array } {
    const i = this.#sent++;
    const to = this.#receivers[i] ?? NOBODY;
    return { to, data: Buffer.from(this.#data.subarray(this.#starts[i], this.#starts[i + 1] ?? this.#end)) };
  }

  /** Makes it empty, for another socket to use. */
  release(): void {
    this.#count = this.#sent = this.#end = 0;
    this.#receivers.length = this.#starts.length = 0;
    if (spare.length < MOST_SPARE) spare.push(this);
  }
}

const NOBODY: SocketAddress = { address: '0.0.0.0', port: 0 };
const spare: Outbox[] = [];
const MOST_SPARE = 16;

export function takeOutbox(): Outbox {
  return spare.pop() ?? new Outbox();
}

/** Texts of IPv4 addresses by their number, and addresses by their text: the same few come again and again. */
const texts = new Map<number, string>();
const parsed = new Map<string, Uint8Array>();
const MOST_KNOWN = 4096;

function readName(names: Buffer, at: number): SocketAddress | undefined {
  const family = names.readUInt16LE(at);
  const port = names.readUInt16BE(at + 2);
  if (family === AF_INET) return { address: textOf(names, at + 4), port };
  if (family !== AF_INET6) return undefined;
  const address = formatAddress(fromBytes(names.subarray(at + 8, at + 24)));
  // An address of one link is good only together with the link (RFC 4007, 11).
  const scope = names.readUInt32LE(at + 24);
  return { address: scope === 0 ? address : `${address}%${scope}`, port };
}

function textOf(names: Buffer, at: number): string {
  const number = names.readUInt32BE(at);
  const found = texts.get(number);
  if (found !== undefined) return found;
  const text = formatAddress(fromBytes(names.subarray(at, at + 4)));
  if (texts.size >= MOST_KNOWN) texts.clear();
  texts.set(number, text);
  return text;
}

/** Writes a `sockaddr` and returns its length; 0 for what is no address. */
function writeName(names: Buffer, at: number, { address, port }: SocketAddress): number {
  const name = parsed.get(address) ?? remember(address);
  names.set(name, at);
  names[at + 2] = port >> 8;
  names[at + 3] = port;
  return name.length;
}

function remember(text: string): Uint8Array {
  const [plain = '', scope] = text.split('%', 2);
  const address = parseAddress(plain);
  const name = address === undefined ? new Uint8Array(0) : encode(address, scope);
  if (parsed.size >= MOST_KNOWN) parsed.clear();
  parsed.set(text, name);
  return name;
}

function encode(address: Address, scope: string | undefined): Uint8Array {
  const name = encodeSocketAddress(address, 0);
  if (scope === undefined) return name;
  // Names of links are another matter: whose link it is depends on the socket.
  if (!/^\d+$/.test(scope)) return new Uint8Array(0);
  if (name.length === NAME_IN6) name.writeUInt32LE(Number(scope) >>> 0, 24);
  return name;
}
