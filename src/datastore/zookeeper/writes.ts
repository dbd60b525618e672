import type { ACL, Client, Stat } from 'node-zookeeper-client';
import { LibnetworkError } from '../../errors.ts';
import type { StoreOperation } from '../datastore.ts';
import { conditionFailed, encodeValue, holds } from '../entry.ts';
import { Backoff } from '../remote/backoff.ts';
import type { Call } from '../remote/calls.ts';
import { BAD_VERSION, codeOf, NO_NODE, NODE_EXISTS } from './failure.ts';
import { isEphemeral, type Session, versionOf } from './session.ts';
import type { Tree } from './tree.ts';

type Steps = ReturnType<Client['transaction']>;

export interface Written {
  /** The zxid of the write: the version of everything that it put. */
  readonly version: number;
  /** For each operation: whether its key was there. */
  readonly before: readonly boolean[];
}

/** How the nodes are made. */
export interface NodeKind {
  readonly acl: ACL[];
  /** `CreateMode` of what a lease holds, and of the rest. */
  readonly ephemeral: number;
  readonly persistent: number;
}

/**
 * Writes as ZooKeeper's multi requests. A condition is on the zxid of the last write, which ZooKeeper can't check; so
 * it is read, and the multi checks that the node's own counter is still the one that was read with it, and that no
 * key was made since (`births`): a key that was deleted and made again counts from the start and could look the same.
 */
export class ZookeeperWrites {
  readonly #tree: Tree;
  readonly #kind: NodeKind;
  readonly #maxBytes: number;

  constructor(tree: Tree, kind: NodeKind, maxBytes: number) {
    this.#tree = tree;
    this.#kind = kind;
    this.#maxBytes = maxBytes;
  }

  /** @param lease true when the keys shall go with this session. @throws CONFLICT, INVALID_ARGUMENT */
  async commit(
    call: Call,
    session: Session,
    operations: readonly StoreOperation[],
    lease: boolean,
  ): Promise<Written> {
    this.#checkSize(operations);
    const backoff = new Backoff(2, 100);
    for (;;) {
      const born = await session.exists(this.#tree.births);
      const stats = await Promise.all(operations.map(({ key }) => session.exists(this.#tree.path(key))));
      operations.forEach(({ key, ifVersion }, i) => {
        const version = stats[i] === undefined ? 0 : versionOf(stats[i]);
        if (!holds(ifVersion, version)) throw conditionFailed(key, ifVersion, version);
      });
      const before = stats.map((stat) => stat !== undefined);
      if (operations.every(({ op }, i) => op === 'delete' && !before[i])) return { version: 0, before };
      try {
        const results = await session.multi((steps) =>
          this.#build(steps, operations, stats, born, lease ? session.id : undefined),
        );
        const last = results.at(-1)?.stat;
        if (last === undefined) throw new LibnetworkError('INTERNAL', 'ZooKeeper did not answer a write');
        return { version: versionOf(last), before };
      } catch (error) {
        // Somebody was faster: what it is now decides.
        if (![NO_NODE, BAD_VERSION, NODE_EXISTS].includes(codeOf(error) ?? 0)) throw error;
        await backoff.wait(call.signal);
        if (call.signal.aborted) throw error;
      }
    }
  }

  #build(
    steps: Steps,
    operations: readonly StoreOperation[],
    stats: readonly (Stat | undefined)[],
    born: Stat | undefined,
    owner: string | undefined,
  ): void {
    const conditioned = operations.some(({ ifVersion }) => ifVersion !== undefined && ifVersion > 0);
    if (conditioned && born !== undefined) steps.check(this.#tree.births, born.version);
    let births = false;
    operations.forEach((operation, i) => {
      const path = this.#tree.path(operation.key);
      const stat = stats[i];
      if (operation.op === 'delete') {
        if (stat !== undefined) steps.remove(path, stat.version);
        return;
      }
      const data = Buffer.from(encodeValue(operation.key, operation.value));
      if (stat !== undefined && ownedAs(stat, owner)) {
        steps.setData(path, data, operation.ifVersion === undefined ? -1 : stat.version);
        return;
      }
      births = true;
      if (stat !== undefined) steps.remove(path, stat.version);
      steps.create(path, this.#kind.acl, owner === undefined ? this.#kind.persistent : this.#kind.ephemeral);
      // The package takes a check for counter 0 as none, so that no node may be left at it.
      steps.setData(path, data, -1);
    });
    if (births) steps.setData(this.#tree.births, Buffer.alloc(0), -1);
    steps.setData(this.#tree.changes, Buffer.alloc(0), -1);
  }

  #checkSize(operations: readonly StoreOperation[]): void {
    let bytes = 200;
    for (const each of operations) {
      const value = each.op === 'put' ? Buffer.byteLength(encodeValue(each.key, each.value)) : 0;
      bytes += value + 3 * Buffer.byteLength(this.#tree.path(each.key)) + 200;
    }
    if (bytes > this.#maxBytes)
      throw new LibnetworkError(
        'INVALID_ARGUMENT',
        `a write of ${bytes} bytes: ZooKeeper takes ${this.#maxBytes}; split it, or raise maxBytes and the servers' jute.maxbuffer`,
        { field: 'value', value: bytes, limit: 'maxBytes' },
      );
  }
}

/** Whether the node is held as it shall be: by this session, or by none. */
function ownedAs(stat: Stat, owner: string | undefined): boolean {
  return owner === undefined ? !isEphemeral(stat) : stat.ephemeralOwner.toString('hex') === owner;
}
