import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { memoryBackend } from '../../../src/osl/firewall/memory.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import type { Operation } from '../../../src/osl/firewall/transaction.ts';
import { after, change } from './arbitraries.ts';
import { endpoint, family, network, port, resolver } from './intents.ts';
import { normal } from './tables.ts';

const NAME = 'libnetwork-test';

function refusal(work: () => unknown): LibnetworkError {
  try {
    work();
  } catch (error) {
    if (LibnetworkError.is(error)) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** How many things a transaction touches. */
function size(operations: readonly Operation[]): number {
  return operations.reduce(
    (sum, operation) => sum + ('elements' in operation ? operation.elements.length : 1),
    0,
  );
}

describe('a ruleset', () => {
  it('after any changes, one by one or together, holds the table of the intents that are left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 10 }), async (steps) => {
        const backend = memoryBackend();
        const ruleset = new Ruleset(NAME);
        for (const step of steps) {
          const staged = ruleset.stage(step);
          await backend.commit(staged.transaction);
          ruleset.accept(staged);
        }
        const left = after(steps.flat());
        const expected = normal(Ruleset.of(NAME, left).table());
        expect(normal(backend.table(NAME))).toEqual(expected);
        expect(normal(ruleset.table())).toEqual(expected);
        expect(new Set(ruleset.intents())).toEqual(new Set(left));
      }),
    );
  });

  it('changes one endpoint at the cost of its ports, however many others there are', () => {
    const others = Array.from({ length: 500 }, (_, index) =>
      endpoint(`e${index}`, port({ hostPort: 10_000 + index, address: `10.9.${index >> 8}.${index & 255}` })),
    );
    const ruleset = Ruleset.of(NAME, [network(), ...others]);
    const added = ruleset.stage([{ set: endpoint('one', port({ address: '10.9.9.9' })) }]);
    const removed = ruleset.stage([{ remove: { kind: 'endpoint', id: 'e7' } }]);
    expect(size(added.transaction.operations)).toBe(2);
    expect(size(removed.transaction.operations)).toBe(2);
  });

  it('changes nothing for an intent that is set again', () => {
    const ruleset = Ruleset.of(NAME, [network(), endpoint('web', port())]);
    expect(ruleset.stage([{ set: endpoint('web', port()) }]).transaction.operations).toEqual([]);
  });

  it('remembers nothing of a change that was not accepted', () => {
    const ruleset = Ruleset.of(NAME, [network()]);
    const before = normal(ruleset.table());
    ruleset.stage([{ set: endpoint('web', port()) }, { remove: { kind: 'network', id: 'a' } }]);
    expect(normal(ruleset.table())).toEqual(before);
    expect(ruleset.intents()).toEqual([network()]);
  });

  it('deletes the whole table with the last intent', () => {
    const ruleset = Ruleset.of(NAME, [network()]);
    const { operations } = ruleset.stage([{ remove: { kind: 'network', id: 'a' } }]).transaction;
    expect(operations).toEqual([{ op: 'deleteTable' }]);
  });

  it('needs no chains of bridges where there is a resolver only', () => {
    expect(
      Ruleset.of(NAME, [resolver])
        .table()
        ?.chains.map(({ name }) => name),
    ).toEqual(['dns-output']);
  });

  it('lets a host port go from one endpoint to another within one call, in any order', () => {
    const ruleset = Ruleset.of(NAME, [network(), endpoint('old', port())]);
    const successor = endpoint('new', port({ address: '10.9.0.3' }));
    const { operations } = ruleset.stage([
      { set: successor },
      { remove: { kind: 'endpoint', id: 'old' } },
    ]).transaction;
    expect(operations.map(({ op }) => op)).toEqual([
      'deleteElements',
      'deleteElements',
      'addElements',
      'addElements',
    ]);
  });

  it('names who holds a host port that is wanted for another container', () => {
    const ruleset = Ruleset.of(NAME, [network(), endpoint('old', port())]);
    const error = refusal(() => ruleset.stage([{ set: endpoint('new', port({ address: '10.9.0.3' })) }]));
    expect(error).toMatchObject({ code: 'CONFLICT', holder: 'endpoint old' });
    expect(error.message).toContain('publish4-any tcp . 8080');
  });

  it('refuses two networks on one bridge', () => {
    const error = refusal(() => Ruleset.of(NAME, [network(), network({ id: 'b' })]));
    expect(error).toMatchObject({ code: 'CONFLICT', holder: 'network a' });
  });

  it('keeps an open port until the last of its publications is gone', () => {
    const twice = [port(), port({ hostPort: 8081 })];
    const ruleset = Ruleset.of(NAME, [
      network(),
      endpoint('one', ...twice),
      endpoint('two', port({ hostPort: 8082 })),
    ]);
    const { transaction } = ruleset.stage([{ remove: { kind: 'endpoint', id: 'one' } }]);
    const deleted = transaction.operations.flatMap((operation) =>
      operation.op === 'deleteElements' ? [operation.set.name] : [],
    );
    expect(deleted).toEqual(['publish4-any']);
  });
});

describe('an intent that cannot be', () => {
  const cases = {
    'a subnet with host bits': [network({ ipv4: family('ipv4', { subnet: '10.9.0.1/24' }) }), 'ipv4.subnet'],
    'a subnet of the other family': [network({ ipv4: family('ipv6') }), 'ipv4.subnet'],
    'an address to hide behind of the other family': [
      network({ ipv6: family('ipv6', { masquerade: '192.0.2.1' }) }),
      'ipv6.masquerade',
    ],
    'a bridge whose name needs quoting': [network({ bridge: 'br"; flush ruleset' }), 'bridge'],
    'a bridge whose name is too long': [network({ bridge: 'br-0123456789abc' }), 'bridge'],
    'a port of 0': [endpoint('e', port({ port: 0 })), 'ports[0].port'],
    'a host port beyond 65535': [endpoint('e', port(), port({ hostPort: 65536 })), 'ports[1].hostPort'],
    'a container address of the other family': [
      endpoint('e', port({ address: 'fd00::2' })),
      'ports[0].address',
    ],
    'a host address that is none': [
      endpoint('e', port({ hostAddress: 'localhost' })),
      'ports[0].hostAddress',
    ],
    'a host port that leads to two places': [endpoint('e', port(), port({ port: 81 })), 'ports'],
    'a resolver without a port': [{ ...resolver, udpPort: 0 }, 'udpPort'],
    'no id': [network({ id: '' }), 'id'],
  } as const;

  it.each(Object.entries(cases))('is refused: %s', (_, [intent, field]) => {
    const error = refusal(() => Ruleset.of(NAME, [intent]));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });
});
