import { randomInt } from 'node:crypto';
import { LibnetworkError } from '../../../errors.ts';
import type { FoundChain, FoundTable, RulesetBackend } from '../../firewall/backend.ts';
import type { Operation, Transaction } from '../../firewall/transaction.ts';
import { attributeMap } from '../netlink/attributes.ts';
import {
  encodeMessages,
  NETLINK_NETFILTER,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  replyError,
} from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import * as nft from './constants.ts';
import { decodeChain, decodeRule, decodeSet, foundSet } from './decode.ts';
import { batchEdge, encodeTransaction, type TableOptions } from './encode.ts';
import { RulesetWatch } from './watch.ts';
import { NftWriter } from './writer.ts';

/** Room for the refusals of a batch: each of its messages is answered, and thousands may be. */
const RECEIVE_BUFFER = 32 << 20;
const READ_ATTEMPTS = 10;
/** The kernel works some milliseconds on a batch of this many bytes: not on the main thread. */
const LARGE = 64 << 10;

/** nf_tables by netlink, in the namespace of `namespaceFd` (default: this thread's). */
export function netlinkBackend(namespaceFd?: number): RulesetBackend {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, namespaceFd, { receiveBuffer: RECEIVE_BUFFER });
  const watch = openWatch(namespaceFd, socket);
  const numbers = new OwnNumbers();
  return {
    commit: (transaction) => commit(socket, transaction, numbers),
    read: (table) => read(socket, table),
    watch: (table, onRemoval) =>
      watch.start(
        (family, name) => family === nft.NFPROTO_INET && name === table,
        ({ sequence }) => numbers.has(sequence),
        onRemoval,
      ),
    forget: (matches) => watch.forget(matches),
    close: async () => {
      watch.close();
      socket.close();
    },
  };
}

/** The same for a table that nobody else can change: there is nothing to watch, and closing ends it. */
export function ownedBackend(namespaceFd?: number): RulesetBackend {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, namespaceFd);
  const numbers = new OwnNumbers();
  return {
    commit: (transaction) => commit(socket, transaction, numbers, { owned: true }),
    read: (table) => read(socket, table),
    close: async () => socket.close(),
  };
}

function openWatch(namespaceFd: number | undefined, socket: NetlinkSocket): RulesetWatch {
  try {
    return new RulesetWatch(namespaceFd);
  } catch (error) {
    socket.close();
    throw error;
  }
}

/**
 * The sequence numbers of our own changes. They begin at random, so that a notification with one of them tells of a
 * change that we made ourselves.
 */
class OwnNumbers {
  #first = randomInt(2 ** 31);
  #next = this.#first;

  take(count: number): number {
    if (this.#next + count > 2 ** 32) this.#first = this.#next = randomInt(2 ** 31);
    this.#next += count;
    return this.#next - count;
  }

  has(sequence: number): boolean {
    return sequence >= this.#first && sequence < this.#next;
  }
}

/** Sends the whole transaction as one batch: the kernel takes all of it or nothing. */
async function commit(
  socket: NetlinkSocket,
  transaction: Transaction,
  numbers: OwnNumbers,
  options?: TableOptions,
): Promise<void> {
  const inner = encodeTransaction(transaction, options);
  const last = inner.pop();
  if (last === undefined) return;
  // One acknowledgement is enough: refusals are always told, and before it.
  const requests = [
    batchEdge(nft.NFNL_MSG_BATCH_BEGIN),
    ...inner,
    { ...last, flags: last.flags | NLM_F_ACK },
    batchEdge(nft.NFNL_MSG_BATCH_END),
  ];
  const first = numbers.take(requests.length);
  const bytes = encodeMessages(requests, first, NLM_F_REQUEST);
  const mode = bytes.length > LARGE || transaction.operations.some(waits) ? 'async' : 'sync';
  const answers = await socket.exchange(bytes, () => false, { mode });
  refuse(requests, first, answers);
}

/** Deletions may make the kernel wait for a grace period inside the send. */
function waits({ op }: Operation): boolean {
  return op === 'flushChain' || op.startsWith('delete');
}

/** Throws what the kernel refused first, or that it said nothing. */
function refuse(
  requests: readonly NetlinkRequest[],
  first: number,
  answers: readonly NetlinkMessage[],
): void {
  let acknowledged = false;
  for (const message of answers) {
    const request = requests[message.sequence - first];
    if (request === undefined || message.type !== NLMSG_ERROR) continue;
    const error = replyError(message, request.operation);
    if (error !== undefined) throw error;
    acknowledged = true;
  }
  if (!acknowledged)
    throw new LibnetworkError('INTERNAL', 'nf_tables transaction: the kernel sent no answer', {
      operation: 'nf_tables transaction',
    });
}

/** Reads until nobody changed anything between the first message and the last. */
async function read(socket: NetlinkSocket, table: string): Promise<FoundTable | undefined> {
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    const before = await generation(socket);
    const found = await readOnce(socket, table);
    if (before === (await generation(socket))) return found;
  }
  throw new LibnetworkError(
    'UNAVAILABLE',
    `table ${table}: the rules of this namespace changed during each of ${READ_ATTEMPTS} readings; try again`,
    { operation: `read table ${table}` },
  );
}

