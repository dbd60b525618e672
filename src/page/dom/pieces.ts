/** How each kind of thing in the drawing looks, and what it is called. */
import type { Box } from '../geometry.ts';
import type { AnyDoor, Layout } from '../layout.ts';
import type { Key, Lane, OtherHost, Tile } from '../scene.ts';
import type { EndpointPlace, HostPlace, NetworkPlace } from '../topology.ts';
import {
  addressesOf,
  countText,
  distinctPorts,
  doorText,
  hasWayOut,
  portSentence,
  shortName,
  wayLabel,
  waySentence,
} from '../words.ts';
import { h, setAttribute, setText } from './element.ts';

export interface DrawingView {
  readonly layout: Layout;
  readonly host: HostPlace;
  readonly networks: ReadonlyMap<string, NetworkPlace>;
  readonly colours: ReadonlyMap<string, number>;
  readonly folded: ReadonlySet<string>;
  readonly chosen: Key | undefined;
}

interface Shown<T> {
  readonly item: HTMLElement;
  readonly button: HTMLElement;
  readonly of: T;
  readonly view: DrawingView;
}

export interface Piece<T> {
  make(item: HTMLElement, button: HTMLElement, of: T): void;
  update(shown: Shown<T>): void;
  /** Where arrow keys find it, if not in its box. */
  readonly reach?: (box: Box) => Box;
}

export function place(element: HTMLElement, { x, y, width, height }: Box): void {
  const { style } = element;
  const transform = `translate(${x}px, ${y}px)`;
  if (style.transform !== transform) style.transform = transform;
  if (style.width !== `${width}px`) style.width = `${width}px`;
  if (style.height !== `${height}px`) style.height = `${height}px`;
}

/** The class that gives a network's colour. */
export function colourClass(colours: ReadonlyMap<string, number>, network: string | undefined): string {
  const slot = network === undefined ? undefined : colours.get(network);
  return slot === undefined ? 'net-none' : `net-${slot}`;
}

export const framePiece: Piece<OtherHost | undefined> = {
  make(item, button) {
    item.classList.add('frame');
    button.append(h('span', { class: 'name' }), h('span', { class: 'facts' }));
  },
  update({ button, of, view: { host } }) {
    const kernel = host.kernel === 'fake' ? 'kernel in memory' : 'Linux';
    const facts = of ? 'another host of the cluster' : `this host · ${kernel} · ${host.firewall}`;
    setParts(button, { name: of ? shortName(of.id) : host.name, facts });
  },
  reach: ({ x, y }) => ({ x: x + 16, y: y + 8, width: 320, height: 30 }),
};

export const cardPiece: Piece<Lane> = {
  make(item, button, { network }) {
    item.classList.add('card');
    for (const name of ['name', 'kind', 'pools', 'facts']) button.append(h('span', { class: name }));
    item.append(h('button', { class: 'fold', type: 'button', tabindex: '-1', 'data-fold': network.id }));
  },
  update({ item, button, of: { network, total, tiles }, view: { colours, folded } }) {
    const isFolded = folded.has(network.id);
    const pools = network.pools.slice(0, 2).map(({ subnet }) => subnet);
    const way = hasWayOut(network) ? '' : ' · no way out';
    setColour(item, colourClass(colours, network.id));
    setParts(button, {
      name: network.name,
      kind: kindText(network),
      pools: pools.join('\n'),
      facts: `${countText(total, 'endpoint')}${way}`,
    });
    setAttribute(button, 'aria-label', networkSentence(network, total));
    const fold = item.querySelector('.fold');
    if (!fold) return;
    setAttribute(fold, 'hidden', tiles.length === 0);
    setAttribute(fold, 'aria-expanded', String(!isFolded));
    setAttribute(fold, 'aria-label', `Containers of ${network.name}`);
    setAttribute(
      fold,
      'title',
      isFolded ? `Show ${countText(tiles.length, 'container')}` : 'Hide the containers',
    );
  },
};

export const unusedPiece: Piece<NetworkPlace> = {
  make(item, button) {
    item.classList.add('card');
    button.append(h('span', { class: 'name' }), h('span', { class: 'kind' }));
  },
  update({ item, button, of: network, view: { colours } }) {
    setColour(item, colourClass(colours, network.id));
    const [pool] = network.pools;
    setParts(button, {
      name: network.name,
      kind: [kindText(network), pool?.subnet].filter(Boolean).join(' · '),
    });
    setAttribute(button, 'aria-label', networkSentence(network, 0));
  },
};

export const doorPiece: Piece<AnyDoor> = {
  make(item, button, { kind }) {
    item.classList.add('door', kind);
    button.append(h('span', { class: 'name' }));
  },
  update({ item, button, of, view: { colours } }) {
    setColour(item, colourClass(colours, of.network.id));
    const { text, sentence } = doorWords(of);
    setParts(button, { name: text });
    setAttribute(button, 'aria-label', sentence);
    setAttribute(button, 'title', sentence);
  },
};

