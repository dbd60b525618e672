/** The texts of iptables-save and iptables-restore. */
import { FAMILIES, type Family } from '../../../ip.ts';
import type { Plan } from './plan.ts';
import type { ChainKey, Held, IpTable } from './rules.ts';

const TABLES: readonly IpTable[] = ['raw', 'filter', 'nat'];

/** What `iptables-save` tells of the tables that we write in. */
export function parseSave(text: string): Held {
  const held = new Map<ChainKey, string[]>();
  let table: IpTable | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = TABLES.find((name) => name === line.slice(1).trim());
    if (table === undefined) continue;
    const [, kind, chain, rule = ''] = /^(:|-A )(\S+) ?(.*)$/.exec(line) ?? [];
    if (kind === ':') held.set(`${table} ${chain}`, []);
    else if (kind !== undefined) held.get(`${table} ${chain}`)?.push(unquoted(rule));
  }
  return held;
}

/** Words that need no quotes are quoted or not as the version pleases. */
function unquoted(rule: string): string {
  return rule.replace(/"([\w.-]+)"/g, '$1');
}

/**
 * A plan as text for `iptables-restore --noflush` (or `ip6tables-restore`, by its family); empty for none. Each table
 * is a transaction of its own: what protects comes first and goes last.
 */
export function renderRestore({ lines, opensRaw }: Plan): string {
  return inOrder(opensRaw)
    .flatMap((table) => block(table, lines.get(table) ?? []))
    .join('');
}

/** Plans of both families as one text that both programs accept: each ignores the lines of the other. */
export function renderBoth(plans: ReadonlyMap<Family, Plan>): string {
  const opensRaw = [...plans.values()].some((plan) => plan.opensRaw);
  return inOrder(opensRaw)
    .flatMap((table) =>
      block(
        table,
        FAMILIES.flatMap((family) =>
          (plans.get(family)?.lines.get(table) ?? []).map(
            (line) => `${family === 'ipv4' ? '-4' : '-6'} ${line}`,
          ),
        ),
      ),
    )
    .join('');
}

function inOrder(opensRaw: boolean): readonly IpTable[] {
  return opensRaw ? [...TABLES].reverse() : TABLES;
}

function block(table: IpTable, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`*${table}\n`, ...lines.map((line) => `${line}\n`), 'COMMIT\n'];
}
