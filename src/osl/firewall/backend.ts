/** What the engine needs of a kernel, real or in memory: one table that is read, and changed by transactions. */
import { ruleMark } from './mark.ts';
import type { Chain, ElementSet, Table } from './model.ts';
import type { Transaction } from './transaction.ts';
import type { Flow } from './trespass.ts';

/**
 * One table of one kernel. The engine never has two calls under way on the same backend.
 * Kernel failures are thrown as `kernelError` tells; their `operation` names the object that was refused.
 */
export interface RulesetBackend {
  /**
   * Does all operations or none. What cannot be done throws as the kernel would: ENOENT for what is not there,
   * EEXIST for what is, EBUSY for the deletion of what is still referred to.
   */
  commit(transaction: Transaction): Promise<void>;
  /** What the table of that name holds now; `undefined` when there is no such table. */
  read(table: string): Promise<FoundTable | undefined>;
  /**
   * From now on until `close`, calls back soon after somebody else has removed something from the table of that name,
   * or may have. Keeps no process alive. A backend that nobody else can change does not have it. Called once.
   */
  watch?(table: string, onRemoval: () => void): void;
  /** Makes the kernel forget tracked connections, so that their next packets are judged as first ones. */
  forget?(matches: (flow: Flow) => boolean): Promise<void>;
  /** Frees the handle; the table stays. */
  close(): Promise<void>;
}

/** A table as a kernel tells it. Its rules are known by their marks: they are compared, never interpreted. */
export interface FoundTable {
  readonly name: string;
  readonly chains: readonly FoundChain[];
  readonly sets: readonly ElementSet[];
}

export interface FoundChain extends Omit<Chain, 'rules'> {
  readonly rules: readonly FoundRule[];
}

export interface FoundRule {
  readonly comment: string;
  /** The `ruleMark` that was stored with the rule; empty for a rule that is not ours. */
  readonly mark: string;
}

/** A chain of the model as a kernel that holds it would tell it. */
export function foundChain(chain: Chain): FoundChain {
  return { ...chain, rules: chain.rules.map((rule) => ({ comment: rule.comment, mark: ruleMark(rule) })) };
}

/** A table of the model as a kernel that holds it would tell it. */
export function found(table: Table): FoundTable {
  return { ...table, chains: table.chains.map(foundChain) };
}
