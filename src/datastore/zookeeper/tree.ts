import type { Event } from 'node-zookeeper-client';
import type { Entry } from '../datastore.ts';
import { compareKeys, readEntry } from '../entry.ts';
import { codeOf, NO_NODE } from './failure.ts';
import { type Session, versionOf } from './session.ts';

/**
 * Where things are: `<root>/data/<name>` for each key, flat, so that one watch sees every key that comes and goes;
 * `<root>/changes`, set by every write; `<root>/births`, set by every write that makes a key.
 */
export class Tree {
  readonly data: string;
  readonly changes: string;
  readonly births: string;

  constructor(root: string) {
    this.data = `${root}/data`;
    this.changes = `${root}/changes`;
    this.births = `${root}/births`;
  }

  path(key: string): string {
    return `${this.data}/${nameOf(key)}`;
  }

  /** Every entry under the prefix; not one moment's: each is as it was when it was read. */
  async list(session: Session, prefix: string, watcher?: (event: Event) => void): Promise<Entry[]> {
    // Watched before it is read: what changes meanwhile fires the watcher.
    if (watcher) await session.exists(this.changes, watcher);
    const start = nameOf(prefix);
    const names = (await session.children(this.data, watcher)).filter((name) => name.startsWith(start));
    const found = await Promise.all(names.map((name) => this.read(session, keyOf(name))));
    return found.flatMap((entry) => entry ?? []).sort((a, b) => compareKeys(a.key, b.key));
  }

  /** @throws INTERNAL for a value that is no JSON: somebody else wrote it */
  async read(session: Session, key: string): Promise<Entry | undefined> {
    try {
      const { data, stat } = await session.data(this.path(key));
      return readEntry('ZooKeeper', key, data.toString(), versionOf(stat));
    } catch (error) {
      if (codeOf(error) === NO_NODE) return undefined;
      throw error;
    }
  }
}

/** A key as a znode's name: bytes other than letters, digits, `_` and `-` as `%` and two hex digits. */
function nameOf(key: string): string {
  let name = '';
  for (const byte of Buffer.from(key)) {
    const char = String.fromCharCode(byte);
    name += /[\w-]/.test(char) ? char : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return name;
}

function keyOf(name: string): string {
  return decodeURIComponent(name);
}
