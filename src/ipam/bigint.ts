/** `Math.min` and `Math.max` for bigints. */
export function min(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}

export function max(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}
