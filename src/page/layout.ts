/**
 * Where everything is. From left to right: outside, the doors in the host's wall (the way out, published ports), the
 * networks, and the containers on lines of their networks, as on a map of trains: a container hangs on a line by a
 * stub, and where lines cross without a dot they do not touch. A container in several networks hangs on several lines;
 * what leads from one lane to another runs in a gutter at the right. Pure: the same scene gives the same picture.
 */
import { type Box, bottom, middle, type Point, right } from './geometry.ts';
import { chooseLevel, type Level, type LevelName, MEASURES, type Measures } from './measures.ts';
import { type Bus, placeRows, type Rows } from './rows.ts';
import type { Door, Key, Lane, OtherHost, Scene, Tile } from './scene.ts';
import type { NetworkPlace } from './topology.ts';
import { hasWayOut, isLocalPort } from './words.ts';

export interface LayoutOptions {
  /** Of the place that the drawing has; it takes more where that is too narrow. */
  readonly width: number;
  readonly level: LevelName;
  /** Networks whose containers are not shown, by id. */
  readonly folded: ReadonlySet<string>;
}

export interface Placed<T> {
  readonly key: Key;
  readonly box: Box;
  readonly of: T;
}

/** A door of a lane: its way out, a published port, or what stands for the ports that have no room. */
export type AnyDoor =
  | { readonly kind: 'way'; readonly network: NetworkPlace }
  | { readonly kind: 'port'; readonly network: NetworkPlace; readonly door: Door }
  | { readonly kind: 'more'; readonly network: NetworkPlace; readonly count: number };

/** A line. `way` and `port` lead through the wall, the others are inside. */
export interface Wire {
  readonly kind: 'way' | 'port' | 'line' | 'stub';
  readonly network: string;
  /** What it alone belongs to: a door, a tile. */
  readonly leadsTo?: readonly Key[] | undefined;
  readonly points: readonly Point[];
}

/** Where lines of one network meet. */
export interface Joint {
  readonly network: string;
  readonly at: Point;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly level: Level;
  /** This host, and the others below it. */
  readonly frames: readonly Placed<OtherHost | undefined>[];
  readonly cards: readonly Placed<Lane>[];
  readonly doors: readonly Placed<AnyDoor>[];
  readonly tiles: readonly Placed<Tile>[];
  readonly unused: readonly Placed<NetworkPlace>[];
  /** Words between the boxes. */
  readonly labels: readonly { readonly key: Key; readonly text: string; readonly at: Point }[];
  readonly wires: readonly Wire[];
  readonly joints: readonly Joint[];
}

const PAD = 16;
const OUTSIDE_WIDTH = 44;
const DOOR = { width: 104, height: 24, gap: 6, top: 4, most: 5 };
/** Where the host begins: doors are half outside, half inside. */
const WALL_X = OUTSIDE_WIDTH + 20 + DOOR.width / 2;
const CARD = { x: WALL_X + DOOR.width / 2 + 24, width: 190, height: 66, line: 17, pools: 2 };
/** Between a card and its containers; the trunk that feeds the rows runs in the middle of it. */
const TRUNK = 28;
/** From the top of a lane to the line of one whose containers are not shown. */
const JOIN_Y = 12;
/** Before a card, where doors below it are collected. */
const COLLECTOR = 12;
/** A door beside a card is above this much of its lower edge. */
const CORNER = 6;
const RISER = { first: 14, pitch: 8 };
const HEADER = 52;
const LANE_GAP = 30;
const FRAME_GAP = 28;
const LABEL = 26;
const UNUSED = { width: 190, height: 46, gap: 12 };

export function layoutOf(scene: Scene, options: LayoutOptions): Layout {
  return new Drafting(scene, options).draw();
}

/** The drawing as it grows from the top to the bottom. */
class Drafting {
  readonly #scene: Scene;
  readonly #folded: ReadonlySet<string>;
  readonly #measures: Measures;
  readonly #width: number;
  readonly #tilesX = CARD.x + CARD.width + TRUNK;
  readonly #tilesRight: number;
  readonly #networks: readonly string[];
  /** Of networks whose line leads to other lanes: where it runs, and where it meets theirs. */
  readonly #risers = new Map<string, { readonly x: number; readonly ys: number[] }>();
  readonly #frames: Placed<OtherHost | undefined>[] = [];
  readonly #cards: Placed<Lane>[] = [];
  readonly #doors: Placed<AnyDoor>[] = [];
  readonly #tiles: Placed<Tile>[] = [];
  readonly #unused: Placed<NetworkPlace>[] = [];
  readonly #labels: { key: Key; text: string; at: Point }[] = [];
  readonly #wires: Wire[] = [];
  readonly #joints: Joint[] = [];
  #y = PAD;

