import { kernelError } from '../errno.ts';
import { keyText } from './mark.ts';
import {
  type Action,
  type Element,
  type Hook,
  isOver,
  type Rule,
  type Table,
  type Verdict,
} from './model.ts';
import type { SetDeclaration } from './transaction.ts';

/** Takes one operation back. */
export type Undo = () => void;

interface MemoryChain {
  readonly hook: Hook | undefined;
  readonly rules: readonly Rule[];
}

interface MemorySet {
  readonly declaration: SetDeclaration;
  readonly elements: Map<string, Element>;
}

/**
 * One table that can be changed. Every method does its change whole or throws and changes nothing; what it
 * returns takes the change back, provided that later changes were taken back before.
 */
export class MemoryTable {
  readonly #chains = new Map<string, MemoryChain>();
  readonly #sets = new Map<string, MemorySet>();
  /** How many rules and elements refer to `chain x` or `set y`. */
  readonly #references = new Map<string, number>();

  addChain(name: string, hook: Hook | undefined): Undo {
    if (this.#chains.has(name)) throw refused('addChain', name, 'EEXIST');
    this.#chains.set(name, { hook, rules: [] });
    return () => this.#chains.delete(name);
  }

  deleteChain(name: string): Undo {
    const chain = this.#chain('deleteChain', name);
    if (this.#references.get(`chain ${name}`)) throw refused('deleteChain', name, 'EBUSY');
    const refill = this.flushChain(name);
    this.#chains.delete(name);
    return () => {
      this.#chains.set(name, { hook: chain.hook, rules: [] });
      refill();
    };
  }

  flushChain(name: string): Undo {
    const { rules } = this.#chain('flushChain', name);
    return this.#setRules(name, [], rules.flatMap(ruleReferences), -1);
  }

  addRules(name: string, added: readonly Rule[]): Undo {
    const { rules } = this.#chain('addRules', name);
    const references = added.flatMap(ruleReferences);
    this.#expect('addRules', name, references);
    return this.#setRules(name, [...rules, ...added], references, 1);
  }

  addSet(declaration: SetDeclaration): Undo {
    const { name } = declaration;
    if (this.#sets.has(name)) throw refused('addSet', name, 'EEXIST');
    this.#sets.set(name, { declaration, elements: new Map() });
    return () => this.#sets.delete(name);
  }

  deleteSet(name: string): Undo {
    const set = this.#set('deleteSet', name);
    if (this.#references.get(`set ${name}`)) throw refused('deleteSet', name, 'EBUSY');
    const refill = this.deleteElements(name, [...set.elements.values()]);
    this.#sets.delete(name);
    return () => {
      this.#sets.set(name, set);
      refill();
    };
  }

  addElements(name: string, elements: readonly Element[]): Undo {
    const set = this.#set('addElements', name);
    const references = elements.flatMap(elementReferences);
    this.#expect('addElements', name, references);
    const keys = elements.map((element) => keyText(element.key));
    const seen = new Set<string>();
    for (const key of keys) {
      const held = set.elements.get(key);
      if (seen.has(key) || (held !== undefined && !isOver(held)))
        throw refused('addElements', `${name} ${key}`, 'EEXIST');
      seen.add(key);
    }
    for (const element of elements) set.elements.set(keyText(element.key), element);
    this.#refer(references, 1);
    return () => {
      for (const key of keys) set.elements.delete(key);
      this.#refer(references, -1);
    };
  }

  deleteElements(name: string, elements: readonly Element[]): Undo {
    const set = this.#set('deleteElements', name);
    const held = elements.map((element) => {
      const found = set.elements.get(keyText(element.key));
      if (found === undefined || isOver(found))
        throw refused('deleteElements', `${name} ${keyText(element.key)}`, 'ENOENT');
      return found;
    });
    for (const element of held) set.elements.delete(keyText(element.key));
    const references = held.flatMap(elementReferences);
    this.#refer(references, -1);
    return () => {
      for (const element of held) set.elements.set(keyText(element.key), element);
      this.#refer(references, 1);
    };
  }

  snapshot(name: string): Table {
    return {
      name,
      chains: [...this.#chains].map(([name, { hook, rules }]) => ({ name, ...(hook && { hook }), rules })),
      sets: [...this.#sets.values()].map(({ declaration, elements }) => ({
        ...declaration,
        elements: [...elements.values()].filter((element) => !isOver(element)),
      })),
    };
  }

  #setRules(name: string, rules: readonly Rule[], references: readonly string[], step: 1 | -1): Undo {
    const before = this.#chain('setRules', name);
    this.#chains.set(name, { hook: before.hook, rules });
    this.#refer(references, step);
    return () => {
      this.#chains.set(name, before);
      this.#refer(references, step === 1 ? -1 : 1);
    };
  }

  #refer(names: readonly string[], step: 1 | -1): void {
    for (const name of names) {
      const count = (this.#references.get(name) ?? 0) + step;
      // What nobody refers to any more may never come back: it is forgotten.
      if (count === 0) this.#references.delete(name);
      else this.#references.set(name, count);
    }
  }

  #expect(operation: string, name: string, references: readonly string[]): void {
    for (const reference of references) {
      const [kind, target = ''] = reference.split(' ');
      if (!(kind === 'chain' ? this.#chains : this.#sets).has(target))
        throw refused(operation, `${name} -> ${reference}`, 'ENOENT');
    }
  }

  #chain(operation: string, name: string): MemoryChain {
    const chain = this.#chains.get(name);
    if (chain === undefined) throw refused(operation, name, 'ENOENT');
    return chain;
  }

  #set(operation: string, name: string): MemorySet {
    const set = this.#sets.get(name);
    if (set === undefined) throw refused(operation, name, 'ENOENT');
    return set;
  }
}

function refused(operation: string, object: string, errno: string): Error {
  return kernelError(`${operation} ${object}`, errno);
}

function ruleReferences(rule: Rule): string[] {
  const sets = rule.match.flatMap((match) => ('set' in match ? [`set ${match.set}`] : []));
  return [...sets, ...actionReferences(rule.action)];
}

function actionReferences(action: Action): string[] {
  if ('map' in action) return [`set ${action.map}`];
  return action.kind === 'jump' || action.kind === 'goto' ? verdictReferences(action) : [];
}

function elementReferences(element: Element): string[] {
  return element.value !== undefined && 'kind' in element.value ? verdictReferences(element.value) : [];
}

function verdictReferences(verdict: Verdict): string[] {
  return 'chain' in verdict ? [`chain ${verdict.chain}`] : [];
}
