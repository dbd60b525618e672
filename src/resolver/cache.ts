import { findRecords, isTruncated, RCODE, rcodeOf, TYPE, u16 } from './message.ts';

/** Longer answers are not kept, so that the cache's memory is bounded by its number of entries. */
const LONGEST = 4096;

interface Entry {
  readonly reply: Buffer;
  readonly ttlPlaces: readonly number[];
  readonly storedAt: number;
  readonly expiresAt: number;
}

/** Answers of other servers, for as long as their records live (RFC 2181 8, RFC 2308 5). The oldest use goes first. */
export class Cache {
  readonly #entries = new Map<string, Entry>();
  readonly #size: number;
  readonly #now: () => number;

  /** `size` in answers; 0 keeps none. `now` in milliseconds. */
  constructor(size: number, now: () => number = Date.now) {
    this.#size = size;
    this.#now = now;
  }

  /** An answer with the time that it still lives, its id to be set by the caller. */
  get(key: string): Buffer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    const now = this.#now();
    if (now >= entry.expiresAt) return undefined;
    this.#entries.set(key, entry);
    const reply = Buffer.from(entry.reply);
    const age = Math.floor((now - entry.storedAt) / 1000);
    for (const place of entry.ttlPlaces)
      reply.writeUInt32BE(Math.max(0, reply.readUInt32BE(place) - age), place);
    return reply;
  }

  /** Keeps an answer that may be kept. */
  set(key: string, reply: Buffer): void {
    if (this.#size === 0 || reply.length > LONGEST) return;
    const records = (findRecords(reply) ?? []).filter((record) => record.type !== TYPE.OPT);
    const seconds = lifetime(reply);
    if (seconds === undefined || seconds <= 0) return;
    const now = this.#now();
    this.#entries.delete(key);
    this.#entries.set(key, {
      reply: Buffer.from(reply),
      ttlPlaces: records.map((record) => record.ttlAt),
      storedAt: now,
      expiresAt: now + seconds * 1000,
    });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#size && oldest !== undefined) this.#entries.delete(oldest);
  }
}

/** How long an answer holds, in seconds; `undefined` for one that may not be kept. */
export function lifetime(reply: Buffer): number | undefined {
  const rcode = rcodeOf(reply);
  if (isTruncated(reply) || (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN)) return undefined;
  const records = findRecords(reply)?.filter((record) => record.type !== TYPE.OPT);
  if (records === undefined) return undefined;
  const least = Math.min(...records.map((record) => positive(record.ttl)));
  if (rcode === RCODE.NOERROR && u16(reply, 6) > 0) return least;
  // "No" holds as long as the zone's SOA says: the smaller of its own TTL and its last field (RFC 2308 5).
  const soa = records.find((record) => record.section === 'authority' && record.type === TYPE.SOA);
  if (soa === undefined || soa.end - soa.dataAt < 22) return undefined;
  return Math.min(least, positive(reply.readUInt32BE(soa.end - 4)));
}

/** A TTL with the top bit set means 0 (RFC 2181 8). */
export function positive(ttl: number): number {
  return ttl > 0x7fffffff ? 0 : ttl;
}
