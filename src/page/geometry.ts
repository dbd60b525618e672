/** Boxes, points, and which box is next in a direction. */

/** In CSS pixels, from the drawing's top left corner. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export type Point = readonly [x: number, y: number];

export type Direction = 'left' | 'right' | 'up' | 'down';

export function right({ x, width }: Box): number {
  return x + width;
}

export function bottom({ y, height }: Box): number {
  return y + height;
}

export function middle({ y, height }: Box): number {
  return y + height / 2;
}

export function overlap(a: Box, b: Box): boolean {
  return a.x < right(b) && b.x < right(a) && a.y < bottom(b) && b.y < bottom(a);
}

/** What lies aside counts more than what lies far ahead. */
const ASIDE = 4;

/** The box that an arrow key leads to; `undefined` where there is none that way. */
export function nearest<K>(boxes: ReadonlyMap<K, Box>, from: Box, direction: Direction): K | undefined {
  let best: K | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [key, box] of boxes) {
    const ahead = distanceAhead(from, box, direction);
    if (ahead <= 0) continue;
    const isAcross = direction === 'up' || direction === 'down';
    const aside = isAcross
      ? gap(from.x, right(from), box.x, right(box))
      : gap(from.y, bottom(from), box.y, bottom(box));
    const lean = isAcross ? Math.abs(box.x - from.x) : Math.abs(box.y - from.y);
    const cost = ahead + ASIDE * aside + lean / 1000;
    if (cost < least) [best, least] = [key, cost];
  }
  return best;
}

/** From edge to edge; 0 or less for what is not ahead. */
function distanceAhead(from: Box, to: Box, direction: Direction): number {
  switch (direction) {
    case 'left':
      return from.x - right(to) + 1;
    case 'right':
      return to.x - right(from) + 1;
    case 'up':
      return from.y - bottom(to) + 1;
    case 'down':
      return to.y - bottom(from) + 1;
  }
}

function gap(a: number, aEnd: number, b: number, bEnd: number): number {
  return Math.max(0, a - bEnd, b - aEnd);
}
