import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Action, FIRST, MAX_EVENTS, reduce, type State, ZOOMS } from '../../../src/page/state.ts';
import type { Happening } from '../../../src/page/topology.ts';
import { container, endpoint, network, topology } from './topologies.ts';

const given = (...actions: readonly Action[]): State => actions.reduce(reduce, FIRST);
const event = (id: number): Happening => ({
  type: 'network:create',
  id: String(id).padStart(8, '0'),
  time: id,
  facts: {},
});
const front = network('front');

describe('the size of the drawing', () => {
  const zoomed = (...steps: readonly (-1 | 0 | 1)[]) =>
    steps.reduce((state, by) => reduce(state, { kind: 'zoom', by }), FIRST).zoom;

  it('grows and shrinks by steps, to its bounds, and goes back to its own', () => {
    expect(zoomed(1)).toBeGreaterThan(1);
    expect(zoomed(-1)).toBeLessThan(1);
    expect(zoomed(1, 1, -1, -1)).toBe(1);
    expect(zoomed(...Array(20).fill(1))).toBe(Math.max(...ZOOMS));
    expect(zoomed(...Array(20).fill(-1))).toBe(Math.min(...ZOOMS));
    expect(zoomed(1, 1, 1, 0)).toBe(1);
  });
});

describe('the state of the page', () => {
  it('has every event once and in order, however often and late they come', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat({ max: 50 }))), (batches) => {
        const state = given(
          ...batches.map((ids) => ({ kind: 'events' as const, events: [...new Set(ids)].map(event) })),
        );
        const all = [...new Set(batches.flat())].sort((a, b) => a - b);
        expect(state.events.map(({ time }) => time)).toEqual(all);
      }),
    );
  });

  it('keeps the last events only', () => {
    const events = Array.from({ length: MAX_EVENTS + 10 }, (_, index) => event(index));
    const kept = given({ kind: 'events', events }).events;
    expect([kept.length, kept[0]?.time]).toEqual([MAX_EVENTS, 10]);
  });

  it('tells since when nothing is known, from the first failure on', () => {
    const lost = given(
      { kind: 'connected' },
      { kind: 'disconnected', at: 5 },
      { kind: 'disconnected', at: 9 },
    );
    expect(lost.connection).toEqual({ kind: 'lost', since: 5 });
    expect(reduce(lost, { kind: 'connected' }).connection).toEqual({ kind: 'live' });
  });

  it('keeps what it knows while the connection is lost', () => {
    const what = topology([front], []);
    expect(given({ kind: 'topology', topology: what }, { kind: 'disconnected', at: 1 }).topology).toBe(what);
  });

  it('lets go of what was chosen when it is gone, and follows an endpoint into its container', () => {
    const alone = endpoint('web', front.id);
    const chosen = given(
      { kind: 'topology', topology: topology([front], [], [alone]) },
      { kind: 'choose', key: `endpoint:${alone.id}` },
    );
    const { sandbox } = container('c', []);
    const joined = topology(
      [front],
      [{ sandbox: { ...sandbox, endpoints: [alone.id] }, endpoints: [{ ...alone, sandboxId: sandbox.id }] }],
    );
    const followed = reduce(chosen, { kind: 'topology', topology: joined });
    expect(followed.chosen).toBe('sandbox:s-c');
    expect(reduce(followed, { kind: 'topology', topology: topology([], []) }).chosen).toBeUndefined();
  });

  it.each([
    ['a published port', (id: string) => `door:${id}:8080:80`],
    ['a way out', () => `way:${front.id}`],
    ['what stands for more ports', () => `more:${front.id}`],
    ['another host', () => 'host:h2'],
  ])('lets go of %s that is gone', (_, keyOf) => {
    const port = { container: 80, host: 8080, hostAddress: '0.0.0.0', protocol: 'tcp' } as const;
    const web = endpoint('web', front.id, { host: 'h2', ports: [port] });
    const key = keyOf(web.id);
    const chosen = given(
      { kind: 'topology', topology: topology([front], [], [web]) },
      { kind: 'choose', key },
      { kind: 'topology', topology: topology([front], [], [web]) },
    );
    expect(chosen.chosen).toBe(key);
    expect(reduce(chosen, { kind: 'topology', topology: topology([], []) }).chosen).toBeUndefined();
  });

  it('folds and unfolds a network', () => {
    const once = given({ kind: 'fold', network: 'a' });
    expect([...once.folded]).toEqual(['a']);
    expect([...reduce(once, { kind: 'fold', network: 'a' }).folded]).toEqual([]);
  });

  it('is the same object where nothing has changed', () => {
    const state = given({ kind: 'events', events: [event(1)] });
    expect(reduce(state, { kind: 'events', events: [event(1)] })).toBe(state);
    expect(reduce(state, { kind: 'choose', key: undefined })).toBe(state);
  });
});
