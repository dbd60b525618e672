/** Parts of the details: names and values, sections, and what a list leaves out. */
import { type Child, h } from './element.ts';

/** A list in the details is no longer than this. */
export const MAX_LISTED = 60;

/** Those without a value are left out. */
export function facts(entries: readonly (readonly [name: string, value: string | undefined])[]): HTMLElement {
  const told = entries.filter(([, value]) => value !== undefined && value !== '');
  return h(
    'dl',
    {},
    ...told.flatMap(([name, value]) => [h('dt', { text: name }), h('dd', { text: value ?? '' })]),
  );
}

export function pairs(
  title: string,
  map: Readonly<Record<string, string | number | boolean>>,
): HTMLElement | undefined {
  const entries = Object.entries(map);
  if (entries.length === 0) return undefined;
  const list = facts(entries.map(([name, value]) => [name, String(value)]));
  list.classList.add('wide');
  return section(title, list);
}

export function section(title: string, ...children: readonly Child[]): HTMLElement {
  return h('section', {}, h('h3', { text: title }), ...children);
}

/** @param count of the whole list */
export function rest(count: number): HTMLElement | undefined {
  return count > MAX_LISTED
    ? h('p', { class: 'rest', text: `and ${count - MAX_LISTED} more: search for them` })
    : undefined;
}
