import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createIptablesFirewall } from '../../../src/osl/firewall/iptables/engine.ts';
import { parseSave } from '../../../src/osl/firewall/iptables/text.ts';
import { TABLE } from './golden.ts';
import { IptablesMemory } from './iptables-memory.ts';
import { ADDITIONS, DEVIATIONS, REORDERED, STATES } from './recordings.ts';

const recorded = (state: string) =>
  parseSave(readFileSync(new URL(`../../golden/recordings/${state}.txt`, import.meta.url), 'utf8'));

/** What the chains hold once the intents were applied one after the other, without our comment. */
async function ours(state: string) {
  const memory = new IptablesMemory();
  const firewall = createIptablesFirewall(memory, { engine: 'iptables', table: TABLE });
  for (const intent of STATES[state] ?? []) await firewall.apply([{ set: intent }]);
  const held = parseSave(await memory.save('ipv4'));
  const plain = (text: string) =>
    text.replace(` -m comment --comment ${TABLE}`, '').replace(/^-m comment --comment \S+ /, '');
  return new Map([...held].map(([chain, rules]) => [chain as string, rules.map(plain)]));
}

const flat = (chains: ReadonlyMap<string, readonly string[]>) =>
  [...chains].flatMap(([chain, rules]) => rules.map((rule) => `${chain} ${rule}`));

/** The rule of ours that stands for one that was recorded; `null`: there is none, and should be. */
function standIn(rule: string, mine: ReadonlySet<string>): string | undefined | null {
  if (mine.has(rule)) return rule;
  const deviation = DEVIATIONS.find((each) => each.recorded.test(rule));
  if (deviation === undefined) return null;
  const instead = deviation.instead.map((text) =>
    rule.replace(deviation.recorded, text).replace('undefined', ''),
  );
  return instead.length === 0 ? undefined : (instead.find((text) => mine.has(text)) ?? null);
}

describe.each(Object.keys(STATES))('beside the rules of Docker 20.10, in the state %s,', (state) => {
  it('each of its rules is there, or what stands for it', async () => {
    const mine = new Set(flat(await ours(state)));
    expect(flat(recorded(state)).filter((rule) => standIn(rule, mine) === null)).toEqual([]);
  });

  it('each of ours is one of them, stands for one, or is an addition with a reason', async () => {
    const mine = new Set(flat(await ours(state)));
    const known = new Set(flat(recorded(state)).map((rule) => standIn(rule, mine)));
    const strange = [...mine].filter(
      (rule) => !known.has(rule) && !ADDITIONS.some((each) => each.ours.test(rule)),
    );
    expect(strange).toEqual([]);
  });

  it('the rules of both are in the order of Docker', async () => {
    const mine = await ours(state);
    for (const [chain, rules] of recorded(state)) {
      const both = rules.filter((rule) => mine.get(chain)?.includes(rule));
      if (!REORDERED.has(chain))
        expect(mine.get(chain)?.filter((rule) => both.includes(rule)) ?? [], chain).toEqual(both);
    }
  });

  it("the user's chain comes first", async () => {
    const mine = await ours(state);
    if (mine.has('filter FORWARD'))
      expect(mine.get('filter FORWARD')?.[0] ?? '-j DOCKER-USER').toBe('-j DOCKER-USER');
  });
});

it('every deviation and every addition is there for some rule', async () => {
  const all = Object.keys(STATES).flatMap((state) => flat(recorded(state)));
  const mine = (await Promise.all(Object.keys(STATES).map(ours))).flatMap(flat);
  expect(DEVIATIONS.filter(({ recorded: is }) => !all.some((rule) => is.test(rule)))).toEqual([]);
  expect(ADDITIONS.filter(({ ours: is }) => !mine.some((rule) => is.test(rule)))).toEqual([]);
});