function doorWords(of: AnyDoor): { readonly text: string; readonly sentence: string } {
  const { network } = of;
  switch (of.kind) {
    case 'way':
      return {
        text: `${wayLabel(network)} ↗`,
        sentence: `Way out of ${network.name}: ${waySentence(network)}`,
      };
    case 'port':
      return {
        text: `${doorText(of.door.port)} ↘`,
        sentence: `${network.name}: ${portSentence(of.door.port)}`,
      };
    case 'more':
      return {
        text: `+${of.count} ports`,
        sentence: `${countText(of.count, 'more port')} of ${network.name}`,
      };
  }
}

export const tilePiece: Piece<Tile> = {
  make(item, button) {
    item.classList.add('tile');
    button.append(h('span', { class: 'name' }), h('span', { class: 'ports' }), h('span', { class: 'lines' }));
  },
  update({ item, button, of, view }) {
    const [home] = of.endpoints;
    setColour(item, colourClass(view.colours, home?.networkId));
    setAttribute(item, 'data-alone', of.sandbox === undefined && home?.host === undefined);
    const ports = of.endpoints.flatMap((endpoint) => distinctPorts(endpoint.ports));
    const [port] = ports;
    const more = ports.length > 1 ? ` +${ports.length - 1}` : '';
    setParts(button, { name: shortName(of.title), ports: port ? `:${doorText(port)}${more}` : '' });
    setLines(button.querySelector('.lines'), of, view);
    setAttribute(button, 'aria-label', tileSentence(of, view));
  },
};

const MAX_LINES = 3;

/** A line for each endpoint: its network's colour, its interface, its address. */
function setLines(parent: Element | null, { endpoints, sandbox }: Tile, { colours }: DrawingView): void {
  const shown = endpoints.length > MAX_LINES ? endpoints.slice(0, MAX_LINES - 1) : endpoints;
  const lines = shown.map((endpoint) => ({
    pip: colourClass(colours, endpoint.networkId),
    text: [endpoint.interfaceName, addressesOf(endpoint)[0] ?? 'no address'].filter(Boolean).join(' '),
  }));
  if (shown.length < endpoints.length)
    lines.push({ pip: 'net-none', text: `and ${endpoints.length - shown.length} more` });
  if (endpoints.length === 0 && sandbox) lines.push({ pip: 'net-none', text: 'no network' });
  const text = JSON.stringify(lines);
  if (!parent || (parent instanceof HTMLElement && parent.dataset.shown === text)) return;
  if (parent instanceof HTMLElement) parent.dataset.shown = text;
  parent.replaceChildren(
    ...lines.map((line) => h('span', { class: 'line' }, h('i', { class: `pip ${line.pip}` }), line.text)),
  );
}

function kindText({ driver, internal, scope, configOnly }: NetworkPlace): string {
  return [driver, internal && 'internal', scope === 'global' && 'shared', configOnly && 'settings only']
    .filter(Boolean)
    .join(' · ');
}

function networkSentence(network: NetworkPlace, total: number): string {
  const subnets = network.pools.map(({ subnet }) => subnet).join(' and ');
  const way = network.internal ? 'no way out' : `way out: ${waySentence(network)}`;
  return [`Network ${network.name}`, kindText(network), subnets, countText(total, 'endpoint'), way]
    .filter(Boolean)
    .join(', ');
}

/** All that the tile shows, also what has no room on it. */
export function tileSentence(
  { title, sandbox, endpoints }: Tile,
  { networks }: Pick<DrawingView, 'networks'>,
): string {
  const what = sandbox
    ? 'Container'
    : endpoints[0]?.host === undefined
      ? 'Endpoint in no container'
      : 'Endpoint of another host';
  const places = endpoints.map((endpoint) => endpointSentence(endpoint, networks));
  return [`${what} ${shortName(title)}`, ...(places.length === 0 ? ['in no network'] : places)].join(', ');
}

function endpointSentence(endpoint: EndpointPlace, networks: ReadonlyMap<string, NetworkPlace>): string {
  const name = networks.get(endpoint.networkId)?.name ?? 'a network';
  const ports = distinctPorts(endpoint.ports).map(doorText);
  const published = ports.length === 0 ? '' : `, published at ${ports.join(', ')}`;
  return `${[...addressesOf(endpoint), 'in', name].join(' ')}${published}`;
}

function setParts(button: HTMLElement, texts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(texts)) {
    const part = button.querySelector(`.${name}`);
    if (part) setText(part, text);
  }
}

function setColour(item: HTMLElement, name: string): void {
  if (item.classList.contains(name)) return;
  for (const each of [...item.classList]) if (each.startsWith('net-')) item.classList.remove(each);
  item.classList.add(name);
}
