import { errnoName, kernelError } from '../errno.ts';
import type { NamespaceEvent, Waits } from '../osl.ts';
import * as abi from './constants.ts';
import { check, type Koffi, koffi, libc, setOption, trySetOption } from './libc.ts';
import { decodeAddress, type RawAddress, RTM_DELADDR, RTM_NEWADDR } from './netlink/address.ts';
import { decodeLink, type RawLink, RTM_DELLINK, RTM_NEWLINK } from './netlink/link.ts';
import { NETLINK_ROUTE, type NetlinkMessage, parseMessages } from './netlink/message.ts';
import { decodeRoutes, type RawRoute, RTM_DELROUTE, RTM_NEWROUTE } from './netlink/route.ts';
import { inNamespace } from './window.ts';

/** What the kernel tells, with indexes in place of names. */
export type KernelEvent =
  | { readonly kind: 'link'; readonly gone: boolean; readonly link: RawLink }
  | { readonly kind: 'address'; readonly gone: boolean; readonly address: RawAddress }
  | { readonly kind: 'route'; readonly gone: boolean; readonly route: RawRoute }
  | { readonly kind: 'lost' };

/** linux/rtnetlink.h: RTNLGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR, _IPV4_ROUTE, _IPV6_ROUTE */
const GROUPS = [1, 5, 9, 7, 11];
const RECEIVE_BUFFER = 4 << 20;
const DATAGRAM = 64 * 1024;
/** Events kept for a slow reader; beyond, they become one `lost`. */
const MAX_QUEUED = 10_000;
/** Names of links that are gone. */
const KEPT_NAMES = 256;

/**
 * See `Namespace.watch`. It listens at once, also before the first event is asked for.
 * @param links reads the links that are there already
 */
export function watchNamespace(
  namespaceFd: number | undefined,
  links: () => Promise<readonly RawLink[]>,
  options: Waits = {},
): AsyncIterableIterator<NamespaceEvent> {
  const monitor = new Monitor(open(namespaceFd));
  // Asked for after it listens, so that every link is known either from here or by its event.
  const there = links();
  // Whoever never asks for an event is told of no failure either.
  there.catch(() => undefined);
  return events(monitor, there, options.signal);
}

async function* events(
  monitor: Monitor,
  there: Promise<readonly RawLink[]>,
  signal: AbortSignal | undefined,
): AsyncGenerator<NamespaceEvent> {
  const end = () => monitor.close();
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted) end();
  try {
    const names = new LinkNames(await there);
    for (let event = await monitor.next(); event; event = await monitor.next()) yield named(event, names);
  } finally {
    signal?.removeEventListener('abort', end);
    end();
  }
}

/** What is told of a link that nobody has told of before is as good as lost. */
function named(event: KernelEvent, names: LinkNames): NamespaceEvent {
  switch (event.kind) {
    case 'lost':
      return event;
    case 'link': {
      names.take(event.link, event.gone);
      const { statistics: _, master, ...link } = event.link;
      return { ...event, link: { ...link, master: master === undefined ? undefined : names.of(master) } };
    }
    case 'address': {
      const { index, ...address } = event.address;
      const link = names.of(index);
      return link === undefined ? { kind: 'lost' } : { ...event, address: { ...address, link } };
    }
    case 'route': {
      const { index, ...route } = event.route;
      const link = index === undefined ? undefined : names.of(index);
      if (index !== undefined && link === undefined) return { kind: 'lost' };
      return { ...event, route: { ...route, link } };
    }
  }
}

/** The names of a namespace's links by index, and those of the last that went: their routes may go after them. */
class LinkNames {
  readonly #names = new Map<number, string>();
  readonly #gone: number[] = [];

  constructor(links: readonly RawLink[]) {
    for (const link of links) this.#names.set(link.index, link.name);
  }

  of(index: number): string | undefined {
    return this.#names.get(index);
  }

  take({ index, name }: RawLink, gone: boolean): void {
    this.#names.set(index, name);
    const at = this.#gone.indexOf(index);
    if (at >= 0) this.#gone.splice(at, 1);
    if (!gone) return;
    this.#gone.push(index);
    const oldest = this.#gone.length > KEPT_NAMES ? this.#gone.shift() : undefined;
    if (oldest !== undefined) this.#names.delete(oldest);
  }
}

function open(namespaceFd: number | undefined): number {
  const type = abi.SOCK_RAW | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
  const make = () => check(libc().socket(abi.AF_NETLINK, type, NETLINK_ROUTE), 'socket AF_NETLINK');
  const fd = inNamespace(namespaceFd, make);
  try {
    trySetOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUFFORCE, RECEIVE_BUFFER);
    const name = Buffer.alloc(12);
    name.writeUInt16LE(abi.AF_NETLINK);
    check(libc().bind(fd, name, name.length), 'bind a netlink socket');
    for (const group of GROUPS) setOption(fd, abi.SOL_NETLINK, abi.NETLINK_ADD_MEMBERSHIP, group);
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** A socket that the kernel tells of changes, with what it told and nobody took yet. */
class Monitor {
  readonly #fd: number;
  readonly #poll: ReturnType<Koffi['node']['poll']>;
  readonly #buffer = Buffer.allocUnsafeSlow(DATAGRAM);
  #queue: KernelEvent[] = [];
  #failure: unknown;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
    this.#poll = koffi().node.poll(fd, { readable: true }, () => this.#readAll());
  }

  /** The next event; `undefined` when closed. */
  async next(): Promise<KernelEvent | undefined> {
    while (!this.#closed && this.#queue.length === 0 && this.#failure === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#closed) return undefined;
    if (this.#queue.length === 0) throw this.#failure;
    return this.#queue.shift();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    libc().close(this.#fd);
    this.#wake?.();
  }

  /** Runs in the poll's callback, where nothing may be thrown and promises settled would wait. */
  #readAll(): void {
    try {
      while (!this.#closed && this.#readOne());
      // libuv stops watching a descriptor that had an error to tell, such as ENOBUFS.
      if (!this.#closed) this.#poll.start({ readable: true }, () => this.#readAll());
    } catch (error) {
      this.#failure = error;
    }
    setImmediate(() => this.#wake?.());
  }

  #readOne(): boolean {
    const length = libc().recv(this.#fd, this.#buffer, DATAGRAM, abi.MSG_DONTWAIT | abi.MSG_TRUNC);
    if (length < 0) {
      const errno = errnoName(libc().errno());
      if (errno === 'EAGAIN') return false;
      if (errno !== 'ENOBUFS') throw kernelError('watch a namespace', errno);
      this.#lose();
    } else if (length > DATAGRAM || this.#queue.length > MAX_QUEUED) this.#lose();
    else this.#queue.push(...parseMessages(this.#buffer.subarray(0, length)).flatMap(decodeEvent));
    return true;
  }

  /** What is queued is out of date as well, once the reader reads the tables. */
  #lose(): void {
    this.#queue = [{ kind: 'lost' }];
  }
}

/** What a notification says; nothing for other families and kinds. */
export function decodeEvent({ type, payload }: NetlinkMessage): readonly KernelEvent[] {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return payload[0] === 0
        ? [{ kind: 'link', gone: type === RTM_DELLINK, link: decodeLink(payload) }]
        : [];
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = decodeAddress(payload);
      return address ? [{ kind: 'address', gone: type === RTM_DELADDR, address }] : [];
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return decodeRoutes(payload).map((route) => ({ kind: 'route', gone: type === RTM_DELROUTE, route }));
    default:
      return [];
  }
}
