/** Indexes for the two ends of a veth. */
export interface VethIndexes {
  readonly own: number;
  readonly peer: number;
}

/** Far above what the kernel gives by itself, and far enough apart for two processes not to meet. */
const FIRST = 0x0100_0000;
const COUNT = 0x3000_0000;
let next = Math.floor(Math.random() * (COUNT / 2)) * 2;

/**
 * A new pair. A veth is made with indexes of our choice, since
 * - its other settings can go in the same send, by index: by name they would meet a foreign link of that name when
 *   the creation is refused;
 * - what is to be done with the peer needs no look-up;
 * - ends with one index, which two young namespaces give easily, are taken by the kernel for no veth: it then
 *   brings the carrier up only after as much as a second (linkwatch, net/core/link_watch.c).
 */
export function newVethIndexes(): VethIndexes {
  next = (next + 2) % COUNT;
  return { own: FIRST + next, peer: FIRST + next + 1 };
}
