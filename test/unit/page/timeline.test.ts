import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TOLD } from '../../../src/api/journal.ts';
import { HAPPENINGS } from '../../../src/page/happenings.ts';
import { timelineOf } from '../../../src/page/timeline.ts';
import type { Happening } from '../../../src/page/topology.ts';

const front = { id: 'f', name: 'front', driver: 'bridge' };
let next = 0;
function event(type: string, time: number, more: Partial<Happening> = {}): Happening {
  next += 1;
  return { type, id: String(next).padStart(6, '0'), time, facts: {}, ...more };
}
const joins = (count: number, start: number, apart: number) =>
  Array.from({ length: count }, (_, index) =>
    event('endpoint:join', start + index * apart, {
      network: front,
      containerId: `c${index}`,
      facts: { networkId: 'f', endpointId: `e${index}`, sandboxId: `s${index}`, interfaceName: 'eth0' },
    }),
  );

describe('the timeline', () => {
  it('hears of every event that the daemon tells, and has words for it', () => {
    expect([...HAPPENINGS].sort()).toEqual([...TOLD].sort());
    for (const type of HAPPENINGS) {
      const [entry] = timelineOf([event(type, 0, { network: front, facts: { name: 'web' } })], 1);
      expect(entry?.text).not.toBe(type);
    }
  });

  it('says what happened, the newest first', () => {
    const events = [
      event('network:create', 0, { network: front, facts: { networkId: 'f', name: 'front' } }),
      ...joins(1, 10_000, 0),
      event('reconcile', 20_000, { facts: { missing: 1, orphaned: 0, repaired: 1 } }),
    ];
    expect(timelineOf(events, 10).map(({ text }) => text)).toEqual([
      'Reconciled: 1 missing, 0 orphaned, 1 repaired',
      'c0 joined front as eth0',
      'Network front made',
    ]);
  });

  it('names what an event is about, the nearest first', () => {
    expect(timelineOf(joins(1, 0, 0), 10)[0]?.keys).toEqual(['sandbox:s0', 'endpoint:e0', 'network:f']);
  });

  it('tells a burst in a line, and what came slowly line by line', () => {
    const [burst, ...more] = timelineOf(joins(120, 0, 10), 10);
    expect([burst?.text, burst?.more, more]).toEqual([
      '120 containers joined front',
      'c0, c1, c2, c3 and 116 more',
      [],
    ]);
    expect(timelineOf(joins(5, 0, 10), 10)).toHaveLength(5);
    expect(timelineOf(joins(20, 0, 5000), 50)).toHaveLength(20);
  });

  it('has no more lines than asked, each of its own id, in the order of time', () => {
    const types = fc.constantFrom(
      'network:create',
      'endpoint:join',
      'endpoint:leave',
      'sandbox:create',
      'other',
    );
    const steps = fc.array(fc.record({ type: types, wait: fc.integer({ min: 0, max: 3000 }) }), {
      maxLength: 80,
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 30 }), (all, limit) => {
        let time = 0;
        const events = all.map(({ type, wait }) => {
          time += wait;
          return event(type, time, { network: front, containerId: 'c' });
        });
        const entries = timelineOf(events, limit);
        expect(entries.length).toBeLessThanOrEqual(limit);
        expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length);
        expect(entries.map(({ time: at }) => at)).toEqual(
          entries.map(({ time: at }) => at).sort((a, b) => b - a),
        );
      }),
    );
  });
});
