/** Rulesets in memory: what the fake kernel and the `none` engine apply to. */
import { kernelError } from '../errno.ts';
import { found, type RulesetBackend } from './backend.ts';
import { MemoryTable, type Undo } from './memory-table.ts';
import type { Table } from './model.ts';
import type { Operation } from './transaction.ts';

/** A backend whose tables can be looked at. */
export interface MemoryBackend extends RulesetBackend {
  /** The table as it is now: the same object until a transaction changes it. */
  table(name: string): Table | undefined;
}

/** Refuses what a kernel would refuse. A commit costs what it changes, not what is there. */
export function memoryBackend(): MemoryBackend {
  const tables = new Map<string, MemoryTable>();
  const snapshots = new Map<string, Table>();

  function table(name: string): Table | undefined {
    const snapshot = snapshots.get(name) ?? tables.get(name)?.snapshot(name);
    if (snapshot !== undefined) snapshots.set(name, snapshot);
    return snapshot;
  }

  return {
    async commit({ table: name, operations }) {
      const undo: Undo[] = [];
      snapshots.delete(name);
      try {
        for (const operation of operations) undo.push(perform(tables, name, operation));
      } catch (error) {
        for (const step of undo.reverse()) step();
        throw error;
      }
    },
    async read(name) {
      const held = table(name);
      return held && found(held);
    },
    async close() {
      snapshots.clear();
    },
    table,
  };
}

/** Does one operation, whole or not at all, and returns how to take it back. */
function perform(tables: Map<string, MemoryTable>, name: string, operation: Operation): Undo {
  const table = tables.get(name);
  if (operation.op === 'addTable') {
    if (table !== undefined) throw kernelError(`addTable ${name}`, 'EEXIST');
    tables.set(name, new MemoryTable());
    return () => tables.delete(name);
  }
  if (table === undefined) throw kernelError(`${operation.op} in table ${name}`, 'ENOENT');
  switch (operation.op) {
    case 'deleteTable':
      tables.delete(name);
      return () => tables.set(name, table);
    case 'addChain':
      return table.addChain(operation.chain, operation.hook);
    case 'deleteChain':
      return table.deleteChain(operation.chain);
    case 'flushChain':
      return table.flushChain(operation.chain);
    case 'addRules':
      return table.addRules(operation.chain, operation.rules);
    case 'addSet':
      return table.addSet(operation.set);
    case 'deleteSet':
      return table.deleteSet(operation.set.name);
    case 'addElements':
      return table.addElements(operation.set.name, operation.elements);
    case 'deleteElements':
      return table.deleteElements(operation.set.name, operation.elements);
  }
}
