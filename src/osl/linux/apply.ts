import { LibnetworkError } from '../../errors.ts';
import { kernelError } from '../errno.ts';
import type { Change, Namespace, Waits } from '../osl.ts';
import { explainRefusal } from './capabilities.ts';
import { type KnownLink, type Message, type Plan, plan, type Resolved } from './changes.ts';
import type { Born, Handle } from './handle.ts';
import { askForLink, decodePlace, encodeDeleteLink, RTM_DELLINK } from './netlink/link.ts';
import type { NetlinkRequest } from './netlink/message.ts';
import type { NetlinkSocket, Reply, RequestOptions } from './netlink/socket.ts';

/** Finds the handle behind a namespace. @throws INVALID_ARGUMENT for one of another osl */
export type HandleOf = (namespace: Namespace, field: string) => Handle;

/** See `Namespace.apply`. Validates all changes before it sends the first. */
export async function applyChanges(
  handle: Handle,
  changes: readonly Change[],
  handleOf: HandleOf,
  options: Waits = {},
): Promise<void> {
  const plans = changes.map((change, index) => plan(change, `changes[${index}]`));
  const places = changes.map((change, index) => placesOf(change, `changes[${index}]`, handleOf));
  const handles = [handle, ...places.flatMap(({ own, peer }) => [own, peer])].filter(
    (each) => each !== undefined,
  );
  const releases = handles.map((each) => each.hold());
  const releaseAll = () => {
    for (const release of releases) release();
  };
  const mode = plans.some(({ slow }) => slow) ? ('async' as const) : undefined;
  try {
    const bridge = believedBridge(handle, plans);
    const run = (believed?: Bridge) =>
      new Application(handle, plans, places, { ...options, mode }).run(believed);
    if (bridge === undefined) await run();
    else await run(bridge).catch((error: unknown) => againUnless(error, handle, bridge, run));
  } finally {
    // A caller who gave up leaves messages under way, and these name descriptors.
    if (options.signal?.aborted) void handle.socket.idle().then(releaseAll, releaseAll);
    else releaseAll();
  }
}

interface Bridge {
  readonly name: string;
  readonly index: number;
}

/**
 * The bridge that a new veth becomes a port of, where its index is known from the veth before. Only where nothing
 * else is changed, so that all can be tried again with the bridge looked up.
 */
function believedBridge(handle: Handle, [first, ...others]: readonly Plan[]): Bridge | undefined {
  const change = first?.change;
  if (change?.op !== 'createLink' || change.link.kind !== 'veth') return undefined;
  const { name: own, master: name, namespace } = change;
  if (name === undefined || namespace || others.some(({ needs }) => needs.some((need) => need !== own)))
    return undefined;
  const index = handle.bridges.get(name);
  return index === undefined ? undefined : { name, index };
}

/** Tries again what was refused, with the bridge looked up, unless it was refused for the veth's own name. */
async function againUnless(
  error: unknown,
  handle: Handle,
  bridge: Bridge,
  run: () => Promise<void>,
): Promise<void> {
  handle.bridges.delete(bridge.name);
  if (!LibnetworkError.is(error) || error.errno === undefined || error.errno === 'EEXIST') throw error;
  await run();
}

/** The namespaces that a change names, beside the one that it is applied to. */
interface Places {
  readonly own: Handle | undefined;
  readonly peer: Handle | undefined;
}

function placesOf(change: Change, at: string, handleOf: HandleOf): Places {
  if (change.op !== 'createLink' && change.op !== 'setLink') return { own: undefined, peer: undefined };
  const peer =
    change.op === 'createLink' && change.link.kind === 'veth' ? change.link.peer.namespace : undefined;
  return {
    own: change.namespace && handleOf(change.namespace, `${at}.namespace`),
    peer: peer && handleOf(peer, `${at}.link.peer.namespace`),
  };
}

/**
 * One run over the plans. Messages gather until a change needs an index that is not known yet; then they are
 * sent together, followed in the same send by the look-ups of all names that the changes ahead need. So a batch
 * on links that exist costs two sends, however long it is.
 */
class Application {
  readonly #handle: Handle;
  readonly #socket: NetlinkSocket;
  readonly #plans: readonly Plan[];
  readonly #places: readonly Places[];
  readonly #options: RequestOptions;
  readonly #links = new Map<string, KnownLink | LibnetworkError>();
  readonly #born = new Map<string, Born>();
  readonly #failures = new Map<number, LibnetworkError>();
  #gathered: { readonly index: number; readonly message: Message }[] = [];

