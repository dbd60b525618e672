import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Behaviours } from './behaviours/behaviour.ts';
import { FILES } from './behaviours/files.ts';
import { NETWORK } from './behaviours/network.ts';
import { SANDBOX } from './behaviours/sandbox.ts';
import { SUPPORT } from './behaviours/support.ts';

const BEHAVIOURS: Behaviours = { ...NETWORK, ...SANDBOX, ...SUPPORT, ...FILES };

const root = new URL('../../../', import.meta.url);
const texts = new Map<string, string>();

function textOf(file: string): string {
  const text = texts.get(file) ?? readFileSync(new URL(file, root), 'utf8');
  texts.set(file, text);
  return text;
}

/** Whether a file has a test of that title: the first argument of a call, before its function. */
function has(file: string, title: string): boolean {
  const escaped = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`\\(\\s*(['"\`])${escaped}\\1,`).test(textOf(file));
}

describe('what upstream’s tests ask', () => {
  it('is all of it listed', () => {
    expect(Object.keys(BEHAVIOURS).map(Number)).toEqual(Array.from({ length: 147 }, (_, i) => i + 1));
  });

  it.each(Object.entries(BEHAVIOURS))(
    '%s: is held by tests that there are, or says why not',
    (_, { held, differs }) => {
      expect(held.filter(([file, title]) => !has(file, title))).toEqual([]);
      if (held.length === 0) expect(differs?.length).toBeGreaterThan(20);
    },
  );

  it('does not find a test that there is not', () => {
    expect(has('test/unit/core/behaviours.test.ts', 'is all of it listed')).toBe(true);
    expect(has('test/unit/core/behaviours.test.ts', 'is all of it')).toBe(false);
  });
});
