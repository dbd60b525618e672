import { randomFillSync } from 'node:crypto';
import { formatAddress, parseAddress } from '../ip.ts';
import type { UdpSocket } from '../osl/osl.ts';
import { Frames, frame } from './frames.ts';
import { answers, u16 } from './message.ts';
import type { DialNamespace } from './options.ts';

export type Transport = 'udp' | 'tcp';

export type Outcome =
  | { readonly kind: 'reply'; readonly reply: Buffer }
  | { readonly kind: 'timeout' }
  /** It could not be asked, or hung up. */
  | { readonly kind: 'failed'; readonly error: unknown };

/** One question to one server, and the wait for its answer: ends once, and cleans up behind itself. */
export class Exchange {
  readonly outcome: Promise<Outcome>;
  readonly startedAt = Date.now();
  #resolve: (outcome: Outcome) => void = () => undefined;
  #cleanups: (() => void)[] | undefined = [];

  constructor(timeoutMs: number) {
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const timer = setTimeout(() => this.end({ kind: 'timeout' }), timeoutMs);
    this.onEnd(() => clearTimeout(timer));
  }

  get ended(): boolean {
    return this.#cleanups === undefined;
  }

  end(outcome: Outcome): void {
    const cleanups = this.#cleanups ?? [];
    this.#cleanups = undefined;
    for (const cleanup of cleanups) cleanup();
    this.#resolve(outcome);
  }

  /** Runs at the end; at once where that was before. */
  onEnd(cleanup: () => void): void {
    if (this.#cleanups === undefined) cleanup();
    else this.#cleanups.push(cleanup);
  }
}

/** A server, its address in canonical text. */
export interface Server {
  readonly address: string;
  readonly port: number;
}

interface Waiting {
  readonly server: Server;
  readonly message: Buffer;
  readonly end: number;
  readonly exchange: Exchange;
}

/** A UDP socket and the questions that wait for answers on it, by id. */
interface Shared {
  readonly socket: UdpSocket;
  readonly waiting: Map<number, Waiting>;
}

/** Sockets of a family: a reply can only be forged by who guesses one of these ports, and the question's id. */
const SOCKETS = 4;
/** Sockets that nothing waits on are closed after this time, so that they do not hold the namespace. */
const IDLE_MS = 5000;

const CLOSED: Outcome = { kind: 'failed', error: new Error('the resolver is closed') };

/** Asks servers from inside one namespace. */
export class Dialer {
  readonly #namespace: DialNamespace;
  readonly #sockets = new Map<string, Promise<Shared>>();
  readonly #exchanges = new Set<Exchange>();
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(namespace: DialNamespace) {
    this.#namespace = namespace;
  }

  /** Sends a query, its question ending at `end`, and waits at most `timeoutMs` for the answer. */
  ask(server: Server, message: Buffer, end: number, transport: Transport, timeoutMs: number): Exchange {
    const exchange = new Exchange(timeoutMs);
    this.#exchanges.add(exchange);
    exchange.onEnd(() => {
      this.#exchanges.delete(exchange);
      this.#idle?.refresh();
    });
    if (this.#closed) {
      exchange.end(CLOSED);
      return exchange;
    }
    const waiting = { server, message, end, exchange };
    const sent = transport === 'udp' ? this.#askUdp(waiting) : this.#askTcp(waiting, timeoutMs);
    sent.catch((error: unknown) => exchange.end({ kind: 'failed', error }));
    return exchange;
  }

  /** Ends all that waits, and frees the sockets. */
  close(): void {
    this.#closed = true;
    for (const exchange of [...this.#exchanges]) exchange.end(CLOSED);
    this.#closeSockets();
  }

  async #askUdp(waiting: Waiting): Promise<void> {
    const { server, message, exchange } = waiting;
    const shared = await this.#socket(server.address.includes(':') ? '::' : '0.0.0.0');
    if (exchange.ended) return;
    const id = freeId(shared.waiting);
    shared.waiting.set(id, waiting);
    exchange.onEnd(() => shared.waiting.delete(id));
    const query = Buffer.from(message);
    query.writeUInt16BE(id, 0);
    shared.socket.send(query, server);
  }

  async #askTcp({ server, message, end, exchange }: Waiting, timeoutMs: number): Promise<void> {
    const stream = await this.#namespace.connectTcp(server.address, server.port, { timeoutMs });
    exchange.onEnd(() => stream.destroy());
    const frames = new Frames();
    const hungUp = () => exchange.end({ kind: 'failed', error: new Error('the server hung up') });
    stream.on('error', (error) => exchange.end({ kind: 'failed', error }));
    stream.on('end', hungUp).on('close', hungUp);
    stream.on('data', (chunk: Buffer) => {
      for (const reply of frames.push(chunk))
        if (u16(reply, 0) === u16(message, 0) && answers(reply, message, end))
          exchange.end({ kind: 'reply', reply });
    });
    stream.write(frame(message));
  }

  #socket(address: string): Promise<Shared> {
    const slot = `${address} ${random16() % SOCKETS}`;
    const found = this.#sockets.get(slot);
    if (found !== undefined) return found;
    const opening = this.#open(address);
    this.#sockets.set(slot, opening);
    opening.catch(() => this.#sockets.delete(slot));
    return opening;
  }

  async #open(address: string): Promise<Shared> {
    const socket = await this.#namespace.bindUdp(address, 0);
    const shared: Shared = { socket, waiting: new Map() };
    socket.onMessage((reply, from) => receive(shared, reply, from));
    // Without a way to a server the next one is asked at once.
    socket.onUnsent?.((_to, query, error) => {
      shared.waiting.get(u16(query, 0))?.exchange.end({ kind: 'failed', error });
    });
    if (this.#closed) socket.close();
    else this.#idle ??= setTimeout(() => this.#closeIdle(), IDLE_MS).unref();
    return shared;
  }

  #closeIdle(): void {
    if (this.#exchanges.size > 0) this.#idle?.refresh();
    else this.#closeSockets();
  }

  #closeSockets(): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    const openings = [...this.#sockets.values()];
    this.#sockets.clear();
    // One that could not be opened has told so to who asked for it.
    for (const opening of openings)
      opening.then(
        ({ socket }) => socket.close(),
        () => undefined,
      );
  }
}

/** Only the answer of the server that was asked, to the question it was asked, counts; all else is forged or late. */
function receive({ waiting }: Shared, reply: Buffer, from: Server): void {
  const found = waiting.get(u16(reply, 0));
  if (found === undefined || found.server.port !== from.port) return;
  if (withoutZone(found.server.address) !== withoutZone(from.address)) return;
  if (answers(reply, found.message, found.end)) found.exchange.end({ kind: 'reply', reply });
}

/** A link may be named by its name here and by its number there; the address and the port tell enough. */
function withoutZone(address: string): string {
  const percent = address.indexOf('%');
  return percent < 0 ? address : address.slice(0, percent);
}

/** A server as it will appear as the source of its answers. */
export function serverAt(address: string, port: number): Server {
  const parsed = parseAddress(address);
  return { address: parsed === undefined ? address : formatAddress(parsed), port };
}

function freeId(taken: ReadonlyMap<number, unknown>): number {
  let id = random16();
  while (taken.has(id)) id = (id + 1) & 0xffff;
  return id;
}

const pool = new Uint16Array(1024);
let left = 0;

function random16(): number {
  if (left === 0) {
    randomFillSync(pool);
    left = pool.length;
  }
  left--;
  return pool[left] ?? 0;
}
