/** A store in memory with the delays of one across a network, which counts what each host hears of it. */
import { type Datastore, type MemoryBacking, memoryStore, type StoreEvent } from 'libnetwork/datastore';

export interface Heard {
  events: number;
  bytes: number;
}

/** How long an answer takes, in milliseconds: a commit to a disk, and the way there and back. */
const CALL_MS = 2;
/** How long the news of a change takes. */
const NEWS_MS = 1;

export function slowStore(backing: MemoryBacking, heard: Heard): Datastore {
  const inner = memoryStore({ backing, scope: 'global' });
  const late = async <T>(act: () => Promise<T>): Promise<T> => {
    await pause(CALL_MS);
    return act();
  };
  return {
    scope: 'global',
    get: (...args) => late(() => inner.get(...args)),
    list: (...args) => late(() => inner.list(...args)),
    put: (...args) => late(() => inner.put(...args)),
    delete: (...args) => late(() => inner.delete(...args)),
    transaction: (...args) => late(() => inner.transaction(...args)),
    watch: (prefix, waits) => lateNews(inner.watch(prefix, waits), heard),
    lease: async (...args) => {
      await pause(CALL_MS);
      const lease = await inner.lease(...args);
      return { ...lease, put: (...put) => late(() => lease.put(...put)) };
    },
    close: () => inner.close(),
  };
}

/** News that come together come late together. */
async function* lateNews(events: AsyncIterable<StoreEvent>, heard: Heard): AsyncGenerator<StoreEvent> {
  let told = Number.NEGATIVE_INFINITY;
  for await (const event of events) {
    if (performance.now() - told > NEWS_MS) await pause(NEWS_MS);
    told = performance.now();
    heard.events++;
    heard.bytes += event.type === 'put' ? event.entry.key.length + sizeOf(event) : event.key.length;
    yield event;
  }
}

function sizeOf(event: Extract<StoreEvent, { type: 'put' }>): number {
  return Buffer.byteLength(JSON.stringify(event.entry.value));
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
