import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Intent } from '../../../src/osl/firewall/firewall.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import { type Backend, type ServiceChange, ServiceTable } from '../../../src/services/table.ts';

const MANY = 1000;

function backend(
  number: number,
  over: Partial<Backend> & { name?: string; enabled?: boolean } = {},
): Backend {
  const { name = 'web', enabled = true, ...more } = over;
  const held = (address: string) => ({ poolId: 'p', address });
  const virtual = name === 'web' ? 200 : 201;
  return {
    id: `e${number}`,
    network: { id: 'n', name: 'front' },
    service: {
      name,
      aliases: [],
      mode: 'vip',
      enabled,
      ipv4: held(`10.9.${virtual}.1/16`),
      ipv6: held(`fd00:9::${virtual}/64`),
    },
    ipv4: `10.9.${number >> 8}.${number & 255}/16`,
    ipv6: `fd00:9::a:${number}/64`,
    ...more,
  };
}

/** What a sandbox holds after changes, one after the other. */
function held(changes: readonly ServiceChange[]): Intent[] {
  const owners = new Map<string, Intent>();
  for (const change of changes.flatMap(({ rules }) => rules)) {
    if ('set' in change) owners.set(`${change.set.kind} ${change.set.id}`, change.set);
    else owners.delete(`${change.remove.kind} ${change.remove.id}`);
  }
  return [...owners.values()];
}

const inOrder = (intents: readonly Intent[]) => intents.map((each) => JSON.stringify(each)).sort();

describe('the table of services', () => {
  it('tells every sandbox what makes its rules those of the live backends, whatever happens', () => {
    const one = fc.record({
      number: fc.nat(5),
      op: fc.constantFrom('set', 'drain', 'remove'),
      name: fc.constantFrom('web', 'db'),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 40 }), (steps) => {
        const table = new ServiceTable();
        const told: ServiceChange[] = [];
        const live = new Map<string, string>();
        for (const { number, op, name } of steps) {
          if (op === 'remove') told.push(...table.remove(`e${number}`));
          else told.push(...table.set(backend(number, { name, enabled: op === 'set' })));
          if (op === 'set') live.set(`e${number}`, name);
          else live.delete(`e${number}`);
        }
        const intents = table.intents('n');
        expect(inOrder(held(told))).toEqual(inOrder(intents));
        const counts = intents.flatMap((each) => (each.kind === 'service' ? [each.backends] : []));
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(live.size * 2);
        // Each slot that a rule may draw is there, so that no connection is lost.
        const slots = intents.flatMap((each) =>
          each.kind === 'backend' ? [`${each.service} ${each.slot}`] : [],
        );
        const drawn = intents.flatMap((each) =>
          each.kind === 'service'
            ? Array.from({ length: each.backends }, (_, slot) => `${each.address} ${slot}`)
            : [],
        );
        expect(slots.sort()).toEqual(drawn.sort());
      }),
    );
  });

  it('costs as much for the thousandth backend as for the second, in the kernel too', () => {
    const table = new ServiceTable();
    for (let number = 1; number <= MANY; number++) table.set(backend(number));
    const ruleset = Ruleset.of('libnetwork-services', table.intents('n'));
    const operations = (changes: readonly ServiceChange[]) => {
      const staged = ruleset.stage(changes.flatMap(({ rules }) => rules));
      ruleset.accept(staged);
      return staged.transaction.operations.flatMap((operation) =>
        'elements' in operation
          ? operation.elements.map(({ key }) => `${operation.op} ${key.join(' . ')}`)
          : [operation.op],
      );
    };
    const added = operations(table.set(backend(MANY + 1)));
    expect(added).toHaveLength(6);
    // The last one moves to the slot of the drained one.
    const drained = operations(table.set(backend(7, { enabled: false })));
    expect(drained).toHaveLength(10);
    expect(operations(table.set(backend(7, { enabled: false })))).toEqual([]);
  });

  it('shows the service by its name and aliases as long as a backend is live', () => {
    const table = new ServiceTable();
    const aliased = backend(1);
    const { service } = aliased;
    const [come] = table.set({ ...aliased, service: { ...service, aliases: ['www'] } });
    expect(come?.names?.value).toMatchObject({ names: ['web', 'www'], ipv4: '10.9.200.1/16' });
    expect(table.set(backend(2))[0]?.names).toBeUndefined();
    expect(table.remove('e1')[0]?.names?.value?.names).toEqual(['web']);
    const [gone] = table.remove('e2');
    expect(gone).toMatchObject({ live: 0, gone: ['10.9.0.2', 'fd00:9::a:2'], names: { value: undefined } });
  });

  it('forgets what led to a drained backend when it leaves', () => {
    const table = new ServiceTable();
    table.set(backend(1));
    const [drained] = table.set(backend(1, { enabled: false }));
    expect(drained?.gone).toEqual([]);
    expect(table.remove('e1')).toMatchObject([{ rules: [], gone: ['10.9.0.1', 'fd00:9::a:1'] }]);
    expect(table.remove('e1')).toEqual([]);
  });
});
