import { Duplex } from 'node:stream';

/** One end of a connection in memory: what is written here is read at the other end. */
class End extends Duplex {
  other: End | undefined;
  #resume: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.other?.receive(Buffer.from(chunk), done);
  }

  override _final(done: () => void): void {
    this.other?.receive(null, done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    this.other = undefined;
    // The far end reads what is on its way, then the end; what it still writes goes nowhere.
    if (other !== undefined && !other.destroyed) {
      other.other = undefined;
      if (error === null) other.receive(null, () => undefined);
      else other.destroy(reset());
    }
    this.#resume?.();
    done(error);
  }

  /** Data from the far end; `done` waits until there is room. */
  receive(chunk: Buffer | null, done: () => void): void {
    if (this.destroyed || this.readableEnded || this.push(chunk)) done();
    else this.#resume = done;
  }
}

function reset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104, syscall: 'read' });
}

/** A connection's two ends. */
export function streamPair(): readonly [Duplex, Duplex] {
  const ends = [new End(), new End()] as const;
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return ends;
}
