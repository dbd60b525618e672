import { describe, expect, it } from 'vitest';
import { hasTest } from '../../support/titles.ts';
import type { Behaviours } from './behaviours/behaviour.ts';
import { FILES } from './behaviours/files.ts';
import { NETWORK } from './behaviours/network.ts';
import { SANDBOX } from './behaviours/sandbox.ts';
import { SUPPORT } from './behaviours/support.ts';

const BEHAVIOURS: Behaviours = { ...NETWORK, ...SANDBOX, ...SUPPORT, ...FILES };

describe('what upstream’s tests ask', () => {
  it('is all of it listed', () => {
    expect(Object.keys(BEHAVIOURS).map(Number)).toEqual(Array.from({ length: 147 }, (_, i) => i + 1));
  });

  it.each(Object.entries(BEHAVIOURS))(
    '%s: is held by tests that there are, or says why not',
    (_, { held, differs }) => {
      expect(held.filter(([file, title]) => !hasTest(file, title))).toEqual([]);
      if (held.length === 0) expect(differs?.length).toBeGreaterThan(20);
    },
  );

  it('does not find a test that there is not', () => {
    expect(hasTest('test/unit/core/behaviours.test.ts', 'is all of it listed')).toBe(true);
    expect(hasTest('test/unit/core/behaviours.test.ts', 'is all of it')).toBe(false);
  });
});
