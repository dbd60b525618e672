import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mirror, NameMirror } from '../../../src/resolver/mirror.ts';
import { type NameChange, NameTable } from '../../../src/resolver/names.ts';

const id = fc.constantFrom('1', '2', '3');
const name = fc.constantFrom('a', 'b', 'c');
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::1');
const networks = fc.subarray(['n1', 'n2', 'n3']);

const change: fc.Arbitrary<NameChange> = fc.oneof(
  fc.record({ id, network: id, name, address }).map(({ id, network, name, address }) => ({
    op: 'setEndpoint' as const,
    value: {
      id,
      networkId: `n${network}`,
      networkName: `net${network}`,
      names: [name],
      [address.includes(':') ? 'ipv6' : 'ipv4']: address,
    },
  })),
  fc.record({ id, networks, alias: name, target: name }).map(({ id, networks, alias, target }) => ({
    op: 'setSandbox' as const,
    value: { id: `s${id}`, networks, aliases: { [alias]: target } },
  })),
  fc
    .record({
      id,
      name,
      address,
      forward: fc.constantFrom('none', 'servers', undefined),
      internal: fc.boolean(),
    })
    .map(({ id, name, address, forward, internal }) => ({
      op: 'setNetwork' as const,
      value: { id: `n${id}`, name: `net${id}`, records: { [name]: [address] }, forward, internal },
    })),
  fc.record({ op: fc.constant('removeEndpoint' as const), value: id }),
  fc.record({ op: fc.constant('removeSandbox' as const), value: id.map((it) => `s${it}`) }),
  fc.record({ op: fc.constant('removeNetwork' as const), value: id.map((it) => `n${it}`) }),
);

/** All that can be asked of names, but for the order of several addresses, which turns. */
function answers(names: NameTable | NameMirror): unknown {
  const sorted = (found: unknown) => (Array.isArray(found) ? found.toSorted() : found);
  return ['s1', 's2', 's3'].map((sandbox) => [
    ...['a', 'b', 'c', 'a.net1', 'b.net2'].flatMap((it) => [
      sorted(names.lookup(sandbox, it, 'ipv4')),
      sorted(names.lookup(sandbox, it, 'ipv6')),
      names.mayForward(sandbox, it, 'host'),
    ]),
    ...['10.0.0.1', '10.0.0.2', 'fd00::1'].map((it) => names.reverse(sandbox, it)),
  ]);
}

describe('names in another thread', () => {
  it('are at every moment those of the first, whatever was there before', () => {
    fc.assert(
      fc.property(fc.array(change), fc.array(fc.array(change), { maxLength: 5 }), (before, later) => {
        const names = new NameTable();
        for (const each of before) names.change(each);
        const { data, stop } = mirror(names);
        const there = new NameMirror(data);
        expect(answers(there)).toEqual(answers(names));
        for (const changes of later) {
          for (const each of changes) names.change(each);
          expect(answers(there)).toEqual(answers(names));
        }
        stop();
      }),
    );
  });

  it('take in what was sent also while nobody asks', async () => {
    const names = new NameTable();
    const { data, stop } = mirror(names);
    const there = new NameMirror(data);
    names.setSandbox({ id: 's1', networks: ['n1'] });
    names.setNetwork({ id: 'n1', name: 'front', records: { db: ['10.0.0.1'] } });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(there.lookup('s1', 'db', 'ipv4')).toEqual(['10.0.0.1']);
    expect(there.service('s1', '_http._tcp.db')).toBeUndefined();
    stop();
  });
});
