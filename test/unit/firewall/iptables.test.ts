import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FirewallChange, Intent } from '../../../src/osl/firewall/firewall.ts';
import { createIptablesFirewall } from '../../../src/osl/firewall/iptables/engine.ts';
import { after, change, intents } from './arbitraries.ts';
import { TABLE } from './golden.ts';
import { endpoint, family, network, port, resolver, SCENES } from './intents.ts';
import { IptablesMemory } from './iptables-memory.ts';

const NOTHING = { missing: [], orphaned: [] };
const options = { engine: 'iptables', table: TABLE } as const;
const web = (number: number): FirewallChange => ({
  set: endpoint(`e${number}`, port({ hostPort: 8000 + number, address: `10.9.0.${number}` })),
});
const removed = (kind: Intent['kind'], id: string): FirewallChange => ({
  remove: { kind, id },
});

function harness(memory = new IptablesMemory()) {
  return { memory, firewall: createIptablesFirewall(memory, options) };
}

/** What a user may have: rules before, between and after ours. */
async function withUserRules(memory: IptablesMemory): Promise<void> {
  const lines = ['-N DOCKER-USER', '-A DOCKER-USER -s 10.0.0.7/32 -j DROP', '-A FORWARD -i eth7 -j ACCEPT'];
  const nat = ['-A POSTROUTING -o eth7 -j MASQUERADE', '-N MINE', '-A PREROUTING -j MINE'];
  for (const each of memory.families) {
    await memory.restore(each, `*filter\n${lines.join('\n')}\nCOMMIT\n*nat\n${nat.join('\n')}\nCOMMIT\n`);
  }
}

/** The rules as iptables-save tells them, without our comment. */
async function saved(memory: IptablesMemory): Promise<string> {
  const texts = await Promise.all(memory.families.map((each) => memory.save(each)));
  return texts.join('\n').replaceAll(` -m comment --comment ${TABLE}`, '');
}

