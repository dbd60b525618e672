/** What watchers of a namespace are told: whatever is different after a step from what it was before. */
import type { NamespaceEvent, Waits } from '../osl.ts';
import type { NetnsState } from './state.ts';
import { viewAddress, viewLink, viewRoute } from './views.ts';

/** Events kept for a slow reader; beyond, they become one `lost`. */
const MAX_QUEUED = 10_000;

/** All watchers of one kernel. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();

  /** Told after every step of whatever process. */
  look(): void {
    for (const watcher of this.#watchers) watcher.look();
  }

  watch(netns: NetnsState, { signal }: Waits): AsyncIterableIterator<NamespaceEvent> {
    const watcher = new Watcher(netns, () => this.#watchers.delete(watcher));
    this.#watchers.add(watcher);
    return events(watcher, signal);
  }
}

async function* events(watcher: Watcher, signal: AbortSignal | undefined): AsyncGenerator<NamespaceEvent> {
  const end = () => watcher.close();
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted) end();
  try {
    for (let event = await watcher.next(); event; event = await watcher.next()) yield event;
  } finally {
    signal?.removeEventListener('abort', end);
    end();
  }
}

type Picture = ReadonlyMap<string, NamespaceEvent>;

class Watcher {
  readonly #netns: NetnsState;
  readonly #onClose: () => void;
  #seen: Picture;
  #queue: NamespaceEvent[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(netns: NetnsState, onClose: () => void) {
    this.#netns = netns;
    this.#onClose = onClose;
    this.#seen = picture(netns);
  }

  async next(): Promise<NamespaceEvent | undefined> {
    while (!this.#closed && this.#queue.length === 0)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#closed ? undefined : this.#queue.shift();
  }

  close(): void {
    this.#closed = true;
    this.#onClose();
    this.#wake?.();
  }

  /** What went is told before what came, and a link last when it goes and first when it comes. */
  look(): void {
    const before = this.#seen;
    const after = picture(this.#netns);
    this.#seen = after;
    for (const [key, event] of [...before].reverse())
      if (!after.has(key)) this.#tell({ ...event, gone: true } as NamespaceEvent);
    for (const [key, event] of after) {
      const known = before.get(key);
      if (known === undefined || JSON.stringify(known) !== JSON.stringify(event)) this.#tell(event);
    }
  }

  #tell(event: NamespaceEvent): void {
    if (this.#queue.length >= MAX_QUEUED) this.#queue = [{ kind: 'lost' }];
    else this.#queue.push(event);
    this.#wake?.();
  }
}

/** Links by index, addresses and routes by what they say. */
function picture(netns: NetnsState): Picture {
  const all = new Map<string, NamespaceEvent>();
  for (const state of netns.links.values()) {
    const { statistics: _, ...link } = viewLink(state);
    all.set(`link ${link.index}`, { kind: 'link', gone: false, link });
  }
  for (const each of netns.addresses) {
    const address = viewAddress(each);
    all.set(`address ${JSON.stringify(address)}`, { kind: 'address', gone: false, address });
  }
  for (const each of netns.routes) {
    const route = viewRoute(each);
    all.set(`route ${JSON.stringify(route)}`, { kind: 'route', gone: false, route });
  }
  return all;
}
