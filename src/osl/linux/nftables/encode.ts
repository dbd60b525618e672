/** A transaction as netlink messages, in the order of its operations. */
import { ruleMark } from '../../firewall/mark.ts';
import type { Element, Hook, KeyType, Rule } from '../../firewall/model.ts';
import type { Operation, SetDeclaration, Transaction } from '../../firewall/transaction.ts';
import { type NetlinkRequest, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from '../netlink/message.ts';
import * as nft from './constants.ts';
import { writeExpressions } from './expressions.ts';
import { slotUserdata } from './slots.ts';
import { encodeUserdata } from './userdata.ts';
import { encodeValue, sizeOf, typeNumber } from './values.ts';
import { NftWriter } from './writer.ts';

/** A message's attribute of attributes is limited to 64 KiB; this many elements stay well below. */
const ELEMENTS_PER_MESSAGE = 256;
const NEW = NLM_F_CREATE | NLM_F_EXCL;

/** Without this `nft` shows interface names as empty texts (libnftnl's udata: key byte order, 4 bytes, host's). */
const HOST_ORDER_KEYS = Buffer.of(0, 4, 1, 0, 0, 0);

export interface TableOptions {
  /** Tables are made so that nobody else can change them, and end with the socket that made them. */
  readonly owned?: boolean;
}

/** The messages between the batch's begin and end. */
export function encodeTransaction(
  { table, operations }: Transaction,
  { owned = false }: TableOptions = {},
): NetlinkRequest[] {
  const setIds = new Map<string, number>();
  return operations.flatMap((operation) => {
    const requests = encodeOperation(table, operation, setIds);
    return owned && operation.op === 'addTable' ? requests.map(asOwner) : requests;
  });
}

/** A table is made by one message: its flags are the last attribute of it. */
function asOwner(request: NetlinkRequest): NetlinkRequest {
  const flags = new NftWriter().attrU32BE(nft.NFTA_TABLE_FLAGS, nft.NFT_TABLE_F_OWNER).finish();
  return { ...request, payload: Buffer.concat([request.payload, flags]) };
}

/** The two messages that make one transaction of what is between them. */
export function batchEdge(type: number): NetlinkRequest {
  const payload = NftWriter.message(0, nft.NFNL_SUBSYS_NFTABLES).finish();
  return { type, flags: 0, payload, operation: 'the nf_tables transaction' };
}

function encodeOperation(table: string, operation: Operation, setIds: Map<string, number>): NetlinkRequest[] {
  const request = (type: number, flags: number, object: string, fill: (writer: NftWriter) => void) => {
    const writer = NftWriter.message();
    fill(writer);
    return {
      type,
      flags,
      payload: writer.finish(),
      operation: `${operation.op} ${object} in table ${table}`,
    };
  };
  switch (operation.op) {
    case 'addTable':
      return [request(nft.NFT_MSG_NEWTABLE, NEW, table, (w) => w.attrString(nft.NFTA_TABLE_NAME, table))];
    case 'deleteTable':
      return [request(nft.NFT_MSG_DELTABLE, 0, table, (w) => w.attrString(nft.NFTA_TABLE_NAME, table))];
    case 'addChain':
      return [
        request(nft.NFT_MSG_NEWCHAIN, NEW, operation.chain, (w) => {
          w.attrString(nft.NFTA_CHAIN.TABLE, table).attrString(nft.NFTA_CHAIN.NAME, operation.chain);
          if (operation.hook !== undefined) writeHook(w, operation.hook);
        }),
      ];
    case 'deleteChain':
      return [
        request(nft.NFT_MSG_DELCHAIN, 0, operation.chain, (w) =>
          w.attrString(nft.NFTA_CHAIN.TABLE, table).attrString(nft.NFTA_CHAIN.NAME, operation.chain),
        ),
      ];
    case 'flushChain':
      return [
        request(nft.NFT_MSG_DELRULE, 0, operation.chain, (w) =>
          w.attrString(nft.NFTA_RULE.TABLE, table).attrString(nft.NFTA_RULE.CHAIN, operation.chain),
        ),
      ];
    case 'addRules':
      return operation.rules.map((rule) =>
        request(
          nft.NFT_MSG_NEWRULE,
          NLM_F_CREATE | NLM_F_APPEND,
          `${operation.chain} "${rule.comment}"`,
          (w) => writeRule(w, table, operation.chain, rule),
        ),
      );
    case 'addSet':
      setIds.set(operation.set.name, setIds.size + 1);
      return [
        request(nft.NFT_MSG_NEWSET, NEW, operation.set.name, (w) =>
          writeSet(w, table, operation.set, setIds.size),
        ),
      ];
    case 'deleteSet':
      return [
        request(nft.NFT_MSG_DELSET, 0, operation.set.name, (w) =>
          w.attrString(nft.NFTA_SET.TABLE, table).attrString(nft.NFTA_SET.NAME, operation.set.name),
        ),
      ];
    case 'addElements':
    case 'deleteElements': {
      const add = operation.op === 'addElements';
      return portions(operation.elements).map((elements) =>
        request(
          add ? nft.NFT_MSG_NEWSETELEM : nft.NFT_MSG_DELSETELEM,
          add ? NEW : 0,
          describe(operation.set, elements),
          (w) => writeElements(w, table, operation.set, elements, add),
        ),
      );
    }
  }
}

function writeHook(writer: NftWriter, { type, hook, priority, policy }: Hook): void {
  writer
    .group(nft.NFTA_CHAIN.HOOK, (inner) =>
      inner.attrU32BE(nft.NFTA_HOOK.HOOKNUM, nft.HOOKS[hook]).attrU32BE(nft.NFTA_HOOK.PRIORITY, priority),
    )
    .attrU32BE(nft.NFTA_CHAIN.POLICY, nft.VERDICTS[policy])
    .attrString(nft.NFTA_CHAIN.TYPE, type);
}

function writeRule(writer: NftWriter, table: string, chain: string, rule: Rule): void {
  writer
    .attrString(nft.NFTA_RULE.TABLE, table)
    .attrString(nft.NFTA_RULE.CHAIN, chain)
    .group(nft.NFTA_RULE.EXPRESSIONS, (list) => writeExpressions(list, rule))
    .attrBytes(nft.NFTA_RULE.USERDATA, encodeUserdata(rule.comment, ruleMark(rule)));
}

/** What the values of a map are made of. */
export function valueTypes(value: SetDeclaration['value']): KeyType[] {
  if (value === 'none' || value === 'verdict') return [];
  return value === 'ipv4' || value === 'ipv6' ? [value] : [value === 'ipv4 . port' ? 'ipv4' : 'ipv6', 'port'];
}

function writeSet(
  writer: NftWriter,
  table: string,
  { name, key, value, timeouts }: SetDeclaration,
  id: number,
): void {
  writer
    .attrString(nft.NFTA_SET.TABLE, table)
    .attrString(nft.NFTA_SET.NAME, name)
    .attrU32BE(
      nft.NFTA_SET.FLAGS,
      (value === 'none' ? 0 : nft.NFT_SET_MAP) | (timeouts ? nft.NFT_SET_TIMEOUT : 0),
    )
    .attrU32BE(nft.NFTA_SET.KEY_TYPE, typeNumber(key))
    .attrU32BE(nft.NFTA_SET.KEY_LEN, sizeOf(key))
    .attrU32BE(nft.NFTA_SET.ID, id);
  const family = key.includes('slot') && (key.includes('ipv4') ? 'ipv4' : 'ipv6');
  if (family) writer.attrBytes(nft.NFTA_SET.USERDATA, slotUserdata(family));
  if (key.includes('ifname')) writer.attrBytes(nft.NFTA_SET.USERDATA, HOST_ORDER_KEYS);
  if (value === 'none') return;
  const types = valueTypes(value);
  writer
    .attrU32BE(nft.NFTA_SET.DATA_TYPE, value === 'verdict' ? nft.NFT_DATA_VERDICT : typeNumber(types))
    .attrU32BE(nft.NFTA_SET.DATA_LEN, sizeOf(types));
}

function writeElements(
  writer: NftWriter,
  table: string,
  set: SetDeclaration,
  elements: readonly Element[],
  withValues: boolean,
): void {
  writer
    .attrString(nft.NFTA_SET_ELEM_LIST.TABLE, table)
    .attrString(nft.NFTA_SET_ELEM_LIST.SET, set.name)
    .group(nft.NFTA_SET_ELEM_LIST.ELEMENTS, (list) => {
      for (const { key, value, expires } of elements)
        list.group(nft.NFTA_LIST_ELEM, (element) => {
          element.data(nft.NFTA_SET_ELEM.KEY, encodeValue(set.key, key));
          if (withValues && expires !== undefined)
            element.attrU64BE(nft.NFTA_SET_ELEM.TIMEOUT, left(expires));
          if (!withValues || value === undefined) return;
          if ('kind' in value) element.verdict(nft.NFTA_SET_ELEM.DATA, value);
          else element.data(nft.NFTA_SET_ELEM.DATA, encodeValue(valueTypes(set.value), value));
        });
    });
}

/** Milliseconds from now, one at least: 0 would be for ever. */
function left(expires: number): bigint {
  return BigInt(Math.max(1, Math.round(expires - Date.now())));
}

function portions(elements: readonly Element[]): (readonly Element[])[] {
  const count = Math.ceil(elements.length / ELEMENTS_PER_MESSAGE);
  return Array.from({ length: count }, (_, index) =>
    elements.slice(index * ELEMENTS_PER_MESSAGE, (index + 1) * ELEMENTS_PER_MESSAGE),
  );
}

/** The kernel does not tell which element of a message it refused. */
function describe(set: SetDeclaration, elements: readonly Element[]): string {
  const first = elements[0]?.key.join(' . ') ?? '';
  return elements.length === 1
    ? `${set.name} ${first}`
    : `${set.name} ${first} and ${elements.length - 1} more`;
}
