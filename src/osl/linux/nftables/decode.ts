/** What the kernel tells of a table, as the model. What is not ours is told too, as far as deleting it needs. */
import type { FoundChain, FoundRule } from '../../firewall/backend.ts';
import type { Element, ElementSet, Hook, Verdict } from '../../firewall/model.ts';
import type { SetDeclaration } from '../../firewall/transaction.ts';
import { attributeMap, eachAttribute, readString, requireLength } from '../netlink/attributes.ts';
import * as nft from './constants.ts';
import { valueTypes } from './encode.ts';
import { decodeUserdata } from './userdata.ts';
import { decodeValue, typeNumber, typesOf } from './values.ts';

const NFGENMSG = 4;
type Attributes = ReadonlyMap<number, Buffer>;

const attributesOf = (payload: Buffer): Attributes => attributeMap(payload, NFGENMSG);

function text(attributes: Attributes, type: number): string {
  const value = attributes.get(type);
  return value === undefined ? '' : readString(value, 0, value.length);
}

function number(attributes: Attributes, type: number): number {
  const value = attributes.get(type);
  if (value === undefined) return 0;
  requireLength(value, 4);
  return value.readUInt32BE();
}

/** A chain of a table, without rules; `undefined` for one of another table. */
export function decodeChain(payload: Buffer, table: string): Omit<FoundChain, 'rules'> | undefined {
  const attributes = attributesOf(payload);
  if (text(attributes, nft.NFTA_CHAIN.TABLE) !== table) return undefined;
  const hook = decodeHook(attributes);
  return { name: text(attributes, nft.NFTA_CHAIN.NAME), ...(hook && { hook }) };
}

function decodeHook(chain: Attributes): Hook | undefined {
  const nest = chain.get(nft.NFTA_CHAIN.HOOK);
  if (nest === undefined) return undefined;
  const place = attributeMap(nest);
  const where = keyOf(nft.HOOKS, number(place, nft.NFTA_HOOK.HOOKNUM));
  const type = text(chain, nft.NFTA_CHAIN.TYPE);
  if (where === undefined || (type !== 'filter' && type !== 'nat')) return undefined;
  return {
    type,
    hook: where,
    priority: number(place, nft.NFTA_HOOK.PRIORITY) | 0,
    policy: number(chain, nft.NFTA_CHAIN.POLICY) === nft.VERDICTS.drop ? 'drop' : 'accept',
  };
}

export function decodeRule(payload: Buffer): { chain: string; rule: FoundRule } {
  const attributes = attributesOf(payload);
  const rule = decodeUserdata(attributes.get(nft.NFTA_RULE.USERDATA) ?? Buffer.alloc(0));
  return { chain: text(attributes, nft.NFTA_RULE.CHAIN), rule };
}

/** A set without its elements; `undefined` for the unnamed ones, which live and die with a rule. */
export function decodeSet(payload: Buffer): SetDeclaration | undefined {
  const attributes = attributesOf(payload);
  const allFlags = number(attributes, nft.NFTA_SET.FLAGS);
  if (allFlags & nft.NFT_SET_ANONYMOUS) return undefined;
  const timeouts = (allFlags & nft.NFT_SET_TIMEOUT) !== 0;
  const flags = allFlags & ~nft.NFT_SET_TIMEOUT;
  const name = text(attributes, nft.NFTA_SET.NAME);
  const known = flags === 0 || flags === nft.NFT_SET_MAP;
  const key = typesOf(number(attributes, nft.NFTA_SET.KEY_TYPE));
  const value = flags === 0 ? 'none' : decodeValueType(number(attributes, nft.NFTA_SET.DATA_TYPE));
  // A set of a kind that we never make has no key here: it equals none of ours, and its name deletes it.
  return known && key && value
    ? { name, key, value, ...(timeouts && { timeouts }) }
    : { name, key: [], value: 'none' };
}

function decodeValueType(type: number): SetDeclaration['value'] | undefined {
  if (type === nft.NFT_DATA_VERDICT) return 'verdict';
  return (['ipv4', 'ipv6', 'ipv4 . port', 'ipv6 . port'] as const).find(
    (value) => typeNumber(valueTypes(value)) === type,
  );
}

export function decodeElements(payload: Buffer, set: SetDeclaration): Element[] {
  const list = attributesOf(payload).get(nft.NFTA_SET_ELEM_LIST.ELEMENTS);
  const elements: Element[] = [];
  if (list !== undefined)
    eachAttribute(list, 0, list.length, (_, start, end) => {
      elements.push(decodeElement(attributeMap(list, start, end), set));
    });
  return elements;
}

function decodeElement(attributes: Attributes, set: SetDeclaration): Element {
  const key = decodeValue(set.key, data(attributes.get(nft.NFTA_SET_ELEM.KEY), nft.NFTA_DATA.VALUE));
  const value = attributes.get(nft.NFTA_SET_ELEM.DATA);
  const expiration = attributes.get(nft.NFTA_SET_ELEM.EXPIRATION);
  if (expiration?.length === 8) return { key, expires: Date.now() + Number(expiration.readBigUInt64BE()) };
  if (set.value === 'none') return { key };
  if (set.value === 'verdict') return { key, value: decodeVerdict(data(value, nft.NFTA_DATA.VERDICT)) };
  const [address = '', port] = decodeValue(valueTypes(set.value), data(value, nft.NFTA_DATA.VALUE));
  return { key, value: port === undefined ? [address] : [address, port] };
}

function data(nest: Buffer | undefined, type: number): Buffer {
  return (nest && attributeMap(nest).get(type)) ?? Buffer.alloc(0);
}

function decodeVerdict(nest: Buffer): Verdict {
  const attributes = attributeMap(nest);
  const kind = keyOf(nft.VERDICTS, number(attributes, nft.NFTA_VERDICT.CODE)) ?? 'drop';
  if (kind === 'jump' || kind === 'goto') return { kind, chain: text(attributes, nft.NFTA_VERDICT.CHAIN) };
  return { kind };
}

function keyOf<K extends string>(numbers: Readonly<Record<K, number>>, wanted: number): K | undefined {
  for (const key in numbers) if (numbers[key] === wanted) return key;
  return undefined;
}

/** A set as it was found, of a declaration and the messages about its elements. */
export function foundSet(set: SetDeclaration, payloads: readonly Buffer[]): ElementSet {
  return { ...set, elements: payloads.flatMap((payload) => decodeElements(payload, set)) };
}
