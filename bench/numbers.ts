/** Pseudo-random 32-bit numbers, the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    const mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
    return Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97) >>> 0;
  };
}
