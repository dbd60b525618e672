/** iptables by its programs: `iptables-save` and `iptables-restore`, one process for each family that changes. */
import { closeSync, existsSync, openSync } from 'node:fs';
import type { Firewall, FirewallOptions } from '../../firewall/firewall.ts';
import type { IptablesBackend } from '../../firewall/iptables/backend.ts';
import { createIptablesFirewall } from '../../firewall/iptables/engine.ts';
import { detectIptables, type IptablesVariant, run } from './programs.ts';

/** Longest wait for another program that holds the lock of iptables, in s. */
const LOCK_S = '10';
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
): Promise<Firewall> {
  // Opened before the first wait: the caller's descriptor may be closed meanwhile.
  const fd = namespaceFd === undefined ? undefined : openSync(`/proc/self/fd/${namespaceFd}`, 'r');
  const release = () => {
    if (fd !== undefined) closeSync(fd);
  };
  try {
    await detectIptables();
    return createIptablesFirewall(programBackend(fd, options.variant, release), options);
  } catch (error) {
    release();
    throw error;
  }
}

function programBackend(
  fd: number | undefined,
  variant: IptablesVariant | undefined,
  release: () => void,
): IptablesBackend {
  const named = (family: 'ipv4' | 'ipv6', what: 'save' | 'restore') =>
    [PROGRAMS[family], ...(variant === undefined ? [] : [variant]), what].join('-');
  return {
    families: existsSync('/proc/sys/net/ipv6') ? ['ipv4', 'ipv6'] : ['ipv4'],
    save: (family) => run(fd, named(family, 'save'), []),
    restore: async (family, text) => {
      await run(fd, named(family, 'restore'), ['--noflush', '-w', LOCK_S], text);
    },
    close: async () => release(),
  };
}
