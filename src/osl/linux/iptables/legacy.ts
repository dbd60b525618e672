import { readFileSync } from 'node:fs';
import { FAMILIES, type Family } from '../../../ip.ts';
import { errnoName } from '../../errno.ts';
import * as abi from '../constants.ts';
import { libc } from '../libc.ts';
import { openSocket } from '../sockets.ts';
import { inNamespace } from '../window.ts';

/** linux/netfilter_ipv4/ip_tables.h and its sister: IPT_SO_GET_INFO, and `struct ipt_getinfo`, begun by the table's name. */
const GET_INFO = 64;
const INFO_SIZE = 84;
/** The number of rules, and their size. */
const RULES_AT = 76;
const LEVELS = { ipv4: abi.IPPROTO_IP, ipv6: abi.IPPROTO_IPV6 } as const;
const NAMES = { ipv4: 'ip_tables_names', ipv6: 'ip6_tables_names' } as const;
/** From one look to the next, in ms. A look takes some 0.1 ms. */
const LOOK_MS = 250;

/**
 * The kernel tells nobody of changes to its old tables. So it is asked, often, how many rules are in them and how long
 * they are: enough to see a flush, and whatever adds or deletes; not a rule in place of another of the same length.
 */
export class LegacyWatch {
  readonly #namespaceFd: number | undefined;
  readonly #sockets: Readonly<Partial<Record<Family, number>>>;
  #expected = '';
  #timer: NodeJS.Timeout | undefined;

  /** @param namespaceFd stays the caller's, and open until `close` */
  constructor(namespaceFd: number | undefined, families: readonly Family[]) {
    this.#namespaceFd = namespaceFd;
    const sockets: Partial<Record<Family, number>> = {};
    for (const family of families)
      sockets[family] = openSocket(namespaceFd, family, abi.SOCK_RAW, abi.IPPROTO_RAW);
    this.#sockets = sockets;
  }

  /** Calls back soon after the tables are not as they were at the last `expect`. Keeps no process alive. */
  start(onChange: () => void): void {
    this.expect();
    this.#timer = setInterval(() => {
      const found = this.#look();
      if (found === this.#expected) return;
      this.#expected = found;
      onChange();
    }, LOOK_MS).unref();
  }

  /** What the tables hold now is as it should be. */
  expect(): void {
    this.#expected = this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const fd of Object.values(this.#sockets)) libc().close(fd);
  }

  /** Only tables that are there already: asking for another one would make it. */
  #look(): string {
    const known = inNamespace(this.#namespaceFd, () =>
      FAMILIES.map((family) => [family, tablesOf(family)] as const),
    );
    return known
      .flatMap(([family, tables]) =>
        tables.map((table) => `${family} ${table} ${this.#rulesOf(family, table)}`),
      )
      .join('\n');
  }

  #rulesOf(family: Family, table: string): string {
    const fd = this.#sockets[family];
    if (fd === undefined) return 'unknown';
    const info = Buffer.alloc(INFO_SIZE);
    info.write(table);
    const length = Buffer.from([INFO_SIZE, 0, 0, 0]);
    if (libc().getsockopt(fd, LEVELS[family], GET_INFO, info, length) < 0) return errnoName(libc().errno());
    return info.toString('hex', RULES_AT, INFO_SIZE);
  }
}

function tablesOf(family: Family): readonly string[] {
  try {
    return readFileSync(`/proc/thread-self/net/${NAMES[family]}`, 'utf8').split('\n').filter(Boolean).sort();
  } catch (error) {
    // Nobody has used the old tables of this family since the machine was started.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
