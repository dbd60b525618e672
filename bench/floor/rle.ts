/**
 * What IPAM is compared with: a set of ordinals as a list of runs of equal 32-bit blocks, the design that upstream
 * uses, written as directly as it can be. Finding walks the list, a change splits a run and joins equal neighbours.
 */
interface Run {
  block: number;
  count: bigint;
  next: Run | undefined;
}

interface Place {
  readonly run: Run;
  readonly before: Run | undefined;
  /** Which of the run's blocks. */
  readonly index: bigint;
}

const FULL = 0xffff_ffff;

export class RunLengthSet {
  readonly size: bigint;
  #head: Run | undefined;

  constructor(size: bigint) {
    this.size = size;
    this.#head = { block: 0, count: (size + 31n) / 32n, next: undefined };
  }

  /** Takes the lowest free ordinal. */
  takeAny(): bigint | undefined {
    let base = 0n;
    for (let run = this.#head; run; run = run.next) {
      if (run.block !== FULL) {
        const ordinal = base * 32n + BigInt(Math.clz32(~run.block));
        if (ordinal >= this.size) return undefined;
        this.take(ordinal);
        return ordinal;
      }
      base += run.count;
    }
    return undefined;
  }

  take(ordinal: bigint): void {
    this.#change(ordinal, (block, bit) => (block | bit) >>> 0);
  }

  release(ordinal: bigint): void {
    this.#change(ordinal, (block, bit) => (block & ~bit) >>> 0);
  }

  /** The bytes of its stored form. */
  serialize(): Buffer {
    const runs: Run[] = [];
    for (let run = this.#head; run; run = run.next) runs.push(run);
    const bytes = Buffer.alloc(16 + 12 * runs.length);
    bytes.writeBigUInt64BE(this.size & 0xffff_ffff_ffff_ffffn, 0);
    runs.forEach(({ block, count }, i) => {
      bytes.writeUInt32BE(block, 16 + 12 * i);
      bytes.writeBigUInt64BE(count, 20 + 12 * i);
    });
    return bytes;
  }

  #change(ordinal: bigint, act: (block: number, bit: number) => number): void {
    const place = this.#find(ordinal / 32n);
    if (place === undefined) return;
    const { run, before, index } = place;
    const block = act(run.block, 0x8000_0000 >>> Number(ordinal % 32n));
    if (block === run.block) return;
    const after: Run | undefined =
      index + 1n === run.count
        ? run.next
        : { block: run.block, count: run.count - index - 1n, next: run.next };
    const changed: Run = { block, count: 1n, next: after };
    const first: Run = index === 0n ? changed : { block: run.block, count: index, next: changed };
    if (before) before.next = first;
    else this.#head = first;
    join(before ?? first);
  }

  #find(block: bigint): Place | undefined {
    let before: Run | undefined;
    let index = block;
    for (let run = this.#head; run; run = run.next) {
      if (index < run.count) return { run, before, index };
      index -= run.count;
      before = run;
    }
    return undefined;
  }
}

/** Joins equal neighbours, to the end of the list, as upstream does. */
function join(from: Run): void {
  for (let run = from; run.next; ) {
    if (run.block !== run.next.block) run = run.next;
    else {
      run.count += run.next.count;
      run.next = run.next.next;
    }
  }
}