describe('rules of iptables', () => {
  it('have the chains, the rules and the order that people know of Docker 28', async () => {
    const { memory, firewall } = harness();
    await firewall.sync([network(), endpoint('web', port())]);
    const bare = (path: string) =>
      memory
        .chain(`ipv4 ${path}`)
        ?.map((text) =>
          text.replace(` -m comment --comment ${TABLE}`, '').replace(`-m comment --comment ${TABLE} `, ''),
        );
    expect(bare('raw PREROUTING')).toContain('-d 10.9.0.2/32 ! -i br-a -j DROP');
    expect(bare('filter FORWARD')).toEqual(['-j DOCKER-USER', '-j DOCKER-FORWARD']);
    expect(bare('filter DOCKER-USER')).toEqual([]);
    expect(bare('filter DOCKER-FORWARD')).toEqual([
      '-j DOCKER-CT',
      '-j DOCKER-INTERNAL',
      '-j DOCKER-BRIDGE',
      '-i br-a -j ACCEPT',
    ]);
    expect(bare('filter DOCKER-CT')).toEqual([
      '-o br-a -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ]);
    expect(bare('filter DOCKER-BRIDGE')).toEqual(['-o br-a -j DOCKER']);
    expect(bare('filter DOCKER')).toEqual([
      '-d 10.9.0.2/32 ! -i br-a -o br-a -p tcp -m tcp --dport 80 -j ACCEPT',
      '! -i br-a -o br-a -j DROP',
    ]);
    expect(bare('nat PREROUTING')).toEqual(['-m addrtype --dst-type LOCAL -j DOCKER']);
    expect(bare('nat OUTPUT')).toEqual(['-m addrtype --dst-type LOCAL -j DOCKER']);
    expect(bare('nat POSTROUTING')).toContain('-s 10.9.0.0/24 ! -o br-a -j MASQUERADE');
    expect(bare('nat DOCKER')).toEqual(['-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.0.2:80']);
  });

  it.each(Object.entries(SCENES))('are found again as they were made: %s', async (_, scene) => {
    const { memory, firewall } = harness();
    await firewall.sync(scene);
    const texts = memory.restored.length;
    expect(await harness(memory).firewall.sync(scene)).toEqual(NOTHING);
    expect(memory.restored).toHaveLength(texts);
  });

  it('after any changes are those of the intents that are left, and none when none are left', async () => {
    const steps = fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { memory, firewall } = harness();
        await withUserRules(memory);
        for (const step of list) await firewall.apply(step);
        const left = after(list.flat());
        expect(await harness(memory).firewall.sync(left, { dryRun: true })).toEqual(NOTHING);
        await firewall.apply(left.map(({ kind, id }) => removed(kind, id)));
        expect(await harness(memory).firewall.sync([], { dryRun: true })).toEqual(NOTHING);
        expect(await saved(memory)).not.toMatch(/DOCKER-FORWARD|DOCKER_OUTPUT|:DOCKER -/);
      }),
      { numRuns: 60 },
    );
  });

  it('of any intents become those of any others, with the rules of the user in their order', async () => {
    const mine = /DOCKER-USER -s|eth7|MINE/;
    await fc.assert(
      fc.asyncProperty(intents, intents, async (from, to) => {
        const { memory, firewall } = harness();
        await withUserRules(memory);
        const users = async () => (await saved(memory)).split('\n').filter((line) => mine.test(line));
        const before = await users();
        await firewall.sync(from);
        await firewall.sync(to);
        expect(await users()).toEqual(before);
        expect(await harness(memory).firewall.sync(to)).toEqual(NOTHING);
      }),
      { numRuns: 60 },
    );
  });

  it('are changed by a few lines, however many there are', async () => {
    const { memory, firewall } = harness();
    await firewall.apply([{ set: network() }, ...Array.from({ length: 100 }, (_, index) => web(index + 2))]);
    memory.restored.length = 0;
    await firewall.apply([web(200)]);
    const lines = memory.restored.flatMap(({ text }) =>
      text.split('\n').filter((line) => line.startsWith('-')),
    );
    expect(lines.map((line) => line.split(' ').slice(0, 2).join(' ')).sort()).toEqual([
      '-A DOCKER',
      '-A PREROUTING',
      '-I DOCKER',
    ]);
    expect(memory.restored.map((each) => each.family)).toEqual(['ipv4']);
  });

  it('are previewed as a text that both programs accept and that does the same', async () => {
    const { memory, firewall } = harness();
    const twin = harness();
    for (const each of [firewall, twin.firewall]) await each.apply([{ set: network() }, web(2)]);
    const changes = [web(3), removed('endpoint', 'e2'), { set: network({ icc: false }) }];
    const before = await saved(memory);
    const plan = await firewall.plan(changes);
    expect(plan.text).toBe(await firewall.preview(changes));
    expect(plan.added.some((each) => each.includes('8003'))).toBe(true);
    expect(plan.removed.some((each) => each.includes('8002'))).toBe(true);
    expect(await saved(memory)).toBe(before);
    for (const each of memory.families) await memory.restore(each, plan.text);
    await twin.firewall.apply(changes);
    expect(await saved(memory)).toBe(await saved(twin.memory));
  });

  it('refuse a bridge whose name iptables would take for several', async () => {
    const { firewall } = harness();
    await expect(firewall.apply([{ set: network({ bridge: 'br+' }) }])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'bridge',
    });
  });
});