  constructor(scene: Scene, { width, level, folded }: LayoutOptions) {
    this.#scene = scene;
    this.#folded = folded;
    this.#networks = scene.lanes.map(({ network }) => network.id);
    const open = scene.lanes.filter(({ network }) => !folded.has(network.id));
    const here = open.flatMap(({ tiles }) => tiles);
    const others = scene.others.flatMap(({ lanes }) => lanes.flatMap(({ tiles }) => tiles));
    this.#measures = MEASURES[chooseLevel(level, here.length + others.length + scene.loose.length)];
    const far = new Set([
      ...here.flatMap(({ endpoints }) => endpoints.slice(1).map(({ networkId }) => networkId)),
      ...others.flatMap(({ endpoints }) => endpoints.map(({ networkId }) => networkId)),
    ]);
    const apart = this.#networks.filter((id) => far.has(id));
    const gutter = apart.length === 0 ? 0 : RISER.first + apart.length * RISER.pitch;
    this.#width = Math.max(Math.floor(width), this.#tilesX + 2 * this.#measures.least + gutter + 2 * PAD);
    this.#tilesRight = this.#width - gutter - 2 * PAD;
    for (const [index, id] of apart.entries())
      this.#risers.set(id, { x: this.#tilesRight + RISER.first + index * RISER.pitch, ys: [] });
  }

  draw(): Layout {
    this.#thisHost();
    for (const host of this.#scene.others) this.#otherHost(host);
    this.#drawRisers();
    const height = this.#y + PAD;
    return {
      width: this.#width,
      height,
      level: this.#measures.level,
      frames: this.#frames,
      cards: this.#cards,
      doors: this.#doors,
      tiles: this.#tiles,
      unused: this.#unused,
      labels: this.#labels,
      wires: this.#wires,
      joints: this.#joints,
    };
  }

  #thisHost(): void {
    const top = this.#y;
    this.#y += HEADER;
    for (const lane of this.#scene.lanes) this.#lane(lane);
    this.#looseTiles();
    this.#unusedNetworks();
    this.#frame('host', undefined, top);
  }

  /** It has no cards: the lines of its networks come from the gutter. */
  #otherHost(host: OtherHost): void {
    const top = this.#y + FRAME_GAP;
    this.#y = top + HEADER;
    for (const { network, tiles } of host.lanes) {
      const rows = this.#rows(tiles, network.id);
      for (const bus of rows.buses) this.#fromRiser(bus);
      this.#label(`${host.id}:${network.id}`, network.name);
      this.#y = rows.bottom + LANE_GAP;
    }
    this.#frame(`host:${host.id}`, host, top);
  }

  #frame(key: Key, of: OtherHost | undefined, top: number): void {
    const box = { x: WALL_X, y: top, width: this.#width - WALL_X - PAD, height: this.#y - top };
    this.#frames.push({ key, box, of });
  }

  #lane(lane: Lane): void {
    const { id, pools } = lane.network;
    const height = CARD.height + CARD.line * Math.min(pools.length, CARD.pools);
    const card = { x: CARD.x, y: this.#y, width: CARD.width, height };
    this.#cards.push({ key: `network:${id}`, box: card, of: lane });
    let end = bottom(card);
    if (lane.tiles.length > 0 && !this.#folded.has(id)) {
      const rows = this.#rows(lane.tiles, id);
      end = Math.max(end, rows.bottom);
      const own = rows.buses.filter((bus) => bus.network === id);
      this.#trunk(id, right(card), own);
      for (const bus of rows.buses) if (bus.network !== id) this.#fromRiser(bus);
    } else this.#toRiser(id, right(card), card.y + JOIN_Y);
    this.#y = Math.max(end, this.#doorsOf(lane, card, end)) + LANE_GAP;
  }

