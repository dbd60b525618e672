import { invalid } from '../../errors.ts';
import { type Family, formatPrefix } from '../../ip.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from './netlink/message.ts';
import {
  decodeRule,
  encodeGetRules,
  encodeRule,
  formatRule,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
  type RuleFields,
} from './netlink/rule.ts';
import { type NetlinkSocket, throwRefusal } from './netlink/socket.ts';
import { requireLinkName, requireRange } from './values.ts';

/** A policy routing rule; see `RuleFields`. */
export type Rule = RuleFields;

const MAX_U32 = 0xffff_ffff;

/** The rules of a family, in the order that they are asked in. */
export async function readRules(socket: NetlinkSocket, family: Family): Promise<readonly Rule[]> {
  const payload = encodeGetRules(family);
  const payloads = await socket.dump({ type: RTM_GETRULE, flags: 0, payload, operation: 'list rules' });
  return payloads.map(decodeRule).filter((each) => each !== undefined);
}

/** @throws ALREADY_EXISTS for a second one that is the same; INVALID_ARGUMENT */
export async function addRule(socket: NetlinkSocket, rule: Rule): Promise<void> {
  await send(socket, rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, 'add');
}

/** Deletes the first rule that has all that is named. @throws NOT_FOUND with `errno` ENOENT */
export async function deleteRule(socket: NetlinkSocket, rule: Rule): Promise<void> {
  await send(socket, rule, RTM_DELRULE, 0, 'delete');
}

async function send(
  socket: NetlinkSocket,
  rule: Rule,
  type: number,
  flags: number,
  verb: string,
): Promise<void> {
  validate(rule);
  const operation = `${verb} the rule ${formatRule(rule)}`;
  throwRefusal(await socket.request([{ type, flags, payload: encodeRule(rule), operation }]));
}

function validate({ family, priority, action, table, from, to, inLink, outLink, mark }: Rule): void {
  requireRange(priority, 0, MAX_U32, 'priority');
  if (action === 'lookup') requireRange(table, 1, MAX_U32, 'table');
  else if (table !== undefined) throw invalid('table', table, `must be left away with ${action}`);
  for (const [field, prefix] of Object.entries({ from, to }))
    if (prefix && prefix.family !== family)
      throw invalid(field, formatPrefix(prefix), `must be a prefix of ${family}`);
  for (const [field, name] of Object.entries({ inLink, outLink }))
    if (name !== undefined) requireLinkName(name, field);
  if (mark) requireRange(mark.mask, 1, MAX_U32, 'mark.mask');
}
