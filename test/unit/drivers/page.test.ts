import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MAX_BRIDGE_PORTS } from '../../../src/drivers/bridge/attach.ts';
import { MAX_ALLOWED_ADDRESSES } from '../../../src/drivers/bridge/policies.ts';
import { labels } from '../../../src/labels.ts';
import { MAX_POLICY_COMBINATIONS, MAX_POLICY_RULES } from '../../../src/policy.ts';

const page = readFileSync(new URL('../../../docs/bridge.md', import.meta.url), 'utf8');

/** Every text in nested data. */
function texts(data: unknown): string[] {
  if (typeof data === 'string') return [data];
  return typeof data === 'object' && data !== null ? Object.values(data).flatMap(texts) : [];
}

it('the page about the bridge driver lists its options, all of them and no others', () => {
  const [, table = ''] = /\| option \|.*\n((?:\|.*\n)+)/.exec(page) ?? [];
  const listed = table
    .split('\n')
    .flatMap((line) => line.split('|')[1]?.match(/com\.docker\.network\.[\w.]+/g) ?? []);
  const { prefix, ...options } = labels.bridge;
  expect(prefix).toBe('com.docker.network.bridge.');
  const known = [
    options,
    labels.hostAddress,
    labels.driver,
    labels.containerInterfacePrefix,
    labels.advertise,
  ];
  expect(listed.sort()).toEqual(texts(known).sort());
});

it.each([
  ['MAX_BRIDGE_PORTS', MAX_BRIDGE_PORTS],
  ['MAX_POLICY_RULES', MAX_POLICY_RULES],
  ['MAX_POLICY_COMBINATIONS', MAX_POLICY_COMBINATIONS],
  ['MAX_ALLOWED_ADDRESSES', MAX_ALLOWED_ADDRESSES],
])('the page about the bridge driver tells the limit %s', (name, value) => {
  const sentence = page.split(/\n\n|\n- /).find((text) => text.includes(name)) ?? '';
  expect(sentence).toContain(value.toLocaleString('en'));
});
