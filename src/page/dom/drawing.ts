/** The layout as elements: buttons for what can be chosen, lines beneath them, and keys that lead from one to the next. */
import { type Box, type Direction, nearest } from '../geometry.ts';
import type { Layout, Placed } from '../layout.ts';
import type { Key } from '../scene.ts';
import { h, KeyedChildren, setAttribute, setText } from './element.ts';
import { Hint } from './hint.ts';
import {
  cardPiece,
  type DrawingView,
  doorPiece,
  framePiece,
  type Piece,
  place,
  tilePiece,
  unusedPiece,
} from './pieces.ts';
import { Wires } from './wires.ts';

export interface DrawingActions {
  /** @param byKeyboard the details are to have the focus next */
  choose(key: Key, byKeyboard: boolean): void;
  fold(network: string): void;
}

const ARROWS: Readonly<Record<string, Direction>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
};

export class Drawing {
  readonly root = h('div', { class: 'drawing', role: 'group', 'aria-label': 'Networks and containers' });
  readonly #actions: DrawingActions;
  readonly #wires = new Wires();
  readonly #hint = new Hint(this.root);
  readonly #outside = h('div', { class: 'outside' }, h('span', { text: 'Outside' }));
  readonly #parts: readonly ((view: DrawingView) => void)[];
  readonly #buttons = new Map<Key, { readonly button: HTMLElement; readonly box: Box }>();
  /** What has the focus, or had it last: the one stop of the tab key. */
  #current: Key | undefined;
  #isFirst = true;

  constructor(actions: DrawingActions) {
    this.#actions = actions;
    const list = (name: string, label: string) => {
      const element = h('ul', { class: name, 'aria-label': label });
      this.root.append(element);
      return element;
    };
    const labels = h('div');
    this.root.append(this.#outside);
    const frames = list('frames', 'Hosts');
    this.root.append(this.#wires.root, labels);
    this.#parts = [
      this.#pieces(frames, framePiece, ({ frames }) => frames),
      this.#pieces(list('doors', 'Ways out and published ports'), doorPiece, ({ doors }) => doors),
      this.#pieces(list('cards', 'Networks'), cardPiece, ({ cards }) => cards),
      this.#pieces(list('tiles', 'Containers'), tilePiece, ({ tiles }) => tiles),
      this.#pieces(list('unused', 'Networks without endpoints'), unusedPiece, ({ unused }) => unused),
      showLabels(labels),
    ];
    this.root.append(this.#hint.root);
    this.root.addEventListener('click', (event) => this.#onClick(event));
    this.root.addEventListener('keydown', (event) => this.#onKey(event));
    this.root.addEventListener('focusin', ({ target }) => this.#moveTo(keyOf(target)));
  }

  show(view: DrawingView): void {
    const { layout, chosen, zoom } = view;
    this.#buttons.clear();
    this.#zoom(zoom);
    place(this.root, { x: 0, y: 0, width: layout.width, height: layout.height });
    setAttribute(this.root, 'data-level', layout.level);
    setAttribute(this.root, 'data-chosen', chosen !== undefined);
    for (const part of this.#parts) part(view);
    this.#wires.show(view);
    this.#hint.show(layout);
    const isThere = this.#current !== undefined && this.#buttons.has(this.#current);
    this.#moveTo(isThere ? this.#current : this.#buttons.keys().next().value);
    this.#isFirst = false;
  }

  /** What is in the middle of the stage stays there, as far as the new layout lets it. */
  #zoom(zoom: number): void {
    const { style, parentElement: stage } = this.root;
    const wanted = zoom === 1 ? '' : String(zoom);
    if (style.zoom === wanted) return;
    const middle = stage ? (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight : 0;
    style.zoom = wanted;
    requestAnimationFrame(() => {
      if (stage) stage.scrollTop = middle * stage.scrollHeight - stage.clientHeight / 2;
    });
  }

  /** Gives the focus to a thing, or to what had it last. */
  focus(key: Key | undefined): void {
    const { button } = this.#buttons.get(key ?? '') ?? this.#buttons.get(this.#current ?? '') ?? {};
    button?.focus();
  }

  #pieces<T>(
    parent: Element,
    { make, update, reach }: Piece<T>,
    pick: (layout: Layout) => readonly Placed<T>[],
  ): (view: DrawingView) => void {
    const children = new KeyedChildren<Placed<T> & { readonly view: DrawingView }, HTMLElement>(parent, {
      key: ({ key }) => key,
      make: ({ key, of }) => {
        const button = h('button', { type: 'button', 'data-key': key, tabindex: '-1' });
        const item = h('li', { class: this.#isFirst ? '' : 'fresh' }, button);
        make(item, button, of);
        return item;
      },
      update: (item, { key, box, of, view }) => {
        const button = item.querySelector('button');
        if (!button) return;
        setAttribute(button, 'aria-current', view.chosen === key ? 'true' : undefined);
        place(item, box);
        update({ item, button, of, view });
        this.#buttons.set(key, { button, box: reach?.(box) ?? box });
      },
    });
    return (view) => children.show(pick(view.layout).map((placed) => ({ ...placed, view })));
  }

  #onClick(event: MouseEvent): void {
    const { target } = event;
    const fold =
      target instanceof Element ? target.closest('[data-fold]')?.getAttribute('data-fold') : undefined;
    if (fold) this.#actions.fold(fold);
    const key = fold ? undefined : keyOf(target);
    // A click that no pointer made is one of a key.
    if (key !== undefined) this.#actions.choose(key, event.detail === 0);
  }

  #onKey(event: KeyboardEvent): void {
    // With the shift key arrows move the whole.
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const to = this.#target(event.key);
    if (to === undefined) return;
    event.preventDefault();
    this.focus(to);
  }

  #target(pressed: string): Key | undefined {
    if (pressed === 'Home') return this.#buttons.keys().next().value;
    if (pressed === 'End') return [...this.#buttons.keys()].at(-1);
    const direction = ARROWS[pressed];
    const from = this.#buttons.get(this.#current ?? '')?.box;
    if (!direction || !from) return undefined;
    return nearest(new Map([...this.#buttons].map(([key, { box }]) => [key, box])), from, direction);
  }

  #moveTo(key: Key | undefined): void {
    if (key === undefined) return;
    const before = this.#buttons.get(this.#current ?? '');
    if (before) setAttribute(before.button, 'tabindex', '-1');
    this.#current = key;
    const now = this.#buttons.get(key);
    if (now) setAttribute(now.button, 'tabindex', '0');
  }
}

function showLabels(parent: Element): (view: DrawingView) => void {
  const children = new KeyedChildren<Layout['labels'][number], HTMLElement>(parent, {
    key: ({ key }) => key,
    make: () => h('p', { class: 'label' }),
    update: (element, { text, at: [x, y] }) => {
      setText(element, text);
      element.style.transform = `translate(${x}px, ${y}px)`;
    },
  });
  return ({ layout }) => children.show(layout.labels);
}

function keyOf(target: EventTarget | null): Key | undefined {
  if (!(target instanceof Element)) return undefined;
  return target.closest('[data-key]')?.getAttribute('data-key') ?? undefined;
}
