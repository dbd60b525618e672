import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { kernelError } from '../../../src/osl/errno.ts';
import { createFirewall } from '../../../src/osl/firewall/engine.ts';
import type { Firewall, FirewallChange, Intent } from '../../../src/osl/firewall/firewall.ts';
import { type MemoryBackend, memoryBackend } from '../../../src/osl/firewall/memory.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import type { Transaction } from '../../../src/osl/firewall/transaction.ts';
import { endpoint, network, port } from './intents.ts';
import { normal } from './tables.ts';

const table = 'libnetwork-test';
const options = { engine: 'nftables', table } as const;

interface Harness {
  readonly firewall: Firewall;
  readonly backend: MemoryBackend;
  readonly commits: Transaction[];
  /** Holds commits back until the function that it returns is called. */
  hold(): () => void;
  /** Refuses every commit that the test is true for. */
  refuse: (transaction: Transaction) => Error | undefined;
}

function harness(backend = memoryBackend()): Harness {
  const commits: Transaction[] = [];
  let gate = Promise.resolve();
  const made: Harness = {
    backend,
    commits,
    refuse: () => undefined,
    hold: () => {
      let release: () => void = () => undefined;
      gate = new Promise((resolve) => {
        release = resolve;
      });
      return () => release();
    },
    firewall: createFirewall(
      {
        ...backend,
        commit: async (transaction) => {
          await gate;
          const error = made.refuse(transaction);
          if (error !== undefined) throw error;
          await backend.commit(transaction);
          commits.push(transaction);
        },
      },
      options,
    ),
  };
  return made;
}

const web = (number: number): FirewallChange => ({
  set: endpoint(`e${number}`, port({ hostPort: 8000 + number, address: `10.9.0.${number}` })),
});
const mentions = (transaction: Transaction, text: string): boolean =>
  JSON.stringify(transaction).includes(text);
const opsOf = (transaction: Transaction | undefined): string[] =>
  transaction?.operations.map(({ op }) => op) ?? [];