  constructor(handle: Handle, plans: readonly Plan[], places: readonly Places[], options: RequestOptions) {
    this.#handle = handle;
    this.#socket = handle.socket;
    this.#plans = plans;
    this.#places = places;
    this.#options = options;
  }

  async run(bridge: Bridge | undefined): Promise<void> {
    if (bridge) this.#links.set(bridge.name, { index: bridge.index, master: undefined });
    this.#takeExpected();
    for (const [index, each] of this.#plans.entries()) {
      if (each.needs.some((name) => !this.#links.has(name))) await this.#send(this.#unknownFrom(index));
      const place = this.#places[index]?.own;
      const birthplace =
        each.needsAtBirthplace !== undefined && place
          ? await this.#lookUpAt(place, each.needsAtBirthplace)
          : undefined;
      this.#gather(index, each, birthplace);
      for (const name of each.touches) this.#links.delete(name);
      if (each.afterBirth) await this.#complete(index, each.afterBirth);
      if (each.proof && each.change.op === 'createLink')
        await this.#prove(index, each.change.name, each.proof);
    }
    const risen = this.#plans.flatMap(({ change }) =>
      change.op === 'setLink' && change.up === true ? (this.#born.get(change.name) ?? []) : [],
    );
    await this.#send([], risen);
    this.#tellExpected();
    if (this.#failures.size === 0) for (const { carries } of risen) await this.#settle(carries);
    const first = Math.min(...this.#failures.keys());
    const failure = this.#failures.get(first);
    if (failure) throw explainRefusal(describe(failure, first, this.#plans[first]?.change));
  }

  /** Links that were just born here need no look-up, unless these changes make or rename them. */
  #takeExpected(): void {
    for (const { needs } of this.#plans) {
      for (const name of needs) {
        const born = this.#handle.takeExpected(name);
        if (born === undefined) continue;
        this.#links.set(name, { index: born.index, master: undefined });
        this.#born.set(name, born);
      }
    }
  }

  /** Whatever else is born or moved to a namespace under a name makes an older expectation void. */
  #tellExpected(): void {
    for (const [at, { change, indexes }] of this.#plans.entries()) {
      const places = this.#places[at];
      if (change.op !== 'createLink' && change.op !== 'setLink') continue;
      places?.own?.born.delete(change.name);
      (places?.own ?? this.#handle).bridges.delete(change.name);
      if (change.op !== 'createLink' || change.link.kind !== 'veth') continue;
      const bridge = change.master === undefined || places?.own ? undefined : this.#links.get(change.master);
      if (bridge && !(bridge instanceof LibnetworkError) && !this.#failures.has(at))
        this.#handle.bridges.set(change.master ?? '', bridge.index);
      if (!indexes || !places?.peer || this.#failures.has(at)) continue;
      const handle = places.own ?? this.#handle;
      const carried = bridge && 'index' in bridge ? [indexes.own, bridge.index] : [indexes.own];
      places.peer.born.set(change.link.peer.name, {
        index: indexes.peer,
        carries: { handle, indexes: carried },
      });
    }
  }

  #gather(index: number, each: Plan, birthplace: KnownLink | LibnetworkError | undefined): void {
    const places = this.#places[index];
    try {
      const resolved: Resolved = {
        link: (name) => known(this.#links.get(name), name),
        birthplaceLink: (name) => known(birthplace, name),
        namespaceFd: places?.own?.number,
        peerNamespaceFd: places?.peer?.number,
      };
      for (const message of each.encode(resolved)) this.#gathered.push({ index, message });
    } catch (error) {
      if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
      this.#failures.set(index, error);
    }
  }

  /** Sends what comes after a birth, where the link was born, if it was. */
  async #complete(index: number, message: Message): Promise<void> {
    await this.#send([]);
    if (this.#failures.has(index)) return;
    const socket = this.#places[index]?.own?.socket ?? this.#socket;
    const [reply] = await socket.request([{ ...message, operation: 'set the alias' }], this.#options);
    if (reply?.error) this.#failures.set(index, reply.error);
  }

  /** Deletes a link again that is not what was asked for. */
  async #prove(index: number, name: string, proof: NonNullable<Plan['proof']>): Promise<void> {
    await this.#send([]);
    if (this.#failures.has(index)) return;
    const socket = this.#places[index]?.own?.socket ?? this.#socket;
    const [found] = await socket.request([lookup(name)], this.#options);
    const { index: born } = known(linkOf(found), name);
    const [reply] = await socket.request([{ ...proof(born), operation: 'prove a link' }], this.#options);
    if (!reply?.error) return;
    const text = 'this kernel was built without a part of what is asked for';
    this.#failures.set(index, kernelError('createLink', reply.error.errno ?? 'EOPNOTSUPP', text));
    const remove = { type: RTM_DELLINK, flags: 0, payload: encodeDeleteLink({ name }) };
    await socket.request([{ ...remove, operation: `delete ${name} again` }], { mode: 'async' });
  }

  async #lookUpAt(place: Handle, name: string): Promise<KnownLink | LibnetworkError | undefined> {
    const [reply] = await place.socket.request([lookup(name)], this.#options);
    return linkOf(reply);
  }

  /**
   * Brings the carriers of a veth's far end, and of its bridge, up to date. Refusals mean nothing: a link that is gone
   * again carries nothing.
   */
  async #settle({ handle, indexes }: Born['carries']): Promise<void> {
    if (!handle.isClosed) await handle.socket.request(indexes.map(carrierOf), this.#options);
  }

  /** Names that this change and those ahead need, unless something on the way changes what they mean. */
  #unknownFrom(index: number): readonly string[] {
    const names = new Set<string>();
    const changed = new Set<string>();
    for (const each of this.#plans.slice(index)) {
      for (const name of each.needs) if (!this.#links.has(name) && !changed.has(name)) names.add(name);
      for (const name of each.touches) changed.add(name);
    }
    return [...names];
  }

  /** @param settled links of this namespace whose carrier is brought up to date after the changes */
  async #send(lookups: readonly string[], settled: readonly Born[] = []): Promise<void> {
    const gathered = this.#gathered;
    if (gathered.length + lookups.length === 0) return;
    this.#gathered = [];
    const requests = gathered.map(({ message, index }) => ({ ...message, operation: `changes[${index}]` }));
    const questions = [...lookups.map(lookup), ...settled.map(({ index }) => carrierOf(index))];
    const replies = await this.#socket.request([...requests, ...questions], this.#options);
    for (const [at, { index }] of gathered.entries()) {
      const error = replies[at]?.error;
      if (error && !this.#failures.has(index)) this.#failures.set(index, error);
    }
    for (const [at, name] of lookups.entries()) {
      const link = linkOf(replies[gathered.length + at]);
      if (link) this.#links.set(name, link);
    }
  }
}

function lookup(name: string): NetlinkRequest {
  return askForLink({ name }, 'find a link');
}

/**
 * The kernel sees to a carrier that came up on a thread of its own (net/core/link_watch.c), which may have to wait for
 * a lock that others hold for long; until then, all that is sent by the link is lost, and is tried again a second later.
 * Whoever asks for the link has it done at once (`linkwatch_sync_dev`, since Linux 6.8).
 */
function carrierOf(index: number): NetlinkRequest {
  return askForLink({ index }, 'settle a carrier');
}

function linkOf(reply: Reply | undefined): KnownLink | LibnetworkError | undefined {
  const payload = reply?.payloads[0];
  return reply?.error ?? (payload && decodePlace(payload));
}

function known(found: KnownLink | LibnetworkError | undefined, name: string): KnownLink {
  if (found && !(found instanceof LibnetworkError)) return found;
  const text = `there is no link ${name}`;
  throw new LibnetworkError('NOT_FOUND', text, { errno: found?.errno ?? 'ENODEV', kernelMessage: text });
}

/** The failure of one change, in words that say which and on what. */
function describe(failure: LibnetworkError, index: number, change: Change | undefined): LibnetworkError {
  const operation = `changes[${index}] ${change?.op}`;
  const errno = failure.errno ?? failure.code;
  const reason = failure.kernelMessage ? `${errno} (${failure.kernelMessage})` : errno;
  const text = [operation, ...(change ? subject(change) : [])].join(' ');
  return new LibnetworkError(failure.code, `${text}: ${reason}`, {
    operation,
    errno,
    ...(failure.kernelMessage ? { kernelMessage: failure.kernelMessage } : {}),
    cause: failure,
  });
}

function subject(change: Change): readonly string[] {
  switch (change.op) {
    case 'createLink':
      return [change.link.kind, change.name];
    case 'setLink':
      return [change.name];
    case 'addAddress':
    case 'deleteAddress':
      return [change.address, 'on', change.link];
    case 'setNeighbour':
    case 'deleteNeighbour':
      return [change.address ?? change.macAddress, 'on', change.link];
    case 'addBridgeVlan':
    case 'deleteBridgeVlan':
      return ['VLAN', `${change.id}`, 'on', change.link];
    default:
      return [change.family, change.destination, ...(change.gateway ? ['via', change.gateway] : [])];
  }
}
