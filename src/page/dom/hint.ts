/** What a tile without words is, beside it, while the pointer or the focus is on it. The tile's own name says the same. */
import type { Layout } from '../layout.ts';
import { addressesOf, distinctPorts, doorText, shortName } from '../words.ts';
import { h } from './element.ts';

export class Hint {
  readonly root = h('div', { class: 'hint', 'aria-hidden': 'true', hidden: true });
  #layout: Layout | undefined;

  constructor(drawing: HTMLElement) {
    for (const name of ['pointerover', 'focusin'])
      drawing.addEventListener(name, ({ target }) => this.#over(target));
    for (const name of ['pointerleave', 'focusout'])
      drawing.addEventListener(name, () => {
        this.root.hidden = true;
      });
  }

  show(layout: Layout): void {
    this.#layout = layout;
  }

  #over(target: EventTarget | null): void {
    const layout = this.#layout;
    const key =
      target instanceof Element ? target.closest('[data-key]')?.getAttribute('data-key') : undefined;
    const tile = layout?.level === 'dots' && key ? layout.tiles.find((each) => each.key === key) : undefined;
    this.root.hidden = tile === undefined;
    if (!tile || !layout) return;
    const { title, endpoints } = tile.of;
    const ports = endpoints
      .flatMap((endpoint) => distinctPorts(endpoint.ports))
      .map((port) => `:${doorText(port)}`);
    this.root.replaceChildren(
      h('b', { text: shortName(title) }),
      ...endpoints.flatMap(addressesOf).map((text) => h('span', { text })),
      ...(ports.length === 0 ? [] : [h('span', { text: ports.slice(0, 3).join(' ') })]),
    );
    const { x, y, width, height } = tile.box;
    const isLeft = x + width / 2 < layout.width - 200;
    this.root.style.transform = `translate(${x + (isLeft ? 0 : width)}px, ${y + height + 6}px)${isLeft ? '' : ' translateX(-100%)'}`;
  }
}
