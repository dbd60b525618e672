/** The smallest change that makes chains hold what they should, with everybody else's rules untouched. Pure. */
import {
  type ChainKey,
  chainOf,
  FIRST,
  type Held,
  type IpTable,
  isBuiltIn,
  isFirstLabel,
  OWN_CHAINS,
  tableOf,
  USER_JUMP,
  type Wanted,
  type WantedRule,
} from './rules.ts';

export interface Plan {
  /** Lines for `iptables-restore --noflush`, by table. */
  readonly lines: ReadonlyMap<IpTable, readonly string[]>;
  /** What the chains hold when it is done. */
  readonly after: Held;
  readonly missing: readonly string[];
  readonly orphaned: readonly string[];
  /** True when it removes what keeps packets out before they are judged: then other tables must go first. */
  readonly opensRaw: boolean;
}

/** @param mine tells rules that may be removed, among those that are held */
export function plan(held: Held, wanted: Wanted, mine: (key: ChainKey, text: string) => boolean): Plan {
  const after = new Map(held);
  const changes = new Map<ChainKey, ChainChange>();
  for (const key of new Set([...held.keys(), ...wanted.keys()])) {
    const change = changeChain(key, held.get(key), wanted.get(key), (text) => mine(key, text));
    if (change === undefined) continue;
    changes.set(key, change);
    after.set(key, change.after);
  }
  const useless = OWN_CHAINS.filter(
    (key) =>
      !wanted.has(key) && after.get(key)?.length === 0 && !isReferredTo(key, after) && touches(changes, key),
  );
  for (const key of useless) after.delete(key);
  return {
    lines: linesOf(changes, useless),
    after,
    missing: [...changes].flatMap(([key, { isNew, added }]) => [
      ...(isNew ? [describeChain(key)] : []),
      ...added.map(({ text }) => describeRule(key, text)),
    ]),
    orphaned: [
      ...[...changes].flatMap(([key, { deleted }]) => deleted.map((text) => describeRule(key, text))),
      ...useless.map(describeChain),
    ],
    opensRaw: [...changes].some(([key, { deleted }]) => tableOf(key) === 'raw' && deleted.length > 0),
  };
}

/** What our rules among those that are held would be as wanted ones: to come back to. */
export function asWanted(held: Held, mine: (key: ChainKey, text: string) => boolean): Wanted {
  const wanted = new Map<ChainKey, WantedRule[]>();
  for (const [key, texts] of held) {
    const rules = texts.flatMap((text, rank) => (mine(key, text) ? [{ text, rank, owner: 'before' }] : []));
    if (rules.length > 0 || OWN_CHAINS.includes(key)) wanted.set(key, rules);
  }
  return wanted;
}

interface ChainChange {
  readonly isNew: boolean;
  readonly deleted: readonly string[];
  readonly added: readonly WantedRule[];
  /** How many of the rules that stay are labels at the top, which what is added there comes behind. */
  readonly labels: number;
  readonly after: readonly string[];
}

function changeChain(
  key: ChainKey,
  held: readonly string[] | undefined,
  wanted: readonly WantedRule[] = [],
  mine: (text: string) => boolean,
): ChainChange | undefined {
  const texts = new Map(wanted.map((rule) => [rule.text, rule]));
  const kept = new Set<string>();
  const others: string[] = [];
  const rest: string[] = [];
  const deleted: string[] = [];
  for (const text of held ?? []) {
    const isLate = texts.get(text)?.rank === FIRST && !rest.every(isFirstLabel);
    const isKept = texts.has(text) && !kept.has(text) && !isLate;
    if (isKept) kept.add(text);
    else if (mine(text)) deleted.push(text);
    else others.push(text);
    if (isKept || !mine(text)) rest.push(text);
  }
  const added = wanted.filter(({ text }) => !kept.has(text));
  const isNew = held === undefined && !isBuiltIn(key);
  if (!isNew && deleted.length === 0 && added.length === 0 && isOrdered(rest, texts)) return undefined;
  const after = insert(key, rest, added);
  if (isOrdered(after, texts)) return { isNew, deleted, added, labels: labelsOnTop(rest), after };
  return {
    isNew,
    deleted: [...deleted, ...kept],
    added: wanted,
    labels: labelsOnTop(others),
    after: insert(key, others, wanted),
  };
}

