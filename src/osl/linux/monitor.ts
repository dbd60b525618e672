import type { NamespaceEvent, Waits } from '../osl.ts';
import { type Koffi, koffi } from './libc.ts';
import { decodeAddress, type RawAddress, RTM_DELADDR, RTM_NEWADDR } from './netlink/address.ts';
import { decodeLink, type RawLink, RTM_DELLINK, RTM_NEWLINK } from './netlink/link.ts';
import type { NetlinkMessage } from './netlink/message.ts';
import { decodeRoutes, type RawRoute, RTM_DELROUTE, RTM_NEWROUTE } from './netlink/route.ts';
import { NOTICES, Notices } from './notices.ts';

/** What the kernel tells, with indexes in place of names. */
export type KernelEvent =
  | { readonly kind: 'link'; readonly gone: boolean; readonly link: RawLink }
  | { readonly kind: 'address'; readonly gone: boolean; readonly address: RawAddress }
  | { readonly kind: 'route'; readonly gone: boolean; readonly route: RawRoute }
  | { readonly kind: 'lost' };

const GROUPS = [NOTICES.link, NOTICES.ipv4Address, NOTICES.ipv6Address, NOTICES.ipv4Route, NOTICES.ipv6Route];
const RECEIVE_BUFFER = 4 << 20;
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
  const monitor = new Monitor(Notices.open(namespaceFd, GROUPS, { receiveBuffer: RECEIVE_BUFFER }));
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

/** A socket that the kernel tells of changes, with what it told and nobody took yet. */
class Monitor {
  readonly #notices: Notices;
  readonly #poll: ReturnType<Koffi['node']['poll']>;
  #queue: KernelEvent[] = [];
  #failure: unknown;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(notices: Notices) {
    this.#notices = notices;
    this.#poll = koffi().node.poll(notices.fd, { readable: true }, () => this.#readAll());
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
    this.#notices.close();
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
    const told = this.#notices.take();
    if (told === undefined) return false;
    if (told === 'lost' || this.#queue.length > MAX_QUEUED) this.#lose();
    else this.#queue.push(...told.flatMap(decodeEvent));
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
