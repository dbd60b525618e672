/** Answers without an end: lines for who reads, bounded in number and in what waits for a slow reader. */
import type { FastifyReply } from 'fastify';
import { LibnetworkError } from '../index.ts';

export interface StreamLimits {
  readonly streams: number;
  readonly streamBytes: number;
}

/** One answer under way. */
export interface Stream {
  /** Ends the stream when its reader is too far behind. */
  write(text: string): void;
  end(): void;
}

export class Streams {
  readonly #limits: StreamLimits;
  readonly #limit: string;
  readonly #open = new Set<Stream>();
  #isClosing = false;

  /** @param limit the name by which the number of streams is set */
  constructor(limits: StreamLimits, limit = 'streams') {
    this.#limits = limits;
    this.#limit = limit;
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * Takes over a reply. `onEnd` is called once, when either side has ended it.
   * @throws UNAVAILABLE when there are too many, or the daemon stops
   */
  open(reply: FastifyReply, type: string, onEnd: () => void): Stream {
    if (this.#isClosing) throw new LibnetworkError('UNAVAILABLE', 'the daemon is stopping');
    if (this.#open.size >= this.#limits.streams)
      throw new LibnetworkError(
        'UNAVAILABLE',
        `there are ${this.#open.size} streams already: end one, or raise limits.${this.#limit}`,
        { limit: this.#limit },
      );
    reply.hijack();
    const { raw } = reply;
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) raw.setHeader(name, value);
    }
    raw.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' });
    raw.flushHeaders();
    const stream: Stream = {
      write: (text) => {
        if (raw.writableEnded || raw.destroyed) return;
        if (raw.writableLength > this.#limits.streamBytes) raw.destroy();
        else raw.write(text);
      },
      end: () => raw.end(),
    };
    this.#open.add(stream);
    raw.once('close', () => {
      this.#open.delete(stream);
      onEnd();
    });
    return stream;
  }

  /** Ends all of them, and lets no more begin. */
  close(): void {
    this.#isClosing = true;
    for (const stream of [...this.#open]) stream.end();
  }
}
