/** Sets of ordinals: pages of bits under a summary tree. */
export { Bitseq, MAX_BITS, type Run } from './bitseq.ts';
export { formatRunLength, parseRunLength, showRunLength } from './runlength.ts';
