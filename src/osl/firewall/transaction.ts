/**
 * A change to one table: operations that hold all together or not at all. They come in an order that a kernel
 * accepts: whatever refers to a thing goes before it when deleted, and comes after it when added.
 */
import type { Chain, Element, ElementSet, Hook, Rule } from './model.ts';

export interface Transaction {
  /** The name of the table. */
  readonly table: string;
  readonly operations: readonly Operation[];
}

export type Operation =
  | { readonly op: 'addTable' }
  /** With all that is in it. */
  | { readonly op: 'deleteTable' }
  | { readonly op: 'addChain'; readonly chain: string; readonly hook?: Hook | undefined }
  /** With its rules; nothing may refer to it any more. */
  | { readonly op: 'deleteChain'; readonly chain: string }
  /** Removes the rules of a chain that stays, or that is deleted later. */
  | { readonly op: 'flushChain'; readonly chain: string }
  /** Appends. */
  | { readonly op: 'addRules'; readonly chain: string; readonly rules: readonly Rule[] }
  | { readonly op: 'addSet'; readonly set: SetDeclaration }
  /** With its elements; no rule may refer to it any more. */
  | { readonly op: 'deleteSet'; readonly set: SetDeclaration }
  /** The keys are new to the set. */
  | { readonly op: 'addElements'; readonly set: SetDeclaration; readonly elements: readonly Element[] }
  /** The keys are in the set. */
  | { readonly op: 'deleteElements'; readonly set: SetDeclaration; readonly elements: readonly Element[] };

/** A set without its elements. */
export type SetDeclaration = Omit<ElementSet, 'elements'>;

/** A chain without its rules. */
export type ChainDeclaration = Omit<Chain, 'rules'>;
