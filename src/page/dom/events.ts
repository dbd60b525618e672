/** The timeline, newest first; what still exists can be chosen from it. */
import type { Key } from '../scene.ts';
import { type TimelineEntry, timelineOf } from '../timeline.ts';
import type { Happening, Topology } from '../topology.ts';
import { clockText, countText } from '../words.ts';
import { h, KeyedChildren, setAttribute, setText } from './element.ts';
import { colourClass } from './pieces.ts';

const MAX_SHOWN = 200;
/** A screen reader is told once for all that comes together. */
const SAY_MS = 1_500;

export interface TimelineView {
  readonly events: readonly Happening[];
  readonly topology: Topology | undefined;
  readonly colours: ReadonlyMap<string, number>;
}

export class Timeline {
  readonly #list: KeyedChildren<TimelineEntry & { readonly view: TimelineView }, HTMLElement>;
  readonly #empty: HTMLElement;
  readonly #news: HTMLElement;
  readonly #choose: (key: Key, byKeyboard: boolean) => void;
  #shown: TimelineView | undefined;
  #told = '';
  #timer: number | undefined;

  /** @param news where a screen reader hears of what is new */
  constructor(root: HTMLElement, news: HTMLElement, choose: (key: Key, byKeyboard: boolean) => void) {
    this.#news = news;
    this.#choose = choose;
    this.#empty = h('p', { class: 'rest', text: 'Nothing has happened since the daemon started.' });
    const list = h('ol', { 'aria-label': 'Events, newest first' });
    root.append(this.#empty, list);
    this.#list = new KeyedChildren<TimelineEntry & { readonly view: TimelineView }, HTMLElement>(list, {
      key: ({ id }) => id,
      make: (entry) => this.#make(entry),
      update: (item, entry) => this.#update(item, entry),
    });
  }

  show(view: TimelineView): void {
    const before = this.#shown;
    if (before?.events === view.events && before.topology === view.topology) return;
    this.#shown = view;
    const entries = timelineOf(view.events, MAX_SHOWN);
    this.#empty.hidden = entries.length > 0;
    this.#list.show(entries.map((entry) => ({ ...entry, view })));
    const newest = view.events.at(-1)?.id ?? '';
    if (this.#told === '') this.#told = newest;
    else if (newest > this.#told) this.#say();
  }

  #make({ time }: TimelineEntry): HTMLElement {
    const date = new Date(time);
    return h(
      'li',
      {},
      h('time', { datetime: date.toISOString(), title: date.toLocaleString(), text: clockText(time) }),
      h('span', { class: 'mark', 'aria-hidden': 'true' }),
      h('div', { class: 'event' }, h('span', { class: 'more' })),
    );
  }

  #update(
    item: HTMLElement,
    { text, more, tone, network, keys, view }: TimelineEntry & { readonly view: TimelineView },
  ): void {
    item.className = `${tone} ${colourClass(view.colours, network)}`;
    const key = keys.find((each) => exists(view.topology, each));
    const about = item.querySelector('.about');
    const isLink = about instanceof HTMLButtonElement;
    if (!about || isLink !== (key !== undefined)) {
      about?.remove();
      item.querySelector('.event')?.prepend(
        key === undefined
          ? h('span', { class: 'about', text })
          : h('button', {
              class: 'about link',
              type: 'button',
              text,
              click: (event) => this.#chooseOf(event),
            }),
      );
    } else setText(about, text);
    setAttribute(item, 'data-about', key);
    const rest = item.querySelector('.more');
    if (rest) setText(rest, more ?? '');
  }

  #chooseOf(event: MouseEvent): void {
    const { target } = event;
    const key = target instanceof Element ? target.closest('li')?.getAttribute('data-about') : undefined;
    if (key) this.#choose(key, event.detail === 0);
  }

  #say(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const fresh = (this.#shown?.events ?? []).filter(({ id }) => id > this.#told);
      this.#told = fresh.at(-1)?.id ?? this.#told;
      const entries = timelineOf(fresh, MAX_SHOWN);
      const [first] = entries;
      if (!first) return;
      this.#news.textContent =
        entries.length === 1
          ? first.text
          : `${first.text}, and ${countText(entries.length - 1, 'other event')}`;
    }, SAY_MS);
  }
}

function exists(topology: Topology | undefined, key: Key): boolean {
  const [kind, id] = key.split(':', 2);
  if (!topology) return false;
  if (kind === 'network') return topology.networks.some((each) => each.id === id);
  if (kind === 'sandbox') return topology.sandboxes.some((each) => each.id === id);
  // One that is in a sandbox is shown there.
  return topology.endpoints.some((each) => each.id === id && each.sandboxId === undefined);
}