describe('changes by iptables', () => {
  it('that arrive together go to each program once', async () => {
    const { memory, firewall } = harness();
    await Promise.all([2, 3, 4].map((number) => firewall.apply([web(number)])));
    expect(memory.restored.map((each) => each.family)).toEqual(['ipv4', 'ipv6']);
    expect(firewall.intents()).toHaveLength(3);
  });

  it.each(['ipv4 filter', 'ipv4 nat', 'ipv6 raw', 'ipv6 nat'])(
    'are all undone when %s is refused',
    async (place) => {
      const { memory, firewall } = harness();
      await firewall.apply([{ set: network() }, web(2)]);
      const before = await saved(memory);
      let times = 0;
      memory.refuse = (each, table) => `${each} ${table}` === place && ++times <= 2;
      const both = endpoint(
        'both',
        port({ hostPort: 81, port: 90 }),
        port({ hostPort: 81, hostAddress: '::', address: 'fd00:9::2' }),
      );
      await expect(firewall.apply([{ set: both }, removed('endpoint', 'e2')])).rejects.toMatchObject({
        code: 'INTERNAL',
      });
      expect(await saved(memory)).toBe(before);
      expect(firewall.intents().map(({ id }) => id)).toEqual(['a', 'e2']);
      memory.refuse = () => false;
      await firewall.apply([{ set: both }]);
      expect(await harness(memory).firewall.sync([network(), ...firewall.intents().slice(1)])).toEqual(
        NOTHING,
      );
    },
  );

  it('say so when what was done could not be undone, and repair it with the next change', async () => {
    const { memory, firewall } = harness();
    await firewall.apply([{ set: network() }]);
    let broken = false;
    memory.refuse = (_, table) => {
      broken ||= table === 'raw';
      return broken;
    };
    await expect(firewall.apply([web(2), removed('network', 'a')])).rejects.toMatchObject({
      notUndone: ['rules of iptables'],
    });
    memory.refuse = () => false;
    await firewall.apply([web(3)]);
    expect(await harness(memory).firewall.sync(firewall.intents(), { dryRun: true })).toMatchObject({
      missing: [],
    });
  });

  it('repair what somebody flushed in between', async () => {
    const { memory, firewall } = harness();
    await firewall.apply([{ set: network() }, web(2)]);
    const flushed = memory.chain('ipv4 filter DOCKER')?.map((text) => `-D DOCKER ${text}`) ?? [];
    await memory.restore('ipv4', `*filter\n${flushed.join('\n')}\nCOMMIT\n`);
    await firewall.apply([removed('endpoint', 'e2'), web(3)]);
    expect(await harness(memory).firewall.sync(firewall.intents())).toEqual(NOTHING);
  });

  it('leave what an earlier process made until a sync', async () => {
    const { memory, firewall } = harness();
    await firewall.apply([{ set: network() }, web(2)]);
    const successor = harness(memory).firewall;
    await successor.apply([web(3)]);
    await successor.apply([removed('endpoint', 'e3')]);
    expect(
      await firewall.sync([network(), endpoint('e2', port({ hostPort: 8002 }))], { dryRun: true }),
    ).toEqual(NOTHING);
    const { orphaned } = await successor.sync([network()]);
    expect(orphaned.length).toBeGreaterThan(0);
    expect(await harness(memory).firewall.sync([network()])).toEqual(NOTHING);
  });
});

describe('the chain of the user', () => {
  it('comes before ours again after a sync, wherever somebody put it', async () => {
    const { memory, firewall } = harness();
    await firewall.sync([network()]);
    await memory.restore('ipv4', '*filter\n-D FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-USER\nCOMMIT\n');
    await firewall.sync([network()]);
    expect(memory.chain('ipv4 filter FORWARD')?.[0]).toBe('-j DOCKER-USER');
    expect(memory.chain('ipv4 filter FORWARD')).toHaveLength(2);
  });

  it('stays with its rules when everything of ours is destroyed', async () => {
    const { memory, firewall } = harness();
    await withUserRules(memory);
    await firewall.sync([network(), resolver]);
    await firewall.destroy();
    expect(memory.chain('ipv4 filter DOCKER-USER')).toEqual(['-s 10.0.0.7/32 -j DROP']);
    expect(memory.chain('ipv4 filter FORWARD')).toEqual(['-j DOCKER-USER', '-i eth7 -j ACCEPT']);
    expect(memory.chain('ipv4 nat PREROUTING')).toEqual(['-j MINE']);
  });

  it('goes when it was never used, and then nothing is left', async () => {
    const { memory, firewall } = harness();
    const before = await saved(memory);
    await firewall.sync([network(), endpoint('web', port()), resolver]);
    await firewall.destroy();
    await firewall.destroy();
    expect(await saved(memory)).toBe(before);
    await firewall.apply([{ set: network({ ipv6: family('ipv6', { mode: 'routed' }) }) }]);
    expect(memory.chain('ipv6 filter DOCKER-USER')).toEqual([]);
  });
});

