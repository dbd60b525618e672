import { randomInt } from 'node:crypto';
import { abortable } from '../../abortable.ts';
import { type LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { Waits } from '../osl.ts';
import { explainRefusal } from './capabilities.ts';
import { rtnl } from './gate.ts';
import type { Handle } from './handle.ts';
import {
  askForLink,
  encodeDeleteLink,
  encodeSetLink,
  type RawLink,
  RTM_DELLINK,
  RTM_SETLINK,
} from './netlink/link.ts';
import type { NetlinkRequest } from './netlink/message.ts';
import type { Reply } from './netlink/socket.ts';
import { dumpLinks } from './tables.ts';
import { requireLinkName } from './values.ts';

/** Told what can't be told to a caller. */
export interface Warner {
  warn(message: string, facts?: object): void;
}

interface Waiter {
  readonly name: string;
  readonly signal: AbortSignal | undefined;
  resolve(existed: boolean): void;
  reject(error: unknown): void;
}

/** Private groups are drawn from the upper half of what a group can be; users choose small numbers. */
const GROUPS = { from: 0x4000_0000, to: 0x7fff_ffff } as const;

/** What belongs to a deletion is many messages and no hurry, beside the wait at its end. */
const ASYNC = { mode: 'async' } as const;
const IN_TURN = { mode: 'inTurn' } as const;

/**
 * Link deletions of one namespace. The kernel waits for a grace period at each, but only once for a group of
 * links deleted together. So deletions asked for at once, or while others are under way, go together: each link
 * gets a private group (IFLA_GROUP) that nobody is in, and the group is deleted. A deletion has ended when its
 * links are gone; only the next one waits until the kernel has freed them, too.
 */
export class DeleteQueue {
  /** How many requests deleted a group, and how many a single link. */
  readonly sent = { groups: 0, singles: 0 };
  readonly #handle: Handle;
  readonly #logger: Warner | undefined;
  #waiters: Waiter[] = [];
  #running = false;
  /** When the kernel has freed what was deleted last. */
  #freed: Promise<unknown> = Promise.resolve();

  constructor(handle: Handle, logger: Warner | undefined) {
    this.#handle = handle;
    this.#logger = logger;
  }

  /** Deletes a link; false when there was none. */
  async delete(name: string, { signal }: Waits = {}): Promise<boolean> {
    requireLinkName(name, 'name');
    throwIfAborted(signal);
    const result = new Promise<boolean>((resolve, reject) => {
      this.#waiters.push({ name, signal, resolve, reject });
    });
    if (!this.#running) {
      this.#running = true;
      // Everything that is asked for in this turn of the event loop goes together.
      setImmediate(() => void this.#run());
    }
    return abortable(result, signal);
  }

  async #run(): Promise<void> {
    while (this.#waiters.length > 0) {
      await this.#freed;
      const waiters = this.#waiters.filter(({ signal }) => !signal?.aborted);
      this.#waiters = [];
      const names = [...new Set(waiters.map(({ name }) => name))];
      const results = await this.#deleteAll(names).catch((error: unknown) => error);
      for (const waiter of waiters) {
        const result = results instanceof Map ? results.get(waiter.name) : results;
        if (typeof result === 'boolean') waiter.resolve(result);
        else waiter.reject(explainRefusal(result));
        // Whoever asked for the same link a second time finds it gone.
        if (results instanceof Map && result === true) results.set(waiter.name, false);
      }
    }
    this.#running = false;
  }

  async #deleteAll(names: readonly string[]): Promise<Map<string, boolean | LibnetworkError>> {
    const release = this.#handle.hold();
    try {
      if (names.length < 2) return await this.#deleteEach(names);
      const links = await dumpLinks(this.#handle.socket, false, ASYNC);
      const wanted = new Set(names);
      const found = links.filter(({ name }) => wanted.has(name));
      const there = found.map(({ name }) => name);
      const results = new Map<string, boolean | LibnetworkError>(names.map((name) => [name, false]));
      for (const name of there) results.set(name, true);
      const group = unusedGroup(links);
      const refused = found.length > 1 && (await this.#deleteGroup(found, group)) ? [] : there;
      for (const [name, result] of await this.#deleteEach(refused)) results.set(name, result);
      return results;
    } finally {
      release();
    }
  }

  async #deleteEach(names: readonly string[]): Promise<Map<string, boolean | LibnetworkError>> {
    const results = new Map<string, boolean | LibnetworkError>();
    for (const name of names) {
      const [found] = await this.#handle.socket.request([question(name)], ASYNC);
      const reply = found?.error ? found : await this.#remove({ name }, name);
      results.set(name, isGone(reply) ? false : (reply?.error ?? true));
    }
    return results;
  }

  /**
   * Sends a deletion and answers when the links, of which `name` is one, are gone: `undefined`, or the kernel's reply
   * where that comes first. At the end of the same send, but without the lock, the kernel waits for a grace period
   * before it frees them. So another thread asks for the link, which takes the lock too: it is answered when the
   * deletion has let go of the lock, or before that has taken it.
   */
  async #remove(which: Parameters<typeof encodeDeleteLink>[0], name: string): Promise<Reply | undefined> {
    await this.#freed;
    const { remover, witness } = this.#handle.deletion;
    if ('group' in which) this.sent.groups++;
    else this.sent.singles++;
    const deletion = request(RTM_DELLINK, encodeDeleteLink(which), `delete link ${name}`);
    return rtnl.run(async () => {
      let ended = false;
      const removal = remover.request([deletion], IN_TURN).finally(() => {
        ended = true;
      });
      this.#freed = removal.catch(() => undefined);
      while (!ended) {
        const [found] = await witness.request([question(name)], IN_TURN);
        if (isGone(found)) return undefined;
      }
      return (await removal)[0];
    });
  }

  /** Deletes links by a group of their own; false, with their former groups restored, when that is refused. */
  async #deleteGroup(links: readonly RawLink[], group: number): Promise<boolean> {
    await this.#setGroups(links.map(({ index }) => ({ index, group })));
    const reply = await this.#remove({ group }, links[0]?.name ?? '');
    if (!reply?.error) return true;
    this.#logger?.warn('links could not be deleted together, going on one by one', {
      namespace: this.#handle.path,
      reason: reply.error.message,
    });
    await this.#setGroups(links);
    return false;
  }

  /** A link that is gone meanwhile is no failure: it was to be deleted. */
  async #setGroups(links: readonly Pick<RawLink, 'index' | 'group'>[]): Promise<void> {
    await this.#handle.socket.request(
      links.map(({ index, group }) =>
        request(RTM_SETLINK, encodeSetLink(index, { group }), 'set the group of a link'),
      ),
      ASYNC,
    );
  }
}

/** One that nobody is in; that somebody else draws the same in the next milliseconds is one in a thousand million. */
function unusedGroup(links: readonly RawLink[]): number {
  const used = new Set(links.map(({ group }) => group));
  for (;;) {
    const group = randomInt(GROUPS.from, GROUPS.to);
    if (!used.has(group)) return group;
  }
}

function question(name: string): NetlinkRequest {
  return askForLink({ name }, `find link ${name}`);
}

function isGone(reply: Reply | undefined): boolean {
  return reply?.error?.errno === 'ENODEV';
}

function request(type: number, payload: Buffer, operation: string): NetlinkRequest {
  return { type, flags: 0, payload, operation };
}
