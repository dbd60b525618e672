/** How each kind of thing in the drawing looks, and what it is called. */
import type { Box } from '../geometry.ts';
import type { AnyDoor, Layout } from '../layout.ts';
import type { Key, Lane, OtherHost, Tile } from '../scene.ts';
import type { HostPlace, NetworkPlace } from '../topology.ts';
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
  /** How much larger than its own size. */
  readonly zoom: number;
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

/** What is only heard: the rest of a name whose beginning or end can be seen. */
const heard = (name: string): HTMLElement => h('span', { class: `unseen ${name}` });

export const framePiece: Piece<OtherHost | undefined> = {
  make(item, button) {
    item.classList.add('frame');
    button.append(heard('before'), h('span', { class: 'name' }), h('span', { class: 'facts' }));
  },
  update({ button, of, view: { host } }) {
    const kernel = host.kernel === 'fake' ? 'kernel in memory' : 'Linux';
    const facts = of ? 'another host of the cluster' : `this host · ${kernel} · ${host.firewall}`;
    setParts(button, { before: 'Host ', name: of ? shortName(of.id) : host.name, facts });
  },
  reach: ({ x, y }) => ({ x: x + 76, y: y + 8, width: 320, height: 30 }),
};

export const cardPiece: Piece<Lane> = {
  make(item, button, { network }) {
    item.classList.add('card');
    button.append(heard('before'));
    for (const name of ['name', 'kind', 'pools', 'facts']) button.append(h('span', { class: name }));
    button.append(heard('after'));
    item.append(h('button', { class: 'fold', type: 'button', tabindex: '-1', 'data-fold': network.id }));
  },
  update({ item, button, of: { network, total, tiles, services }, view: { colours, folded } }) {
    const isFolded = folded.has(network.id);
    const served = services.length === 0 ? '' : ` · ${countText(services.length, 'service')}`;
    const way = hasWayOut(network) ? '' : ' · no way out';
    setColour(item, colourClass(colours, network.id));
    setParts(button, {
      before: 'Network ',
      name: network.name,
      kind: kindText(network),
      pools: network.pools
        .slice(0, 2)
        .map(({ subnet }) => subnet)
        .join('\n'),
      facts: `${countText(total, 'endpoint')}${served}${way}`,
      after: hasWayOut(network) ? `, way out: ${waySentence(network)}` : '',
    });
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
    button.append(heard('before'), h('span', { class: 'name' }), h('span', { class: 'kind' }));
  },
  update({ item, button, of: network, view: { colours } }) {
    setColour(item, colourClass(colours, network.id));
    const kind = [kindText(network), network.pools[0]?.subnet].filter(Boolean).join(' · ');
    setParts(button, { before: 'Network ', name: network.name, kind });
  },
};

export const doorPiece: Piece<AnyDoor> = {
  make(item, button, { kind }) {
    item.classList.add('door', kind);
    button.append(heard('before'), h('span', { class: 'name' }), heard('after'));
  },
  update({ item, button, of, view: { colours } }) {
    setColour(item, colourClass(colours, of.network.id));
    setParts(button, doorWords(of));
  },
};

function doorWords(of: AnyDoor): Readonly<Record<'before' | 'name' | 'after', string>> {
  const { name } = of.network;
  switch (of.kind) {
    case 'way':
      return {
        before: `Way out of ${name}: `,
        name: wayLabel(of.network),
        after: `, ${waySentence(of.network)}`,
      };
    case 'port':
      return {
        before: `Port of ${name}: `,
        name: doorText(of.door.port),
        after: `, ${portSentence(of.door.port)}`,
      };
    case 'more':
      return { before: `${name}: `, name: `+${of.count} ports`, after: '' };
  }
}

export const tilePiece: Piece<Tile> = {
  make(item, button) {
    item.classList.add('tile');
    const parts = ['name', 'ports', 'lines'].map((name) => h('span', { class: name }));
    button.append(heard('before'), ...parts);
  },
  update({ item, button, of, view }) {
    const [home] = of.endpoints;
    setColour(item, colourClass(view.colours, home?.networkId));
    const isAlone = of.sandbox === undefined && home?.host === undefined;
    setAttribute(item, 'data-alone', isAlone);
    const ports = of.endpoints.flatMap((endpoint) => distinctPorts(endpoint.ports));
    const [port] = ports;
    const more = ports.length > 1 ? ` +${ports.length - 1}` : '';
    setParts(button, {
      before: of.sandbox
        ? 'Container '
        : isAlone
          ? 'Endpoint in no container: '
          : 'Endpoint of another host: ',
      name: shortName(of.title),
      ports: port ? `:${doorText(port)}${more}` : '',
    });
    setLines(button.querySelector('.lines'), of, view);
  },
};

const MAX_LINES = 3;

/** A line for each endpoint: its network's colour, its interface, its address. */
function setLines(parent: Element | null, { endpoints, sandbox }: Tile, view: DrawingView): void {
  const shown = endpoints.length > MAX_LINES ? endpoints.slice(0, MAX_LINES - 1) : endpoints;
  const lines = shown.map((endpoint) => ({
    pip: colourClass(view.colours, endpoint.networkId),
    text: [endpoint.interfaceName, addressesOf(endpoint)[0] ?? 'no address'].filter(Boolean).join(' '),
    after: ` in ${view.networks.get(endpoint.networkId)?.name ?? 'a network'}`,
  }));
  const rest = endpoints.length - shown.length;
  if (rest > 0) lines.push({ pip: 'net-none', text: `and ${rest} more`, after: '' });
  if (endpoints.length === 0 && sandbox) lines.push({ pip: 'net-none', text: 'no network', after: '' });
  const text = JSON.stringify(lines);
  if (!(parent instanceof HTMLElement) || parent.dataset.shown === text) return;
  parent.dataset.shown = text;
  parent.replaceChildren(
    ...lines.map((line) =>
      h(
        'span',
        { class: 'line' },
        h('i', { class: `pip ${line.pip}` }),
        line.text,
        h('span', { class: 'unseen', text: line.after }),
      ),
    ),
  );
}

function kindText({ driver, internal, scope, configOnly }: NetworkPlace): string {
  return [driver, internal && 'internal', scope === 'global' && 'shared', configOnly && 'settings only']
    .filter(Boolean)
    .join(' · ');
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
