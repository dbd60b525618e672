import { shortHash } from '../../ids.ts';
import type { Rule } from './model.ts';

/** A rule's mark: 16 hex digits that differ when the rule does. Stored with the rule, beside its comment. */
export function ruleMark(rule: Rule): string {
  return shortHash(JSON.stringify([rule.match.map(sorted), sorted(rule.action), rule.comment]), 16);
}

function sorted(part: object): [string, unknown][] {
  return Object.entries(part)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
