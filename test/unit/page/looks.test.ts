/** Colours, words, and the way of arrow keys. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COLOURS, coloursOf } from '../../../src/page/colours.ts';
import { type Box, nearest } from '../../../src/page/geometry.ts';
import { compareNames, doorText, portSentence, sizeText, wayLabel } from '../../../src/page/words.ts';
import { network } from './topologies.ts';

const css = readFileSync(new URL('../../../src/page/style.css', import.meta.url), 'utf8');

/** `light-dark(a, b)` by name. */
function pair(name: string): readonly [light: string, dark: string] {
  const [, light, dark] =
    new RegExp(`${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css) ?? [];
  if (light === undefined || dark === undefined) throw new Error(`${name} is no pair of colours`);
  return [light, dark];
}

/** WCAG 2.2, relative luminance. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((start) => {
    const part = Number.parseInt(colour.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const grounds = ['--ground', '--host', '--raised'].map(pair);

describe('colours', () => {
  const networks = [...css.matchAll(/\.net-\d \{\s+--net: light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)];

  it('there are as many as networks are given', () => {
    expect(networks).toHaveLength(COLOURS);
  });

  it('of networks stand out from what they are drawn on, in light and dark', () => {
    for (const [, light = '', dark = ''] of networks)
      for (const [onLight, onDark] of grounds) {
        expect(contrast(light, onLight)).toBeGreaterThanOrEqual(3);
        expect(contrast(dark, onDark)).toBeGreaterThanOrEqual(3);
      }
  });

  it.each(['--ink', '--soft', '--accent', '--good', '--bad'])('of texts can be read: %s', (name) => {
    const [light, dark] = pair(name);
    for (const [onLight, onDark] of grounds) {
      expect(contrast(light, onLight)).toBeGreaterThanOrEqual(4.5);
      expect(contrast(dark, onDark)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it('differ as long as there are enough, and stay when a network is added', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.uuid(), { maxLength: 20 }), (ids) => {
        const all = coloursOf(ids);
        const first = coloursOf(ids.slice(0, -1));
        for (const [id, colour] of first) expect(all.get(id)).toBe(colour);
        expect(new Set([...all.values()].slice(0, COLOURS)).size).toBe(Math.min(ids.length, COLOURS));
      }),
    );
  });
});

describe('words', () => {
  const port = { protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' } as const;

  it('of ports', () => {
    expect(doorText(port)).toBe('8080');
    expect(doorText({ ...port, protocol: 'udp', hostAddress: '127.0.0.1' })).toBe('127.0.0.1:8080/udp');
    expect(doorText({ ...port, hostAddress: 'fd00::1' })).toBe('[fd00::1]:8080');
    expect(doorText({ ...port, host: 0 })).toBe('80');
    expect(portSentence(port)).toBe('tcp port 8080 of every address of the host leads to port 80');
  });

  it('of ways out, families that differ apart', () => {
    expect(wayLabel(network('a', { ways: { ipv4: 'nat', ipv6: 'nat' } }))).toBe('NAT');
    expect(wayLabel(network('a', { ways: { ipv4: 'nat', ipv6: 'routed' } }))).toBe('NAT, IPv6 routed');
    expect(wayLabel(network('a', { ways: { ipv6: 'none' } }))).toBe('none');
  });

  it('of sizes', () => {
    expect([0, 999, 1000, 12_345, 9_876_543].map(sizeText)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '12 kB',
      '9.9 MB',
    ]);
  });

  it('names are in the order in which people count', () => {
    expect(['web-10', 'web-9', 'db'].sort(compareNames)).toEqual(['db', 'web-9', 'web-10']);
  });
});

describe('arrow keys', () => {
  const grid = new Map<string, Box>();
  for (let row = 0; row < 4; row += 1)
    for (let column = 0; column < 5; column += 1)
      grid.set(`${row} ${column}`, { x: column * 50, y: row * 40, width: 40, height: 30 });
  const box = (key: string): Box => grid.get(key) ?? { x: 0, y: 0, width: 0, height: 0 };

  it('lead to the next one in a grid, and nowhere at its edge', () => {
    expect(nearest(grid, box('1 2'), 'right')).toBe('1 3');
    expect(nearest(grid, box('1 2'), 'left')).toBe('1 1');
    expect(nearest(grid, box('1 2'), 'up')).toBe('0 2');
    expect(nearest(grid, box('1 2'), 'down')).toBe('2 2');
    expect(nearest(grid, box('0 0'), 'up')).toBeUndefined();
    expect(nearest(grid, box('3 4'), 'right')).toBeUndefined();
  });
});
