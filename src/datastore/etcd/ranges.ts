import type { IKeyValue } from 'etcd3';
import type { Entry } from '../datastore.ts';
import { readEntry } from '../entry.ts';
import type { Call } from '../remote/calls.ts';
import type { Members } from './members.ts';

/** How many entries one request for a list asks for. */
export const PAGE = 2_000;

/** The range of all keys that start with these bytes, as etcd's requests name it (`clientv3.GetPrefixRangeEnd`). */
export interface KeyRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

export function prefixRange(prefix: Buffer): KeyRange {
  const everything = Buffer.from([0]);
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix[i] ?? 0xff;
    if (byte === 0xff) continue;
    const end = Buffer.from(prefix.subarray(0, i + 1));
    end[i] = byte + 1;
    return { key: prefix, range_end: end };
  }
  return { key: prefix.length === 0 ? everything : prefix, range_end: everything };
}

export interface Listed {
  readonly pairs: readonly IKeyValue[];
  /** The store's revision that the list shows. */
  readonly revision: number;
}

/**
 * Every key in the range, page by page, all at one revision. A compaction between two pages takes that revision
 * away: then it begins anew.
 */
export async function listRange(
  members: Members,
  call: Call,
  range: KeyRange,
  options: { readonly keysOnly: boolean },
): Promise<Listed> {
  for (;;) {
    try {
      return await listOnce(members, call, range, options.keysOnly);
    } catch (error) {
      if (!isCompacted(error) || call.signal.aborted) throw error;
    }
  }
}

async function listOnce(members: Members, call: Call, range: KeyRange, keysOnly: boolean): Promise<Listed> {
  const pairs: IKeyValue[] = [];
  let { key } = range;
  let revision = 0;
  for (;;) {
    const request = { ...range, key, revision, limit: PAGE, keys_only: keysOnly };
    const page = await members.ask(call, 'read', (client, options) => client.kv.range(request, options));
    if (revision === 0) revision = Number(page.header.revision);
    pairs.push(...page.kvs);
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return { pairs, revision };
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}

function isCompacted(error: unknown): boolean {
  return error instanceof Error && /has been compacted/.test(error.message);
}

/** Keys as callers see them, and as etcd does: with the store's prefix. */
export class Keyspace {
  readonly #prefix: Buffer;

  constructor(prefix: string) {
    this.#prefix = Buffer.from(prefix);
  }

  bytes(key: string): Buffer {
    return Buffer.concat([this.#prefix, Buffer.from(key)]);
  }

  range(prefix: string): KeyRange {
    return prefixRange(this.bytes(prefix));
  }

  key(bytes: Buffer): string {
    return bytes.toString('utf8', this.#prefix.length);
  }

  /** @throws INTERNAL for a value that is no JSON: somebody else wrote it */
  entry(pair: IKeyValue): Entry {
    return readEntry('etcd', this.key(pair.key), pair.value.toString(), Number(pair.mod_revision));
  }
}