describe('two controllers', () => {
  it('have their rules side by side in the same chains, and remove only their own', async () => {
    const memory = new IptablesMemory();
    const one = createIptablesFirewall(memory, options);
    const two = createIptablesFirewall(memory, { ...options, table: 'libnetwork-two' });
    await one.sync([network()]);
    await two.sync([network({ id: 'b', bridge: 'br-b' })]);
    await one.sync([]);
    expect(await two.sync([network({ id: 'b', bridge: 'br-b' })], { dryRun: true })).toEqual(NOTHING);
    expect(await saved(memory)).not.toContain('br-a');
  });
});

describe('rules that label connections for a latch', () => {
  const label = (bit: number, table = TABLE) =>
    `-m conntrack --ctstate NEW -m connlabel --label ${bit} --set -m comment --comment ${table}`;
  const forward = (memory: IptablesMemory) => memory.chain('ipv4 filter FORWARD') ?? [];
  const labelled = (memory: IptablesMemory, table = TABLE) =>
    createIptablesFirewall(memory, { ...options, table }, { labels: true });

  it('stand first in their chains, and behind the user where the user has the word', async () => {
    const memory = new IptablesMemory();
    await withUserRules(memory);
    const firewall = labelled(memory);
    await firewall.sync([network(), endpoint('web', port())]);
    expect(forward(memory)).toEqual([
      label(120),
      '-j DOCKER-USER',
      label(119),
      `-m comment --comment ${TABLE} -j DOCKER-FORWARD`,
      '-i eth7 -j ACCEPT',
    ]);
    expect(memory.chain('ipv4 filter DOCKER-INTERNAL')?.[0]).toBe(label(118));
    await firewall.apply([web(3)]);
    const docker = memory.chain('ipv4 filter DOCKER') ?? [];
    expect(docker[0]).toBe(label(117));
    expect(docker[1]).toContain('-d 10.9.0.3/32');
  });

  it('leave a rule that somebody puts before them where it is among the others', async () => {
    const memory = new IptablesMemory();
    const firewall = labelled(memory);
    await firewall.sync([network()]);
    const rest = forward(memory).slice(1);
    const restored = memory.restored.length;
    await memory.restore('ipv4', '*filter\n-I FORWARD -s 10.0.0.7/32 -j ACCEPT\nCOMMIT\n');
    await firewall.sync([network()]);
    expect(forward(memory)).toEqual([label(120), '-s 10.0.0.7/32 -j ACCEPT', ...rest]);
    expect(memory.restored.length).toBe(restored + 2);
  });

  it('of two controllers do not fight for the first place', async () => {
    const memory = new IptablesMemory();
    const other = network({ id: 'b', bridge: 'br-b' });
    const [one, two] = [labelled(memory), labelled(memory, 'libnetwork-two')];
    await one.sync([network()]);
    await two.sync([other]);
    await two.apply([{ set: endpoint('web', port({ address: '10.9.0.9' })) }]);
    expect(await one.sync([network()], { dryRun: true })).toEqual(NOTHING);
    expect(forward(memory).slice(0, 2)).toEqual([label(120, 'libnetwork-two'), label(120)]);
    await one.sync([]);
    expect(await saved(memory)).toContain('--label 117 --set -m comment --comment libnetwork-two');
    await two.destroy();
    await one.destroy();
    expect(await saved(memory)).not.toContain('connlabel');
  });
});
