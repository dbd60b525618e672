import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffTables } from '../../../src/osl/firewall/diff.ts';
import { memoryBackend } from '../../../src/osl/firewall/memory.ts';
import type { Chain, Element, ElementSet, Rule, Table } from '../../../src/osl/firewall/model.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import { intents } from './arbitraries.ts';
import { network, SCENES } from './intents.ts';
import { normal } from './tables.ts';

const NAME = 'libnetwork-test';

/** Any table whose references hold: also ones that no intents make. */
const table: fc.Arbitrary<Table | undefined> = fc
  .record({
    chains: fc.uniqueArray(fc.constantFrom('c1', 'c2', 'c3', 'c4'), { minLength: 1 }),
    hooked: fc.boolean(),
    sets: fc.uniqueArray(fc.constantFrom('s1', 's2', 's3')),
    numbers: fc.array(fc.nat(30), { minLength: 1, maxLength: 8 }),
    pick: fc.infiniteStream(fc.nat(1000)),
  })
  .map(({ chains, hooked, sets, numbers, pick }): Table => {
    const next = () => pick.next().value ?? 0;
    const one = <T>(list: readonly T[], fallback: T): T => list[next() % list.length] ?? fallback;
    const element = (number: number): Element => ({
      key: [String(number)],
      value: { kind: 'goto', chain: one(chains, 'c1') },
    });
    const rule = (number: number): Rule => ({
      match: sets.length > 0 && next() % 2 ? [{ fields: ['dport'], op: 'in', set: one(sets, '') }] : [],
      action: next() % 2 ? { kind: 'jump', chain: one(chains, 'c1') } : { kind: 'drop' },
      comment: String(number),
    });
    const chain = (name: string): Chain => ({
      name,
      ...(hooked && name === 'c1'
        ? { hook: { type: 'filter', hook: 'forward', priority: next() % 2, policy: 'accept' } as const }
        : {}),
      rules: numbers.filter(() => next() % 2).map(rule),
    });
    const set = (name: string): ElementSet => ({
      name,
      key: [next() % 2 ? 'port' : 'protocol'],
      value: 'verdict',
      elements: [...new Set(numbers)].filter(() => next() % 2).map(element),
    });
    return { name: NAME, chains: chains.map(chain), sets: sets.map(set) };
  });

const maybe = fc.option(table, { nil: undefined });

async function applied(from: Table | undefined, to: Table | undefined) {
  const backend = memoryBackend();
  await backend.commit(diffTables(NAME, undefined, from));
  await backend.commit(diffTables(NAME, from, to));
  return backend.table(NAME);
}

describe('diff', () => {
  it('turns any table into any other, in an order that a kernel accepts', async () => {
    await fc.assert(
      fc.asyncProperty(maybe, maybe, async (from, to) => {
        expect(normal(await applied(from, to))).toEqual(normal(to));
      }),
      { numRuns: 300 },
    );
  });

  it('turns the table of any intents into that of any others', async () => {
    await fc.assert(
      fc.asyncProperty(intents, intents, async (before, after) => {
        const from = Ruleset.of(NAME, before).table();
        const to = Ruleset.of(NAME, after).table();
        expect(normal(await applied(from, to))).toEqual(normal(to));
      }),
    );
  });

  it.each(Object.entries(SCENES))('has nothing to do between %s and itself', (_, scene) => {
    const one = Ruleset.of(NAME, scene).table();
    const same = Ruleset.of(NAME, structuredClone(scene)).table();
    expect(diffTables(NAME, one, same).operations).toEqual([]);
  });

  it('rewrites the one chain whose rules changed, and nothing else', () => {
    const from = Ruleset.of(NAME, [network()]).table();
    const to = Ruleset.of(NAME, [network({ icc: false })]).table();
    expect(diffTables(NAME, from, to).operations).toMatchObject([
      { op: 'flushChain', chain: 'in-a' },
      { op: 'addRules', chain: 'in-a' },
    ]);
  });

  it('rebuilds a table whose base chain sits elsewhere, in one transaction', () => {
    const from = Ruleset.of(NAME, [network()]).table() as Table;
    const moved = from.chains.map((chain) =>
      chain.hook && chain.name === 'forward' ? { ...chain, hook: { ...chain.hook, priority: 5 } } : chain,
    );
    const { operations } = diffTables(NAME, { ...from, chains: moved }, from);
    expect(operations.slice(0, 2)).toEqual([{ op: 'deleteTable' }, { op: 'addTable' }]);
  });
});
