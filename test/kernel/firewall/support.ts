/** What the firewall's tests on the real kernel share. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Firewall, FirewallOptions } from '../../../src/osl/firewall/firewall.ts';
import { openIptables } from '../../../src/osl/linux/iptables/index.ts';
import type { IptablesVariant } from '../../../src/osl/linux/iptables/programs.ts';
import { openNftables } from '../../../src/osl/linux/nftables/index.ts';
import { inNamespace, inNewNamespace } from '../../../src/osl/linux/window.ts';

export const TABLE = 'libnetwork-test';

/** A network namespace that nobody else knows; it ends with its descriptor and sockets. */
export interface Nowhere {
  readonly fd: number;
  /** Runs a program there and returns what it printed. */
  run(file: string, args: readonly string[], input?: string): string;
  firewall(options?: Partial<FirewallOptions>): Promise<Firewall>;
}

export async function nowhere<T>(work: (place: Nowhere) => Promise<T>): Promise<T> {
  const fd = inNewNamespace(() => openSync('/proc/thread-self/ns/net', 'r'));
  const opened: Firewall[] = [];
  try {
    return await work({
      fd,
      run: (file, args, input) =>
        inNamespace(fd, () => execFileSync(file, [...args], { encoding: 'utf8', input, stdio: 'pipe' })),
      firewall: async (options) => {
        const firewall = await openNftables(fd, { engine: 'nftables', table: TABLE, ...options });
        opened.push(firewall);
        return firewall;
      },
    });
  } finally {
    for (const firewall of opened) await firewall.close();
    closeSync(fd);
  }
}

/** The engines that let the same packets pass. */
export type Engine = 'nftables' | `iptables-${IptablesVariant}`;
export const ENGINES: readonly Engine[] = ['nftables', 'iptables-nft', 'iptables-legacy'];

export function openFirewall(
  fd: number,
  engine: Engine,
  options: Partial<FirewallOptions> = {},
): Promise<Firewall> {
  if (engine === 'nftables') return openNftables(fd, { table: TABLE, ...options, engine });
  const variant = engine === 'iptables-nft' ? 'nft' : 'legacy';
  return openIptables(fd, { table: TABLE, ...options, engine: 'iptables', variant });
}

/** Why an engine cannot be tested here; empty when it can. */
export const whyNotEngine = (engine: Engine): string =>
  engine === 'nftables' || hasProgram(`${engine.replace('iptables', 'ip6tables')}-save`)
    ? ''
    : `there is no ${engine}: install the package iptables`;

/** The `nft` program is an oracle for tests; the package does not need it. */
export const hasNft: boolean = hasProgram('nft');

function hasProgram(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