  /** From the card to the first row, and down to the others. */
  #trunk(network: string, from: number, own: readonly Bus[]): void {
    const x = this.#tilesX - TRUNK / 2;
    const [first] = own;
    const last = own.at(-1);
    if (!first || !last) return;
    for (const bus of own) {
      const start = bus === first ? from : x;
      this.#line(network, [start, bus.y], [bus.last, bus.y]);
      if (last !== first && bus !== last) this.#joints.push({ network, at: [x, bus.y] });
    }
    if (last !== first) this.#line(network, [x, first.y], [x, last.y]);
    this.#toRiser(network, first.last, first.y);
  }

  #line(network: string, ...points: Point[]): void {
    this.#wires.push({ kind: 'line', network, points });
  }

  #toRiser(network: string, from: number, y: number): void {
    const riser = this.#risers.get(network);
    if (!riser) return;
    riser.ys.push(y);
    this.#line(network, [from, y], [riser.x, y]);
  }

  #fromRiser({ network, first, y }: Bus): void {
    this.#toRiser(network, first, y);
  }

  #drawRisers(): void {
    for (const [network, { x, ys }] of this.#risers) {
      if (ys.length < 2) continue;
      const [top, end] = [Math.min(...ys), Math.max(...ys)];
      this.#line(network, [x, top], [x, end]);
      for (const y of ys) if (y !== top && y !== end) this.#joints.push({ network, at: [x, y] });
    }
  }

  #rows(tiles: readonly Tile[], home: string): Rows {
    const others = this.#networks.filter((id) => id !== home);
    const place = { x: this.#tilesX, right: this.#tilesRight, top: this.#y, home, others };
    const rows = placeRows(tiles, place, this.#measures);
    this.#tiles.push(...rows.tiles);
    for (const { network, tile, from, to } of rows.stubs) {
      this.#wires.push({ kind: 'stub', network, leadsTo: [tile], points: [from, to] });
      this.#joints.push({ network, at: from });
    }
    return rows;
  }

  /** As many as there is room for beside the lane, or some more. @returns where they end */
  #doorsOf({ network, doors }: Lane, card: Box, end: number): number {
    const fit = Math.floor((end - card.y - DOOR.top + DOOR.gap) / (DOOR.height + DOOR.gap));
    const way: AnyDoor[] = hasWayOut(network) ? [{ kind: 'way', network }] : [];
    const left = Math.max(DOOR.most, fit) - way.length;
    const shown = doors.slice(0, doors.length > left ? left - 1 : left);
    const ports = shown.map((door): AnyDoor => ({ kind: 'port', network, door }));
    const count = doors.length - shown.length;
    const more: AnyDoor[] = count > 0 ? [{ kind: 'more', network, count }] : [];
    const boxes = [...way, ...ports, ...more].map((door, index) => this.#door(door, card, index));
    const last = boxes.at(-1);
    if (!last) return card.y;
    const beside = boxes.filter((box) => !isBelow(box, card)).at(-1);
    if (beside && beside !== last) {
      const x = card.x - COLLECTOR;
      const points: Point[] = [
        [x, middle(last)],
        [x, middle(beside)],
      ];
      this.#wires.push({ kind: 'port', network: network.id, points });
    }
    return bottom(last);
  }

  #door(of: AnyDoor, card: Box, index: number): Box {
    const y = card.y + DOOR.top + index * (DOOR.height + DOOR.gap);
    const box = { x: WALL_X - DOOR.width / 2, y, width: DOOR.width, height: DOOR.height };
    const network = of.network.id;
    const key = of.kind === 'port' ? of.door.key : `${of.kind}:${network}`;
    this.#doors.push({ key, box, of });
    const at = middle(box);
    const kind = of.kind === 'way' ? 'way' : 'port';
    const wire = { kind, network, leadsTo: of.kind === 'port' ? [key, of.door.tile] : [key] } as const;
    const isFromOutside = of.kind !== 'port' || !isLocalPort(of.door.port);
    if (isFromOutside)
      this.#wires.push({
        ...wire,
        points: [
          [OUTSIDE_WIDTH, at],
          [box.x, at],
        ],
      });
    const end = isBelow(box, card) ? card.x - COLLECTOR : card.x;
    this.#wires.push({
      ...wire,
      points: [
        [right(box), at],
        [end, at],
      ],
    });
    return box;
  }

  #label(key: Key, text: string): void {
    this.#labels.push({ key, text, at: [CARD.x, this.#y] });
  }

  #looseTiles(): void {
    const { loose } = this.#scene;
    if (loose.length === 0) return;
    this.#label('loose', 'Without a network');
    this.#y = this.#rows(loose, '').bottom + LANE_GAP;
  }

  #unusedNetworks(): void {
    const { unused } = this.#scene;
    if (unused.length === 0) return;
    this.#label('unused', 'Networks without endpoints');
    this.#y += LABEL;
    const { width, height, gap } = UNUSED;
    const columns = Math.max(1, Math.floor((this.#tilesRight - CARD.x + gap) / (width + gap)));
    for (const [index, network] of unused.entries()) {
      const x = CARD.x + (index % columns) * (width + gap);
      const y = this.#y + Math.floor(index / columns) * (height + gap);
      this.#unused.push({ key: `network:${network.id}`, box: { x, y, width, height }, of: network });
    }
    this.#y += Math.ceil(unused.length / columns) * (height + gap) - gap + LANE_GAP;
  }
}

function isBelow(door: Box, card: Box): boolean {
  return middle(door) > bottom(card) - CORNER;
}
