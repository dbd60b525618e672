/** iptables by its programs: `iptables-save` and `iptables-restore`, one process for each family that changes. */
import { closeSync, existsSync, openSync } from 'node:fs';
import type { FirewallOptions } from '../../firewall/firewall.ts';
import type { GuardedFirewall } from '../../firewall/guarded.ts';
import type { IptablesBackend } from '../../firewall/iptables/backend.ts';
import { createIptablesFirewall } from '../../firewall/iptables/engine.ts';
import { USER_JUMP } from '../../firewall/iptables/rules.ts';
import { createLatchedFirewall } from '../../firewall/latched.ts';
import { NFPROTO } from '../nftables/constants.ts';
import { openLatch, whyNoLatch } from '../nftables/latch.ts';
import { RulesetWatch } from '../nftables/watch.ts';
import { whyNoLabels } from './labels.ts';
import { LegacyWatch } from './legacy.ts';
import { detectIptables, type IptablesVariant, run } from './programs.ts';

/** Longest wait for another program that holds the lock of iptables, in s. */
const LOCK_S = '10';
/** How many of our processes may have ended before the kernel's notifications of their changes are read. */
const REMEMBERED = 64;
const TABLES: readonly string[] = ['raw', 'filter', 'nat'];
const PROGRAMS = { ipv4: 'iptables', ipv6: 'ip6tables' } as const;

export interface OpenIptablesOptions extends FirewallOptions {
  /** Which of the two implementations; default: the one that `iptables` is on this machine. */
  readonly variant?: IptablesVariant | undefined;
}

/**
 * The firewall of the network namespace that a descriptor stands for, by default of this thread's; the descriptor may
 * be closed afterwards.
 * @throws UNAVAILABLE when the programs are not installed
 */
export async function openIptables(
  namespaceFd: number | undefined,
  options: OpenIptablesOptions,
): Promise<GuardedFirewall> {
  // Opened before the first wait: the caller's descriptor may be closed meanwhile.
  const fd = namespaceFd === undefined ? undefined : openSync(`/proc/self/fd/${namespaceFd}`, 'r');
  const watches: { close(): void }[] = [];
  const release = () => {
    for (const watch of watches) watch.close();
    if (fd !== undefined) closeSync(fd);
  };
  try {
    const variant = options.variant ?? (await detectIptables()).variant;
    const backend = programBackend(fd, options.variant, release);
    const watch = new RulesetWatch(fd);
    watches.push(watch);
    const legacy = variant === 'legacy' ? new LegacyWatch(fd, backend.families) : undefined;
    if (legacy) watches.push(legacy);
    const guarded = legacy ? lookedAt(backend, legacy, watch) : watched(backend, watch);
    if (options.latch === false) return createIptablesFirewall(guarded, options);
    const lacking = (await whyNoLatch()) ?? (await whyNoLabels(options.variant));
    const rules = createIptablesFirewall(guarded, options, { labels: lacking === undefined });
    if (lacking === undefined)
      return createLatchedFirewall(rules, openLatch(fd, options, 'iptables'), options);
    options.onUnlatched?.(lacking);
    return rules;
  } catch (error) {
    release();
    throw error;
  }
}

function programBackend(
  fd: number | undefined,
  variant: IptablesVariant | undefined,
  release: () => void,
): IptablesBackend & { readonly isOwn: (process: number) => boolean } {
  const named = (family: 'ipv4' | 'ipv6', what: 'save' | 'restore') =>
    [PROGRAMS[family], ...(variant === undefined ? [] : [variant]), what].join('-');
  let own: readonly number[] = [];
  const remember = (process: number) => {
    own = [...own.slice(-REMEMBERED), process];
  };
  return {
    families: existsSync('/proc/sys/net/ipv6') ? ['ipv4', 'ipv6'] : ['ipv4'],
    save: (family) => run(fd, named(family, 'save'), []),
    restore: async (family, text) => {
      await run(fd, named(family, 'restore'), ['--noflush', '-w', LOCK_S], text, remember);
    },
    isOwn: (process) => own.includes(process),
    close: async () => release(),
  };
}

/** The variant `nft` writes in tables of nf_tables, whose changes the kernel tells. */
function watched(backend: ReturnType<typeof programBackend>, watch: RulesetWatch): IptablesBackend {
  const families: readonly (number | undefined)[] = Object.values(NFPROTO);
  return {
    ...backend,
    watch: (onRemoval) =>
      watch.start(
        (family, table) => families.includes(family) && TABLES.includes(table),
        // In a process namespace of its own it does not know its children by these numbers: then it looks in vain.
        ({ process }) => backend.isOwn(process),
        onRemoval,
        // What others put before our first rule there, which labels connections for the latch, must come behind it.
        (table, chain) => `${table} ${chain}` === USER_JUMP.chain,
      ),
    forget: (matches) => watch.forget(matches),
  };
}

/** The old tables tell of no change: they are looked at. */
function lookedAt(backend: IptablesBackend, legacy: LegacyWatch, watch: RulesetWatch): IptablesBackend {
  return {
    ...backend,
    restore: async (family, text) => {
      try {
        await backend.restore(family, text);
      } finally {
        legacy.expect();
      }
    },
    watch: (onChange) => legacy.start(onChange),
    forget: (matches) => watch.forget(matches),
  };
}
