/** The same as a table: for who listens to the page, and for who wants to read down a column. */
import { type Tile, tilesOf } from '../scene.ts';
import type { EndpointPlace, Topology } from '../topology.ts';
import { distinctPorts, doorText, shortName, waySentence } from '../words.ts';
import { h, KeyedChildren, setAttribute, setText } from './element.ts';
import { colourClass } from './pieces.ts';

interface Row {
  readonly key: string;
  readonly tile: Tile;
  readonly endpoint: EndpointPlace | undefined;
  readonly network: string;
  readonly way: string;
  readonly colour: string;
}

const COLUMNS = ['Container', 'Network', 'Interface', 'IPv4', 'IPv6', 'Published ports', 'Way out'] as const;

export class Table {
  readonly root: HTMLElement;
  readonly #rows: KeyedChildren<Row, HTMLTableRowElement>;
  readonly #caption = h('caption');

  constructor(choose: (key: string, byKeyboard: boolean) => void) {
    const body = h('tbody');
    const head = h('tr', {}, ...COLUMNS.map((text) => h('th', { scope: 'col', text })));
    this.root = h('div', { class: 'listing' }, h('table', {}, this.#caption, h('thead', {}, head), body));
    this.#rows = new KeyedChildren<Row, HTMLTableRowElement>(body, {
      key: ({ key }) => key,
      make: ({ tile }) => {
        const button = h('button', {
          class: 'link',
          type: 'button',
          click: (event) => choose(tile.key, event.detail === 0),
        });
        const network = h('td', {}, h('i', { class: 'pip' }), h('span'));
        const cells = COLUMNS.slice(2).map(() => h('td'));
        return h('tr', {}, h('th', { scope: 'row' }, button), network, ...cells);
      },
      update: updateRow,
    });
  }

  /** @param shown keys of the tiles that fit the search */
  show(topology: Topology, shown: ReadonlySet<string>, colours: ReadonlyMap<string, number>): void {
    const networks = new Map(topology.networks.map((network) => [network.id, network]));
    const tiles = tilesOf(topology).filter(({ key }) => shown.has(key));
    const rows = tiles.flatMap((tile): Row[] =>
      (tile.endpoints.length === 0 ? [undefined] : tile.endpoints).map((endpoint) => {
        const network = networks.get(endpoint?.networkId ?? '');
        return {
          key: `${tile.key} ${endpoint?.id ?? ''}`,
          tile,
          endpoint,
          network: network?.name ?? 'none',
          way: network ? waySentence(network) : '',
          colour: colourClass(colours, network?.id),
        };
      }),
    );
    setText(this.#caption, `${rows.length} of ${topology.endpoints.length} endpoints`);
    this.#rows.show(rows);
  }
}

function updateRow(row: HTMLTableRowElement, { tile, endpoint, network, way, colour }: Row): void {
  const [first, second, ...cells] = [...row.cells];
  const button = first?.querySelector('button');
  if (button) setText(button, shortName(tile.title));
  const [pip, name] = second?.children ?? [];
  if (pip) setAttribute(pip, 'class', `pip ${colour}`);
  if (name) setText(name, network);
  const ports = distinctPorts(endpoint?.ports ?? []).map((port) => `${doorText(port)} → ${port.container}`);
  const texts = [endpoint?.interfaceName, endpoint?.ipv4, endpoint?.ipv6, ports.join(', '), way];
  for (const [index, cell] of cells.entries()) setText(cell, texts[index] ?? '');
}
