/**
 * Cuts a stream into JSON objects: OVSDB puts one after the other, with nothing between them (RFC 7047, 4). Bytes
 * of a character that was cut in two stay until the rest comes.
 */
export class JsonStream {
  readonly #limit: number;
  #bytes = Buffer.alloc(0);
  #at = 0;
  #depth = 0;
  #inText = false;
  #escaped = false;

  /** @param limit bytes that one object may have */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The objects that end in this chunk. @throws SyntaxError for what is no object; RangeError for one too large */
  push(chunk: Buffer): unknown[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const objects: unknown[] = [];
    let start = 0;
    for (; this.#at < this.#bytes.length; this.#at++) {
      if (!this.#endsHere(this.#bytes[this.#at] ?? 0)) continue;
      objects.push(JSON.parse(this.#bytes.toString('utf8', start, this.#at + 1)));
      start = this.#at + 1;
    }
    this.#bytes = this.#bytes.subarray(start);
    this.#at -= start;
    if (this.#bytes.length > this.#limit)
      throw new RangeError(`a message has more than ${this.#limit} bytes`);
    return objects;
  }

  #endsHere(byte: number): boolean {
    if (this.#escaped) this.#escaped = false;
    else if (this.#inText) {
      if (byte === 0x5c) this.#escaped = true;
      else if (byte === 0x22) this.#inText = false;
    } else if (byte === 0x22) this.#inText = true;
    else if (byte === 0x7b) this.#depth++;
    else if (byte === 0x7d) return --this.#depth === 0;
    return false;
  }
}
