/** The lines: a path for each network and kind, so that hundreds of containers are a handful of elements. */
import type { Point } from '../geometry.ts';
import type { Layout, Wire } from '../layout.ts';
import type { Key } from '../scene.ts';
import { KeyedChildren, setAttribute, svg } from './element.ts';
import { colourClass, type DrawingView } from './pieces.ts';

interface Path {
  readonly key: string;
  readonly name: string;
  readonly d: string;
}

export class Wires {
  readonly root = svg('svg', { class: 'wires', 'aria-hidden': 'true' });
  readonly #paths: KeyedChildren<Path, SVGPathElement>;

  constructor() {
    this.#paths = new KeyedChildren<Path, SVGPathElement>(this.root, {
      key: ({ key }) => key,
      make: () => svg('path'),
      update: (path, { name, d }) => {
        setAttribute(path, 'class', name);
        setAttribute(path, 'd', d);
      },
    });
  }

  show({ layout, colours, chosen }: DrawingView): void {
    setAttribute(this.root, 'width', layout.width);
    setAttribute(this.root, 'height', layout.height);
    const bright = brightNetworks(layout, chosen);
    const groups = new Map<string, { network: string; kind: string; d: string[] }>();
    const add = (network: string, kind: string, d: string): void => {
      const key = `${network} ${kind}`;
      const group = groups.get(key) ?? { network, kind, d: [] };
      groups.set(key, group);
      group.d.push(d);
    };
    for (const { network, kind, points } of layout.wires) add(network, kind, pathOf(points));
    // A line without length and with a round end is a dot.
    for (const { network, at } of layout.joints) add(network, 'joint', `${pathOf([at])}h0`);
    const paths = [...groups].map(([key, { network, kind, d }]) => ({
      key,
      name: [kind, colourClass(colours, network), bright && (bright.has(network) ? 'bright' : 'dim')]
        .filter(Boolean)
        .join(' '),
      d: d.join(''),
    }));
    this.#paths.show([...paths, ...ownWires(layout, colours, chosen)]);
  }
}

/** The lines of what is chosen alone, once more and stronger; of a door also the stub of whom it leads to. */
function ownWires(
  { wires, doors }: Layout,
  colours: DrawingView['colours'],
  chosen: Key | undefined,
): Path[] {
  const door = doors.find(({ key }) => key === chosen)?.of;
  const isOwn = ({ kind, network, leadsTo = [] }: Wire): boolean => {
    if (chosen !== undefined && leadsTo.includes(chosen)) return true;
    return (
      door?.kind === 'port' &&
      kind === 'stub' &&
      network === door.network.id &&
      leadsTo.includes(door.door.tile)
    );
  };
  return wires.filter(isOwn).map(({ network, points }, index) => ({
    key: `own ${index}`,
    name: `own ${colourClass(colours, network)}`,
    d: pathOf(points),
  }));
}

/** Whose lines stay in full colour; `undefined` where nothing is chosen that has lines. */
function brightNetworks(layout: Layout, chosen: Key | undefined): ReadonlySet<string> | undefined {
  if (chosen === undefined) return undefined;
  const door = layout.doors.find(({ key }) => key === chosen)?.of;
  if (door) return new Set([door.network.id]);
  const tile = layout.tiles.find(({ key }) => key === chosen)?.of;
  if (tile) return new Set(tile.endpoints.map(({ networkId }) => networkId));
  const card = layout.cards.find(({ key }) => key === chosen)?.of;
  return card ? new Set([card.network.id]) : undefined;
}

function pathOf(points: readonly Point[]): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x} ${y}`).join('');
}
