import { shortHash } from '../../ids.ts';
import type { Element, Rule } from './model.ts';

const marks = new WeakMap<Rule, string>();

/** A rule's mark: 16 hex digits that differ when the rule does. Stored with the rule, beside its comment. */
export function ruleMark(rule: Rule): string {
  const known = marks.get(rule);
  if (known !== undefined) return known;
  const text = JSON.stringify([rule.match.map(sorted), sorted(rule.action), rule.comment]);
  const mark = shortHash(text, 16);
  marks.set(rule, mark);
  return mark;
}

function sorted(part: object): [string, unknown][] {
  return Object.entries(part)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** An element's key as one text, as nftables writes it: `tcp . 10.9.0.2 . 80`. */
export function keyText(key: Element['key']): string {
  return key.join(' . ');
}

/** An element's value as one text: `10.9.0.2 . 80`, `goto in-1a2b`, or nothing for a plain set. */
export function valueText(value: Element['value']): string {
  if (value === undefined) return '';
  if (!('kind' in value)) return value.join(' . ');
  return 'chain' in value ? `${value.kind} ${value.chain}` : value.kind;
}