function labelsOnTop(texts: readonly string[]): number {
  const first = texts.findIndex((text) => !isFirstLabel(text));
  return first < 0 ? texts.length : first;
}

/** Where Docker inserts a rule at the top of its chain, so do we: before the user's in `FORWARD` and `POSTROUTING`. */
function goesOnTop(key: ChainKey, { rank }: WantedRule): boolean {
  if (key === USER_JUMP.chain || key === 'nat POSTROUTING') return true;
  return chainOf(key) === 'DOCKER' && rank === 0;
}

function insert(key: ChainKey, rest: readonly string[], added: readonly WantedRule[]): string[] {
  const texts = (rules: readonly WantedRule[]) => rules.map(({ text }) => text);
  const { first, top, end } = split(key, added);
  const labels = labelsOnTop(rest);
  return [...texts(first), ...rest.slice(0, labels), ...texts(top), ...rest.slice(labels), ...texts(end)];
}

function split(key: ChainKey, added: readonly WantedRule[]) {
  const sorted = [...added].sort((a, b) => a.rank - b.rank);
  return {
    first: sorted.filter(({ rank }) => rank === FIRST),
    top: sorted.filter((rule) => rule.rank !== FIRST && goesOnTop(key, rule)),
    end: sorted.filter((rule) => rule.rank !== FIRST && !goesOnTop(key, rule)),
  };
}

/** True when lower ranks come first, and each owner's rules in the order of `wanted`. Others' rules do not count. */
function isOrdered(texts: readonly string[], wanted: ReadonlyMap<string, WantedRule>): boolean {
  const order = new Map([...wanted.keys()].map((text, index) => [text, index]));
  const last = new Map<string, number>();
  const seen = new Set<string>();
  let rank = Number.NEGATIVE_INFINITY;
  for (const text of texts) {
    const rule = wanted.get(text);
    if (rule === undefined || seen.has(text)) continue;
    seen.add(text);
    const index = order.get(text) ?? 0;
    const group = `${rule.rank} ${rule.owner}`;
    if (rule.rank < rank || index < (last.get(group) ?? 0)) return false;
    rank = rule.rank;
    last.set(group, index);
  }
  return true;
}

function isReferredTo(key: ChainKey, held: Held): boolean {
  const jump = new RegExp(` -[jg] ${chainOf(key)}( |$)`);
  for (const [other, texts] of held)
    if (tableOf(other) === tableOf(key) && texts.some((text) => jump.test(` ${text}`))) return true;
  return false;
}

/** A chain is ours to delete only where something of ours goes as well. */
function touches(changes: ReadonlyMap<ChainKey, ChainChange>, key: ChainKey): boolean {
  return [...changes].some(([other, { deleted }]) => tableOf(other) === tableOf(key) && deleted.length > 0);
}

/** New chains, then what goes, then what comes, and last the chains that nobody needs: an order that holds always. */
function linesOf(
  changes: ReadonlyMap<ChainKey, ChainChange>,
  useless: readonly ChainKey[],
): ReadonlyMap<IpTable, string[]> {
  const lines = new Map<IpTable, string[]>();
  const write = (key: ChainKey, line: string) => {
    const table = lines.get(tableOf(key)) ?? [];
    table.push(line);
    lines.set(tableOf(key), table);
  };
  for (const [key, { isNew }] of changes) if (isNew) write(key, `-N ${chainOf(key)}`);
  for (const [key, { deleted }] of changes)
    for (const text of deleted) write(key, `-D ${chainOf(key)} ${text}`);
  for (const [key, { added, labels }] of changes) {
    const { first, top, end } = split(key, added);
    const place = labels === 0 ? '' : `${labels + 1} `;
    for (const { text } of top.reverse()) write(key, `-I ${chainOf(key)} ${place}${text}`);
    for (const { text } of first.reverse()) write(key, `-I ${chainOf(key)} ${text}`);
    for (const { text } of end) write(key, `-A ${chainOf(key)} ${text}`);
  }
  for (const key of useless) write(key, `-X ${chainOf(key)}`);
  return lines;
}

function describeChain(key: ChainKey): string {
  return `chain ${chainOf(key)} of table ${tableOf(key)}`;
}

function describeRule(key: ChainKey, text: string): string {
  return `rule ${JSON.stringify(text)} in chain ${chainOf(key)} of table ${tableOf(key)}`;
}