describe('changes that arrive together', () => {
  it('go to the kernel as one transaction', async () => {
    const { firewall, commits } = harness();
    await Promise.all([2, 3, 4].map((number) => firewall.apply([web(number)])));
    expect(commits).toHaveLength(1);
    expect(firewall.intents()).toHaveLength(3);
  });

  it('wait for the transaction under way and then share the next one', async () => {
    const { firewall, commits, hold } = harness();
    const release = hold();
    const first = firewall.apply([web(2)]);
    await new Promise(setImmediate);
    const others = [3, 4, 5].map((number) => firewall.apply([web(number)]));
    release();
    await Promise.all([first, ...others]);
    expect(commits).toHaveLength(2);
    expect([3, 4, 5].every((number) => commits[1] && mentions(commits[1], `10.9.0.${number}`))).toBe(true);
  });

  it('fail only for the caller whose change is refused', async () => {
    const test = harness();
    await test.firewall.apply([{ set: network() }]);
    test.refuse = (transaction) =>
      mentions(transaction, '10.9.0.3') ? kernelError('addElements', 'ENOMEM') : undefined;
    const outcomes = await Promise.allSettled([2, 3, 4].map((number) => test.firewall.apply([web(number)])));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(test.firewall.intents()).toHaveLength(3);
  });

  it('fail only for the caller whose change cannot be', async () => {
    const { firewall } = harness();
    const outcomes = await Promise.allSettled([
      firewall.apply([web(2)]),
      firewall.apply([{ set: endpoint('bad', port({ port: 0 })) }]),
      firewall.apply([{ set: endpoint('thief', port({ hostPort: 8002, address: '10.9.0.9' })) }]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  });

  it('keep their order around a sync', async () => {
    const { firewall } = harness();
    const calls = [firewall.apply([web(2)]), firewall.sync([network()]), firewall.apply([web(3)])];
    await Promise.all(calls);
    expect(firewall.intents().map(({ id }) => id)).toEqual(['a', 'e3']);
  });
});

describe('a commit that fails', () => {
  it('changes nothing, and a later one is not disturbed', async () => {
    const test = harness();
    await test.firewall.apply([{ set: network() }, web(2)]);
    const before = { table: normal(test.backend.table(table)), intents: test.firewall.intents() };
    test.refuse = () => kernelError('commit', 'ENOMEM');
    await expect(
      test.firewall.apply([web(3), { remove: { kind: 'endpoint', id: 'e2' } }]),
    ).rejects.toMatchObject({
      errno: 'ENOMEM',
    });
    expect({ table: normal(test.backend.table(table)), intents: test.firewall.intents() }).toEqual(before);
    test.refuse = () => undefined;
    await test.firewall.apply([web(4)]);
    expect(normal(test.backend.table(table))).toEqual(
      normal(Ruleset.of(table, test.firewall.intents()).table()),
    );
  });
});

describe('a table that somebody else changed', () => {
  it('is made whole again by the next change when it was flushed away', async () => {
    const { firewall, backend } = harness();
    await firewall.apply([{ set: network() }, web(2)]);
    await backend.commit({ table, operations: [{ op: 'deleteTable' }] });
    await firewall.apply([web(3)]);
    expect(normal(backend.table(table))).toEqual(normal(Ruleset.of(table, firewall.intents()).table()));
  });

  it('is compared by sync: what was missing and what was too much are told and put right', async () => {
    const { firewall, backend } = harness();
    const intents = [network(), endpoint('web', port())];
    await firewall.sync(intents);
    const open4 = backend.table(table)?.sets.find(({ name }) => name === 'open4');
    if (open4 === undefined) throw new Error('no set open4');
    await backend.commit({
      table,
      operations: [
        { op: 'deleteElements', set: open4, elements: [{ key: ['10.9.0.2', 'tcp', '80'] }] },
        { op: 'addElements', set: open4, elements: [{ key: ['10.9.0.66', 'tcp', '22'] }] },
        { op: 'flushChain', chain: 'forward' },
        { op: 'addChain', chain: 'stranger' },
        {
          op: 'addRules',
          chain: 'in-a',
          rules: [{ match: [], action: { kind: 'accept' }, comment: 'let all in' }],
        },
      ],
    });
    const dry = await firewall.sync(intents, { dryRun: true });
    const report = await firewall.sync(intents);
    expect(dry).toEqual(report);
    expect(report).toEqual({
      missing: [
        'element open4 10.9.0.2 . tcp . 80',
        'rule "the rules are there for what goes from our bridges" in chain forward',
        'rule "the rules are there for what goes to our bridges" in chain forward',
        'rule "what the user says goes" in chain forward',
        'rule "from our bridges" in chain forward',
        'rule "the rules are gone for what goes from one of our bridges" in chain forward',
        'rule "to our bridges" in chain forward',
        'rule "the rules are gone for what goes to one of our bridges" in chain forward',
      ],
      orphaned: ['element open4 10.9.0.66 . tcp . 22', 'chain stranger', 'rule "let all in" in chain in-a'],
    });
    expect(await firewall.sync(intents)).toEqual({ missing: [], orphaned: [] });
  });

  it('whose rules stand in another order is told and put right', async () => {
    const { firewall, backend } = harness();
    await firewall.sync([network()]);
    const rules = backend.table(table)?.chains.find(({ name }) => name === 'in-a')?.rules ?? [];
    await backend.commit({
      table,
      operations: [
        { op: 'flushChain', chain: 'in-a' },
        { op: 'addRules', chain: 'in-a', rules: [...rules].reverse() },
      ],
    });
    const report = await firewall.sync([network()]);
    expect(report.missing).toEqual(['order of the rules in chain in-a']);
  });
});

describe('after a restart', () => {
  const intents = [network(), endpoint('web', port())];

  it('sync commits nothing when the rules are right', async () => {
    const { firewall, backend } = harness();
    await firewall.sync(intents);
    const successor = harness(backend);
    expect(await successor.firewall.sync(structuredClone(intents))).toEqual({ missing: [], orphaned: [] });
    expect(successor.commits).toEqual([]);
  });

  it('a change before the first sync removes nothing of what is there', async () => {
    const { firewall, backend } = harness();
    await firewall.sync(intents);
    const successor = harness(backend);
    await successor.firewall.apply([{ set: network() }, web(3)]);
    expect(successor.commits.map(opsOf)).toEqual([['addElements', 'addElements']]);
    const { set } = web(3) as { set: Intent };
    expect(normal(backend.table(table))).toEqual(normal(Ruleset.of(table, [...intents, set]).table()));
  });

  it('a change before the first sync and its undoing leave what is there', async () => {
    const { firewall, backend } = harness();
    await firewall.sync(intents);
    const before = normal(backend.table(table));
    const successor = harness(backend);
    const other = network({ id: 'b', bridge: 'br-b' });
    await successor.firewall.apply([{ set: other }]);
    await successor.firewall.apply([{ remove: other }]);
    expect(normal(backend.table(table))).toEqual(before);
  });

  it('sync removes what nobody asks for any more', async () => {
    const { firewall, backend } = harness();
    await firewall.sync(intents);
    const successor = harness(backend);
    const report = await successor.firewall.sync([network()]);
    expect(report.orphaned).toEqual(['element open4 10.9.0.2 . tcp . 80', 'element publish4-any tcp . 8080']);
  });

  it('dryRun tells and touches nothing', async () => {
    const { firewall, commits } = harness();
    const report = await firewall.sync(intents, { dryRun: true });
    expect(report.missing).toContain('chain in-a');
    expect(commits).toEqual([]);
    expect(firewall.intents()).toEqual([]);
  });
});

describe('connections from before there were rules', () => {
  it('are looked for where rules judge any, and not for the sake of a name server', async () => {
    let asked = 0;
    const forget = async () => void asked++;
    const firewall = createFirewall({ ...memoryBackend(), forget }, options);
    const resolver = {
      kind: 'resolver',
      id: 's1',
      address: '127.0.0.11',
      udpPort: 40_000,
      tcpPort: 40_001,
    } as const;
    await firewall.sync([resolver]);
    expect(asked).toBe(0);
    await firewall.sync([resolver, network()]);
    expect(asked).toBe(1);
    await firewall.sync([resolver, network()]);
    expect(asked).toBe(1);
    await firewall.close();
  });
});

describe('a firewall', () => {
  it('previews a change as the commands that would make it', async () => {
    const { firewall, commits } = harness();
    await firewall.apply([{ set: network() }]);
    const text = await firewall.preview([web(2), { remove: { kind: 'network', id: 'b' } }]);
    expect(text).toBe(
      `add element inet ${table} open4 { 10.9.0.2 . tcp . 80 }\n` +
        `add element inet ${table} publish4-any { tcp . 8002 : 10.9.0.2 . 80 }\n`,
    );
    expect(commits).toHaveLength(1);
  });

  it('tells what a change would add and remove as data, and does just that', async () => {
    const { firewall, backend, commits } = harness();
    await firewall.apply([{ set: network() }, web(2)]);
    const before = await backend.read(table);
    const changes = [{ set: network({ icc: false }) }, { remove: { kind: 'endpoint', id: 'e2' } }] as const;
    const plan = await firewall.plan(changes);
    expect(plan).toEqual({
      added: [
        'rule "IPv6 finds its neighbours" in chain in-a',
        'rule "linked ipv4 ports" in chain in-a',
        'rule "linked ipv6 ports" in chain in-a',
        'rule "containers of the network may not talk to each other" in chain in-a',
      ],
      removed: [
        'element open4 10.9.0.2 . tcp . 80',
        'element publish4-any tcp . 8002',
        'rule "between containers of the network" in chain in-a',
      ],
      text: await firewall.preview(changes),
    });
    expect(await backend.read(table)).toEqual(before);
    expect(commits).toHaveLength(1);
    const successor = harness(backend);
    expect(await successor.firewall.plan([{ set: network() }, web(2)])).toMatchObject({
      added: [],
      removed: [],
    });
    await firewall.apply(changes);
    expect(await firewall.plan(changes)).toEqual({ added: [], removed: [], text: '' });
  });

  it('destroys its table, and again, and starts anew afterwards', async () => {
    const { firewall, backend } = harness();
    await firewall.apply([{ set: network() }]);
    await firewall.destroy();
    await firewall.destroy();
    expect([backend.table(table), firewall.intents()]).toEqual([undefined, []]);
    await firewall.apply([{ set: network() }]);
    expect(backend.table(table)).toBeDefined();
  });

  it('keeps the rules when it is closed, and then refuses to work', async () => {
    const { firewall, backend } = harness();
    await firewall.apply([{ set: network() }]);
    await firewall.close();
    await firewall.close();
    expect(backend.table(table)).toBeDefined();
    await expect(firewall.apply([web(2)])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(firewall.sync([])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('ends the wait of a caller who gave up, and drops a change that has not started', async () => {
    const { firewall, hold } = harness();
    const release = hold();
    const first = firewall.apply([web(2)]);
    await new Promise(setImmediate);
    const controller = new AbortController();
    const second = firewall.apply([web(3)], { signal: controller.signal });
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    release();
    await first;
    await firewall.apply([web(4)]);
    expect(firewall.intents().map(({ id }) => id)).toEqual(['e2', 'e4']);
  });

  it('with the engine none computes everything and reaches no kernel', async () => {
    const firewall = createFirewall(memoryBackend(), { engine: 'none', table });
    await firewall.apply([{ set: network() }]);
    expect(firewall.engine).toBe('none');
    expect(await firewall.sync([network()], { dryRun: true })).toEqual({ missing: [], orphaned: [] });
    expect(await firewall.preview([web(2)])).toContain('add element');
  });

  it('leaves the programs of iptables to their own engine, and says what to use', () => {
    const make = () => createFirewall(memoryBackend(), { engine: 'iptables', table });
    expect(make).toThrow(LibnetworkError);
    expect(make).toThrow(/nftables/);
  });

  it.each(['', 'my table', '1st', 'a;flush ruleset', 'x'.repeat(256)])(
    'refuses the table name %j',
    (name) => {
      expect(() => createFirewall(memoryBackend(), { engine: 'nftables', table: name })).toThrow(/table/);
    },
  );
});