async function readOnce(socket: NetlinkSocket, table: string): Promise<FoundTable | undefined> {
  const named = (type: number) => NftWriter.message().attrString(type, table).finish();
  const ask = (type: number, payload: Buffer, what: string) =>
    ({ type, flags: 0, payload, operation: `read ${what} of table ${table}` }) satisfies NetlinkRequest;

  const [answer] = await socket.request([ask(nft.NFT_MSG_GETTABLE, named(nft.NFTA_TABLE_NAME), 'name')]);
  if (answer?.error?.errno === 'ENOENT') return undefined;
  if (answer?.error) throw answer.error;

  const chainMessages = await socket.dump(ask(nft.NFT_MSG_GETCHAIN, NftWriter.message().finish(), 'chains'));
  const ruleMessages = await socket.dump(ask(nft.NFT_MSG_GETRULE, named(nft.NFTA_RULE.TABLE), 'rules'));
  const setMessages = await socket.dump(ask(nft.NFT_MSG_GETSET, named(nft.NFTA_SET.TABLE), 'sets'));
  const sets = [];
  for (const set of setMessages.flatMap((payload) => decodeSet(payload) ?? [])) {
    const filter = NftWriter.message()
      .attrString(nft.NFTA_SET_ELEM_LIST.TABLE, table)
      .attrString(nft.NFTA_SET_ELEM_LIST.SET, set.name)
      .finish();
    const known = set.key.length > 0;
    const elements = known ? await socket.dump(ask(nft.NFT_MSG_GETSETELEM, filter, `set ${set.name}`)) : [];
    sets.push(foundSet(set, elements));
  }
  return { name: table, chains: withRules(table, chainMessages, ruleMessages), sets };
}

function withRules(table: string, chains: readonly Buffer[], rules: readonly Buffer[]): FoundChain[] {
  const byChain = new Map<string, FoundChain['rules'][number][]>();
  for (const { chain, rule } of rules.map(decodeRule)) {
    const list = byChain.get(chain) ?? [];
    list.push(rule);
    byChain.set(chain, list);
  }
  return chains
    .flatMap((payload) => decodeChain(payload, table) ?? [])
    .map((chain) => ({ ...chain, rules: byChain.get(chain.name) ?? [] }));
}

/** A number that changes with every change to the rules of the namespace. */
async function generation(socket: NetlinkSocket): Promise<string> {
  const payload = NftWriter.message(0).finish();
  const request = {
    type: nft.NFT_MSG_GETGEN,
    flags: 0,
    payload,
    operation: 'read the generation of the rules',
  };
  const [answer] = await socket.request([request]);
  if (answer?.error) throw answer.error;
  const id = answer?.payloads[0] && attributeMap(answer.payloads[0], 4).get(nft.NFTA_GEN_ID);
  return id?.toString('hex') ?? '';
}
