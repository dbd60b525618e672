import type { ACL } from 'node-zookeeper-client';
import type { Call } from '../remote/calls.ts';
import { codeOf, NODE_EXISTS } from './failure.ts';
import type { CheckedZookeeperOptions } from './options.ts';
import { Session, type ZookeeperModule } from './session.ts';
import type { NodeKind } from './writes.ts';

/** How long the main session outlives a lost connection, in milliseconds: nothing depends on it. */
const MAIN_TIMEOUT_MS = 10_000;

/** The sessions of one store: the main one, made anew when it has expired, and one for each lease. */
export class Sessions {
  readonly kind: NodeKind;
  readonly #zookeeper: ZookeeperModule;
  readonly #options: CheckedZookeeperOptions;
  #main: Session | undefined;
  #made: Promise<void> | undefined;

  constructor(zookeeper: ZookeeperModule, options: CheckedZookeeperOptions) {
    this.#zookeeper = zookeeper;
    this.#options = options;
    const { ACL: Acl, CreateMode, Id, Permission } = zookeeper;
    const own: ACL[] = [new Acl(Permission.ALL, new Id('auth', ''))];
    const open: ACL[] = [new Acl(Permission.ALL, new Id('world', 'anyone'))];
    this.kind = {
      acl: options.auth ? own : open,
      ephemeral: CreateMode.EPHEMERAL,
      persistent: CreateMode.PERSISTENT,
    };
  }

  open(timeoutMs: number): Session {
    return new Session(this.#zookeeper, this.#options, timeoutMs);
  }

  current(): Session {
    if (this.#main === undefined || this.#main.over) this.#main = this.open(MAIN_TIMEOUT_MS);
    return this.#main;
  }

  /** The main session, connected, with the nodes that everything is kept under. */
  async ready(call: Call): Promise<Session> {
    const session = this.current();
    await session.ready(call.signal);
    this.#made ??= this.#makeTree(session);
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
    return session;
  }

  async close(): Promise<void> {
    await this.#main?.close();
  }

  async #makeTree(session: Session): Promise<void> {
    const { root } = this.#options;
    const parts = root.slice(1).split('/');
    const above = parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`);
    for (const path of [...above, `${root}/data`]) await unlessThere(session.create(path, this.kind.acl));
    for (const path of [`${root}/changes`, `${root}/births`])
      await unlessThere(
        session.multi((steps) =>
          // The package takes a check for counter 0 as none: the counter starts at 1.
          steps.create(path, this.kind.acl, this.kind.persistent).setData(path, Buffer.alloc(0), -1),
        ),
      );
  }
}

async function unlessThere(making: Promise<unknown>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (codeOf(error) !== NODE_EXISTS) throw error;
  }
}
