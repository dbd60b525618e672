/** Tiles in rows, under the lines of the networks that they hang on. */
import type { Box, Point } from './geometry.ts';
import type { Measures } from './measures.ts';
import type { Key, Tile } from './scene.ts';

export interface RowsPlace {
  readonly x: number;
  readonly right: number;
  readonly top: number;
  /** The network that the rows are of, whose line is nearest to the tiles; the others that are drawn, in order. */
  readonly home: string;
  readonly others: readonly string[];
}

/** A network's line in one row, from its first tile to its last. */
export interface Bus {
  readonly network: string;
  readonly y: number;
  readonly first: number;
  readonly last: number;
}

export interface Stub {
  readonly network: string;
  readonly tile: Key;
  readonly from: Point;
  readonly to: Point;
}

export interface Rows {
  readonly tiles: readonly { readonly key: Key; readonly box: Box; readonly of: Tile }[];
  readonly stubs: readonly Stub[];
  readonly buses: readonly Bus[];
  readonly bottom: number;
}

export function placeRows(tiles: readonly Tile[], place: RowsPlace, measures: Measures): Rows {
  const { gap, least, most, lead, rowGap } = measures;
  const room = place.right - place.x;
  const columns = Math.max(1, Math.floor((room + gap) / (least + gap)));
  const width = Math.min(most, Math.floor((room - gap * (columns - 1)) / columns));
  const rows: Rows[] = [];
  let y = place.top;
  for (let start = 0; start < tiles.length; start += columns) {
    const row = placeRow(tiles.slice(start, start + columns), { ...place, top: y }, width, measures);
    rows.push(row);
    y = row.bottom + rowGap - lead;
  }
  return {
    tiles: rows.flatMap((row) => row.tiles),
    stubs: rows.flatMap((row) => row.stubs),
    buses: rows.flatMap((row) => row.buses),
    bottom: rows.at(-1)?.bottom ?? place.top,
  };
}

function placeRow(tiles: readonly Tile[], place: RowsPlace, width: number, measures: Measures): Rows {
  const { gap, lead, pitch, stub, slot } = measures;
  const present = new Set(tiles.flatMap(({ endpoints }) => endpoints.map(({ networkId }) => networkId)));
  const lines = [...place.others, place.home].filter((id) => present.has(id));
  const lineY = new Map(lines.map((id, index) => [id, place.top + lead + index * pitch]));
  const tilesY = place.top + lead + Math.max(0, lines.length - 1) * pitch + stub;
  const boxes = tiles.map((tile, index) => {
    const x = place.x + index * (width + gap);
    return { key: tile.key, of: tile, box: { x, y: tilesY, width, height: heightOf(tile, measures) } };
  });
  const stubs = boxes.flatMap(({ key, of, box }) =>
    of.endpoints.flatMap(({ networkId }, index): Stub[] => {
      const y = lineY.get(networkId);
      const x = box.x + Math.min(slot * (index + 1), box.width - slot / 2);
      return y === undefined ? [] : [{ network: networkId, tile: key, from: [x, y], to: [x, box.y] }];
    }),
  );
  const buses = lines.map((network): Bus => {
    const xs = stubs.filter((each) => each.network === network).map(({ from: [x] }) => x);
    return { network, y: lineY.get(network) ?? place.top, first: Math.min(...xs), last: Math.max(...xs) };
  });
  const bottom = tilesY + Math.max(...boxes.map(({ box }) => box.height));
  return { tiles: boxes, stubs, buses, bottom };
}

function heightOf({ endpoints }: Tile, { height, line, lines }: Measures): number {
  return height + line * Math.min(Math.max(endpoints.length, 1), lines);
}
