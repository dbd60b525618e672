/** The head of the page: the search, how much is shown, and whether it is live. */
import type { LevelName } from '../measures.ts';
import type { Scene } from '../scene.ts';
import type { Action, State } from '../state.ts';
import { clockText, countText } from '../words.ts';
import { byId, setAttribute, setText } from './element.ts';

const LEVELS: readonly LevelName[] = ['auto', 'large', 'compact', 'dots'];

export class Toolbar {
  readonly #search = byId('search', HTMLInputElement);
  readonly #found = byId('found', HTMLElement);
  readonly #connection = byId('connection', HTMLElement);
  readonly #host = byId('host', HTMLElement);
  readonly #level = byId('level', HTMLSelectElement);
  readonly #zoom = byId('zoom', HTMLElement);
  readonly #zoomed = byId('zoomed', HTMLElement);
  readonly #views = [...document.querySelectorAll<HTMLInputElement>('input[name="view"]')];

  constructor(dispatch: (action: Action) => void) {
    this.#search.addEventListener('input', () => dispatch({ kind: 'search', text: this.#search.value }));
    this.#search.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      this.#search.value = '';
      dispatch({ kind: 'search', text: '' });
    });
    this.#level.addEventListener('change', () => {
      const level = LEVELS.find((each) => each === this.#level.value) ?? 'auto';
      dispatch({ kind: 'level', level });
    });
    for (const [id, by] of [
      ['smaller', -1],
      ['zoomed', 0],
      ['larger', 1],
    ] as const)
      byId(id, HTMLButtonElement).addEventListener('click', () => dispatch({ kind: 'zoom', by }));
    for (const input of this.#views)
      input.addEventListener('change', () =>
        dispatch({ kind: 'view', view: input.value === 'table' ? 'table' : 'drawing' }),
      );
    // A browser may have kept what stood here before the page was loaded anew.
    if (this.#search.value !== '') dispatch({ kind: 'search', text: this.#search.value });
  }

  focusSearch(): void {
    this.#search.focus();
    this.#search.select();
  }

  show({ connection, topology, view, zoom }: State): void {
    const texts = {
      connecting: 'Connecting…',
      live: 'Live',
      lost: `Not connected${connection.kind === 'lost' ? ` since ${clockText(connection.since)}` : ''}`,
    };
    setText(this.#connection, texts[connection.kind]);
    setAttribute(this.#connection, 'data-state', connection.kind);
    setAttribute(document.body, 'data-state', connection.kind);
    setText(this.#host, topology ? topology.host.name : '');
    if (topology) document.title = `${topology.host.name}: networks`;
    this.#level.disabled = view !== 'drawing';
    this.#zoom.hidden = view !== 'drawing';
    setText(this.#zoomed, `${Math.round(zoom * 100)} %`);
    for (const input of this.#views) input.checked = input.value === view;
  }

  found({ shown, total }: Scene, search: string): void {
    setText(this.#found, search === '' ? '' : `${shown} of ${countText(total, 'container')}`);
  }
}
