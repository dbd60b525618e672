/** How large things are drawn, by how many there are. In CSS pixels. */

/** `large` tells addresses, `compact` names, `dots` are for an overview. */
export type Level = 'large' | 'compact' | 'dots';
export type LevelName = Level | 'auto';

export interface Measures {
  readonly level: Level;
  /** A tile's width is between these. */
  readonly least: number;
  readonly most: number;
  readonly height: number;
  /** What each endpoint adds to the height, for at most so many. */
  readonly line: number;
  readonly lines: number;
  readonly gap: number;
  /** From the top of a lane to its first line. */
  readonly lead: number;
  /** From the end of one row to the first line of the next. */
  readonly rowGap: number;
  /** From a line to the next, and from the last line to the tiles. */
  readonly pitch: number;
  readonly stub: number;
  /** Between the stubs of a tile. */
  readonly slot: number;
}

export const MEASURES: Readonly<Record<Level, Measures>> = {
  large: {
    level: 'large',
    least: 160,
    most: 240,
    height: 34,
    line: 17,
    lines: 3,
    gap: 14,
    lead: 12,
    rowGap: 18,
    pitch: 9,
    stub: 13,
    slot: 14,
  },
  compact: {
    level: 'compact',
    least: 124,
    most: 176,
    height: 28,
    line: 0,
    lines: 0,
    gap: 10,
    lead: 12,
    rowGap: 14,
    pitch: 7,
    stub: 10,
    slot: 12,
  },
  dots: {
    level: 'dots',
    least: 24,
    most: 24,
    height: 22,
    line: 0,
    lines: 0,
    gap: 5,
    lead: 12,
    rowGap: 8,
    pitch: 5,
    stub: 6,
    slot: 6,
  },
};

const MOST_LARGE = 40;
const MOST_COMPACT = 160;

export function chooseLevel(wanted: LevelName, tiles: number): Level {
  if (wanted !== 'auto') return wanted;
  if (tiles <= MOST_LARGE) return 'large';
  return tiles <= MOST_COMPACT ? 'compact' : 'dots';
}
