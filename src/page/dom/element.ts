/** Elements, without a framework: made once, and changed where what they show has changed. */

export interface Props {
  readonly class?: string;
  readonly text?: string;
  readonly click?: (event: MouseEvent) => void;
  readonly [attribute: string]: string | number | boolean | undefined | ((event: MouseEvent) => void);
}

export type Child = Node | string | undefined;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener('click', value as (event: Event) => void);
    else if (name === 'text') element.textContent = String(value);
    else setAttribute(element, name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number>> = {},
): SVGElementTagNameMap[K] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  return element;
}

/** `false` and `undefined` take it away, `true` is the empty text. Writes only what changes. */
export function setAttribute(
  element: Element,
  name: string,
  value: string | number | boolean | undefined,
): void {
  if (value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** An element of the page's own text. @throws Error when the page and this program do not belong together */
export function byId<T extends Element>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`the page has no ${type.name} with the id ${id}`);
}

export interface Keyed<T, E extends Element> {
  readonly key: (item: T) => string;
  readonly make: (item: T) => E;
  readonly update: (element: E, item: T) => void;
}

/** The children of one element, one for each item and in their order; those that stay are kept, focus and all. */
export class KeyedChildren<T, E extends Element> {
  readonly #parent: Element;
  readonly #how: Keyed<T, E>;
  #elements = new Map<string, E>();

  constructor(parent: Element, how: Keyed<T, E>) {
    this.#parent = parent;
    this.#how = how;
  }

  show(items: readonly T[]): void {
    const { key, make, update } = this.#how;
    const next = new Map<string, E>();
    for (const item of items) {
      const element = this.#elements.get(key(item)) ?? make(item);
      next.set(key(item), element);
      update(element, item);
    }
    for (const [name, element] of this.#elements) if (!next.has(name)) element.remove();
    let before = this.#parent.firstElementChild;
    for (const element of next.values()) {
      if (element === before) before = before.nextElementSibling;
      else this.#parent.insertBefore(element, before);
    }
    this.#elements = next;
  }
}
