import { closeSync } from 'node:fs';
import { LibnetworkError } from '../../errors.ts';
import { closeLater } from './closings.ts';
import { NETLINK_ROUTE } from './netlink/message.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import { NOTICES, Notices } from './notices.ts';
import { openPacketSocket } from './packets.ts';
import { hostNamespaceFd } from './window.ts';

/** How long the index of a link is believed without asking again. */
const BELIEVED_MS = 1000;

/** IPv4's addresses too: with the last one of a link its routes go, and the kernel tells of none of them. */
const ROUTE_NOTICES = [NOTICES.link, NOTICES.ipv4Address, NOTICES.ipv4Route, NOTICES.ipv6Route];

/** What is known of links by name, each believed for a while. */
class Beliefs<T> {
  readonly #known = new Map<string, { readonly value: T; readonly until: number }>();

  set(name: string, value: T): void {
    this.#known.set(name, { value, until: performance.now() + BELIEVED_MS });
  }

  get(name: string): T | undefined {
    const known = this.#known.get(name);
    return known && performance.now() < known.until ? known.value : undefined;
  }

  clear(): void {
    this.#known.clear();
  }

  delete(name: string): void {
    if (this.#known.size > 0) this.#known.delete(name);
  }
}

/** A link that was just born. */
export interface Born {
  readonly index: number;
  /** Links of another namespace that get their carrier by this one's, by their indexes, in that order. */
  readonly carries: { readonly handle: Handle; readonly indexes: readonly number[] };
}

/** The sockets of a deletion: one that it is sent by, and one to ask by whether it is done. */
interface Deletion {
  readonly remover: NetlinkSocket;
  readonly witness: NetlinkSocket;
}

/**
 * What an open namespace consists of: its descriptor and its rtnetlink sockets, all made when first needed.
 * Whoever has given the descriptor's number to the kernel holds the handle, so that closing it meanwhile can't
 * let the number mean another file.
 */
export class Handle {
  readonly path: string;
  readonly #fd: number | undefined;
  /** Links that were just born here, for whoever configures them next. */
  readonly born = new Beliefs<Born>();
  /**
   * Bridges that were just given ports. The kernel gives no index twice before it has given two thousand million
   * others, so that one that is out of date makes it refuse.
   */
  readonly bridges = new Beliefs<number>();
  #socket: NetlinkSocket | undefined;
  #packets: number | undefined;
  #routeNotices: Notices | undefined;
  #deletion: Deletion | undefined;
  #holders = 0;
  readonly #onClose: () => void;
  #closed = false;

  /** @param fd `undefined` for the namespace of this thread */
  constructor(path: string, fd: number | undefined, onClose: () => void = () => undefined) {
    this.path = path;
    this.#fd = fd;
    this.#onClose = onClose;
  }

  /** The namespace to enter for a while; `undefined` where this thread is at home. @throws UNAVAILABLE */
  get fd(): number | undefined {
    this.#assertOpen();
    return this.#fd;
  }

  /** A number that names the namespace to the kernel, valid while held. */
  get number(): number {
    return this.fd ?? hostNamespaceFd();
  }

  get socket(): NetlinkSocket {
    this.#assertOpen();
    this.#socket ??= NetlinkSocket.open(NETLINK_ROUTE, this.#fd);
    return this.#socket;
  }

  /** Sockets for deletions alone: nobody else waits for them, and they wait for nobody. */
  get deletion(): Deletion {
    this.#assertOpen();
    this.#deletion ??= {
      remover: NetlinkSocket.open(NETLINK_ROUTE, this.#fd),
      witness: NetlinkSocket.open(NETLINK_ROUTE, this.#fd),
    };
    return this.#deletion;
  }

  /** A packet socket that sends from here. Kept, since closing one waits for the kernel. */
  get packets(): number {
    this.#assertOpen();
    this.#packets ??= openPacketSocket(this.#fd);
    return this.#packets;
  }

  /** What changes this namespace's routes, by any process, told from when this is first asked for. */
  get routeNotices(): Notices {
    this.#assertOpen();
    this.#routeNotices ??= Notices.open(this.#fd, ROUTE_NOTICES, { optional: [NOTICES.nexthop] });
    return this.#routeNotices;
  }

  /** A link that was just born here: told once, as later its name may be another's. */
  takeExpected(name: string): Born | undefined {
    const born = this.born.get(name);
    this.born.delete(name);
    return born;
  }

  /** A link is going here, and perhaps its far end: no index is believed any more. */
  forgetExpected(): void {
    this.born.clear();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Keeps the descriptor open until the function it returns is called. */
  hold(): () => void {
    this.#assertOpen();
    this.#holders++;
    return () => {
      this.#holders--;
      this.#free();
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.close();
    this.#routeNotices?.close();
    this.#deletion?.remover.close();
    this.#deletion?.witness.close();
    if (this.#packets !== undefined) closeLater(this.#packets);
    this.#free();
    this.#onClose();
  }

  #free(): void {
    if (this.#closed && this.#holders === 0 && this.#fd !== undefined) closeSync(this.#fd);
  }

  #assertOpen(): void {
    if (!this.#closed) return;
    throw new LibnetworkError('UNAVAILABLE', `the namespace ${this.path} was closed; open it again`);
  }
}
