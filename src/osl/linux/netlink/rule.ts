import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { type Family, formatPrefix, fromBytes, type Prefix, toBytes } from '../../../ip.ts';
import { familyName, familyNumber } from './address.ts';
import { eachAttribute, readNumber, readString, requireLength, Writer } from './attributes.ts';

/** linux/rtnetlink.h, linux/fib_rules.h */
export const RTM_NEWRULE = MessageType.NEWRULE;
export const RTM_DELRULE = MessageType.DELRULE;
export const RTM_GETRULE = MessageType.GETRULE;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FIB_RULE_INVERT = 2;
const HEADER = 12;
/** Tables beyond a byte are named by the attribute alone. */
const RT_TABLE_COMPAT = 252;

/** `FR_ACT_*`. */
const ACTIONS = { lookup: 1, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
export type RuleAction = keyof typeof ACTIONS;

/** A policy routing rule (`ip rule`): packets that everything named here is true of are routed by its action. */
export interface RuleFields {
  readonly family: Family;
  /** Rules are asked in the order of their priorities; the kernel's own are 0, 32766 and 32767. */
  readonly priority: number;
  readonly action: RuleAction;
  /** Of `lookup`: the routing table. */
  readonly table?: number | undefined;
  readonly from?: Prefix | undefined;
  readonly to?: Prefix | undefined;
  readonly inLink?: string | undefined;
  readonly outLink?: string | undefined;
  readonly mark?: { readonly value: number; readonly mask: number } | undefined;
  /** Of `lookup`: routes of a prefix that is not longer than this do not count; 0 leaves the default route out. */
  readonly suppressPrefixLength?: number | undefined;
  /** True for packets that not everything named is true of. */
  readonly not?: boolean | undefined;
}

/** The payload of RTM_NEWRULE and RTM_DELRULE; the latter deletes the first rule that has all of these. */
export function encodeRule(rule: RuleFields): Buffer {
  const { from, to, table = 0, mark } = rule;
  const writer = new Writer(128);
  writer
    .u8(familyNumber(rule.family))
    .u8(to?.length ?? 0)
    .u8(from?.length ?? 0)
    .u8(0);
  writer
    .u8(table < 256 ? table : RT_TABLE_COMPAT)
    .u8(0)
    .u8(0);
  writer.u8(ACTIONS[rule.action]).u32(rule.not ? FIB_RULE_INVERT : 0);
  writer.attrU32(FRA_PRIORITY, rule.priority);
  if (from) writer.attrBytes(FRA_SRC, toBytes(from));
  if (to) writer.attrBytes(FRA_DST, toBytes(to));
  if (rule.inLink !== undefined) writer.attrString(FRA_IIFNAME, rule.inLink);
  if (rule.outLink !== undefined) writer.attrString(FRA_OIFNAME, rule.outLink);
  if (mark) writer.attrU32(FRA_FWMARK, mark.value).attrU32(FRA_FWMASK, mark.mask);
  if (rule.table !== undefined) writer.attrU32(FRA_TABLE, rule.table);
  if (rule.suppressPrefixLength !== undefined)
    writer.attrU32(FRA_SUPPRESS_PREFIXLEN, rule.suppressPrefixLength);
  return writer.finish();
}

/** The payload of an RTM_GETRULE dump. */
export function encodeGetRules(family: Family): Buffer {
  return new Writer(HEADER).u8(familyNumber(family)).u8(0).u16(0).u32(0).u32(0).finish();
}

/** Decodes RTM_NEWRULE; `undefined` for other families and for actions that are none of ours. */
export function decodeRule(data: Buffer): RuleFields | undefined {
  requireLength(data, HEADER);
  const family = familyName(data.readUInt8(0));
  const action = actionName(data.readUInt8(7));
  if (!family || !action) return undefined;
  const prefix = (start: number, end: number, length: number): Prefix | undefined => {
    const fits = end - start === (family === 'ipv4' ? 4 : 16);
    return fits ? { ...fromBytes(data.subarray(start, end)), length } : undefined;
  };
  const found: { -readonly [K in keyof RuleFields]: RuleFields[K] } = { family, action, priority: 0 };
  let table = data.readUInt8(4);
  let value = 0;
  let mask: number | undefined;
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type === FRA_PRIORITY) found.priority = readNumber(data, start, end);
    else if (type === FRA_DST) found.to = prefix(start, end, data.readUInt8(1));
    else if (type === FRA_SRC) found.from = prefix(start, end, data.readUInt8(2));
    else if (type === FRA_IIFNAME) found.inLink = readString(data, start, end);
    else if (type === FRA_OIFNAME) found.outLink = readString(data, start, end);
    else if (type === FRA_TABLE) table = readNumber(data, start, end);
    else if (type === FRA_FWMARK) value = readNumber(data, start, end);
    else if (type === FRA_FWMASK) mask = readNumber(data, start, end);
    // All ones stands for none.
    else if (type === FRA_SUPPRESS_PREFIXLEN && data.readInt32LE(start) >= 0)
      found.suppressPrefixLength = readNumber(data, start, end);
  });
  if (action === 'lookup') found.table = table;
  if (mask !== undefined) found.mark = { value, mask };
  if ((data.readUInt32LE(8) & FIB_RULE_INVERT) !== 0) found.not = true;
  return found;
}

function actionName(number: number): RuleAction | undefined {
  return (Object.keys(ACTIONS) as RuleAction[]).find((name) => ACTIONS[name] === number);
}

/** A rule in words, as `ip rule` has it. */
export function formatRule(rule: RuleFields): string {
  const { from, to, mark } = rule;
  const conditions = [
    rule.not ? 'not' : '',
    `from ${from ? formatPrefix(from) : 'all'}`,
    to ? `to ${formatPrefix(to)}` : '',
    mark ? `fwmark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}` : '',
    rule.inLink === undefined ? '' : `iif ${rule.inLink}`,
    rule.outLink === undefined ? '' : `oif ${rule.outLink}`,
  ].filter((each) => each !== '');
  const action = rule.action === 'lookup' ? `lookup ${rule.table}` : rule.action;
  return `${rule.priority}: ${conditions.join(' ')} ${action}`;
}
