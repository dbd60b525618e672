import type { Family } from '../../../ip.ts';

/** What the engine needs of the programs of iptables, real or in memory. It never has two calls under way. */
export interface IptablesBackend {
  /** The families that the kernel knows. */
  readonly families: readonly Family[];
  /** What `iptables-save` (or `ip6tables-save`) prints. */
  save(family: Family): Promise<string>;
  /**
   * Hands a text to `iptables-restore --noflush` (or `ip6tables-restore`). Each table of it holds whole or not at all.
   * @throws UNAVAILABLE, FORBIDDEN, INTERNAL with what the program said
   */
  restore(family: Family, text: string): Promise<void>;
  /** Frees the handle; the rules stay. */
  close(): Promise<void>;
}
