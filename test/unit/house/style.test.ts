import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { root, sources } from './sources.ts';

const MAX_LINES = 400;
const code = [...sources('src'), ...sources('bench'), ...sources('examples')];
const texts = [...code, ...sources('test'), ...sources('docs', /\.md$/), ...sources('bench', /\.[ch]$/)];

const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');

describe('house style', () => {
  it.each(code)('$path has at most 400 lines', ({ text }) => {
    expect(text.split('\n').length - 1).toBeLessThanOrEqual(MAX_LINES);
  });

  it.each(code)('$path keeps the type checker on', ({ text }) => {
    expect(text).not.toMatch(/@ts-(?:ignore|expect-error|nocheck)/);
    expect(withoutComments(text)).not.toMatch(/(?:\bas|[:<|])\s*any\b(?!-)/);
  });

  it('has no focused or unfinished test', () => {
    const focused = /\b(?:it|test|describe)\.(?:only|todo)\(/;
    expect(sources('test').filter(({ text }) => focused.test(text))).toEqual([]);
  });

  it("names no directory of anyone's machine", () => {
    const homes = /(?:^|[\s'"`(])\/(?:home|root|work|Users)\/\w/;
    expect(texts.filter(({ text }) => homes.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it('locks packages by their hashes, not by where they were fetched', () => {
    const lock = readFileSync(`${root}package-lock.json`, 'utf8');
    expect(lock).toContain('"integrity"');
    expect(lock).not.toContain('"resolved": "http');
  });
});
