/** The page: what comes from the daemon and from the reader changes the state, and the state is shown. */
import { coloursOf } from '../colours.ts';
import { type Layout, layoutOf } from '../layout.ts';
import { type Key, type Scene, sceneOf } from '../scene.ts';
import { type Action, FIRST, reduce, type State } from '../state.ts';
import type { Topology } from '../topology.ts';
import { Details } from './details.ts';
import { Drawing } from './drawing.ts';
import { byId, h, setAttribute } from './element.ts';
import { Timeline } from './events.ts';
import { Live } from './live.ts';
import { memo } from './memo.ts';
import { showOverview } from './overview.ts';
import { startPanning } from './pan.ts';
import { Table } from './table.ts';
import { startTheme } from './theme.ts';
import { Toolbar } from './toolbar.ts';

const ZOOM_KEYS: Readonly<Record<string, -1 | 0 | 1>> = { '+': 1, '=': 1, '-': -1, '0': 0 };

class Page {
  readonly #stage = byId('stage', HTMLElement);
  readonly #overview = byId('overview', HTMLElement);
  readonly #nothing = h('p', { class: 'nothing' });
  readonly #drawing: Drawing;
  readonly #table: Table;
  readonly #details: Details;
  readonly #timeline: Timeline;
  readonly #toolbar: Toolbar;
  readonly #scene = memo((topology: Topology, search: string): Scene => sceneOf(topology, search));
  readonly #layout = memo(
    (scene: Scene, width: number, level: State['level'], folded: State['folded']): Layout =>
      layoutOf(scene, { width, level, folded }),
  );
  readonly #colours = memo((topology: Topology | undefined) =>
    coloursOf((topology?.networks ?? []).map(({ id }) => id)),
  );
  #state = FIRST;
  #width = 0;
  #isScheduled = false;
  /** Where the focus goes back to when the details are closed. */
  #cameFrom: HTMLElement | undefined;

  constructor() {
    const choose = (key: Key, byKeyboard: boolean): void => this.#choose(key, byKeyboard);
    const fold = (network: string): void => this.dispatch({ kind: 'fold', network });
    this.#drawing = new Drawing({ choose, fold });
    this.#table = new Table(choose);
    this.#details = new Details(byId('details', HTMLElement), { choose, fold, close: () => this.#close() });
    this.#timeline = new Timeline(byId('timeline', HTMLElement), byId('news', HTMLElement), choose);
    this.#toolbar = new Toolbar((action) => this.dispatch(action));
    this.#stage.append(this.#nothing, this.#drawing.root, this.#table.root);
    startPanning(this.#stage);
    new ResizeObserver(([entry]) => this.#resize(entry?.contentRect.width ?? 0)).observe(this.#stage);
    document.addEventListener('keydown', (event) => this.#onKey(event));
  }

  dispatch(action: Action): void {
    const next = reduce(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    this.#schedule();
  }

  /** Once for all that changes before the next picture. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#show();
    });
  }

  #resize(width: number): void {
    if (Math.abs(width - this.#width) < 1) return;
    this.#width = width;
    this.#schedule();
  }

  #show(): void {
    const { topology, search, level, zoom, folded, view, chosen, events } = this.#state;
    const colours = this.#colours(topology);
    this.#toolbar.show(this.#state);
    this.#timeline.show({ events, topology, colours });
    if (!topology) return;
    const scene = this.#scene(topology, search);
    this.#toolbar.found(scene, search);
    const isDrawing = view === 'drawing';
    const isEmpty = scene.lanes.length + scene.loose.length + scene.unused.length === 0;
    this.#nothing.hidden = !isEmpty || (!isDrawing && scene.shown > 0);
    this.#nothing.textContent =
      search === '' ? 'There is no network yet.' : `Nothing here is like “${search}”.`;
    this.#drawing.root.hidden = !isDrawing || isEmpty;
    this.#table.root.hidden = isDrawing;
    if (isDrawing && this.#width > 0) {
      // A larger drawing has less room: it is laid out anew, so that it still fits beside the details.
      const layout = this.#layout(scene, this.#width / zoom, level, folded);
      const networks = new Map(topology.networks.map((network) => [network.id, network]));
      this.#drawing.show({ layout, host: topology.host, networks, colours, folded, chosen, zoom });
    }
    if (!isDrawing) this.#table.show(topology, scene.keys, colours);
    this.#details.show({ topology, colours, folded, chosen });
    showOverview(this.#overview, topology, chosen === undefined);
    setAttribute(document.body, 'data-ready', true);
  }

  #choose(key: Key, byKeyboard: boolean): void {
    const { activeElement } = document;
    if (activeElement instanceof HTMLElement && this.#stage.contains(activeElement))
      this.#cameFrom = activeElement;
    this.dispatch({ kind: 'choose', key });
    if (!byKeyboard) return;
    this.#show();
    this.#details.focus();
  }

  #close(): void {
    const { chosen } = this.#state;
    this.dispatch({ kind: 'choose', key: undefined });
    if (this.#cameFrom?.isConnected) this.#cameFrom.focus();
    else this.#drawing.focus(chosen);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === 'Escape' && this.#state.chosen !== undefined && !isTyping) this.#close();
    if (isTyping) return;
    if (event.key === '/') {
      event.preventDefault();
      this.#toolbar.focusSearch();
    }
    const by = ZOOM_KEYS[event.key];
    if (by !== undefined && this.#state.view === 'drawing') this.dispatch({ kind: 'zoom', by });
  }
}

startTheme();
const page = new Page();
new Live((action) => page.dispatch(action)).start();
