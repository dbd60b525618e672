import type { Family } from '../../../ip.ts';
import type { Flow } from '../trespass.ts';

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
  /**
   * From now on until `close`, calls back soon after somebody else has removed rules, ours or not, or may have. Keeps
   * no process alive. Only where the kernel tells of it: not with the variant `legacy`. Called once.
   */
  watch?(onRemoval: () => void): void;
  /** Makes the kernel forget tracked connections, so that their next packets are judged as first ones. */
  forget?(matches: (flow: Flow) => boolean): Promise<void>;
  /** Frees the handle; the rules stay. */
  close(): Promise<void>;
}
