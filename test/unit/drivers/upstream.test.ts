import { describe, expect, it } from 'vitest';
import { hasTest } from '../../support/titles.ts';
import type { Behaviours } from '../core/behaviours/behaviour.ts';
import { BRIDGE } from './upstream/bridge.ts';
import { FIREWALL } from './upstream/firewall.ts';
import { PORTS } from './upstream/ports.ts';

const CASES: Behaviours = { ...BRIDGE, ...FIREWALL, ...PORTS };

describe('what upstream’s tests ask of the bridge driver, its firewall and its ports', () => {
  it('is all of it listed', () => {
    expect(Object.keys(CASES).map(Number)).toEqual(Array.from({ length: 118 }, (_, i) => i + 1));
  });

  it.each(Object.entries(CASES))(
    '%s: is held by tests that there are, or says why not',
    (_, { held, differs }) => {
      expect(held.filter(([file, title]) => !hasTest(file, title))).toEqual([]);
      if (held.length === 0) expect(differs?.length).toBeGreaterThan(20);
    },
  );
});
