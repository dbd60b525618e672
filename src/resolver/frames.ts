/** DNS over TCP: each message behind its length in two bytes (RFC 1035 4.2.2). */

/** A message with its length in front. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(message.length + 2);
  framed.writeUInt16BE(message.length, 0);
  framed.set(message, 2);
  return framed;
}

/** Gathers the messages of a stream; holds at most one unfinished message of 65,535 bytes and the last chunk. */
export class Frames {
  #chunks: Buffer[] = [];
  #size = 0;
  /** How many bytes the next message needs, its length included; 2 until the length is known. */
  #need = 2;

  /** The messages that are whole with this chunk. */
  push(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const messages: Buffer[] = [];
    while (this.#size >= this.#need) {
      const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
      const whole = take(bytes, messages);
      const rest = bytes.subarray(whole);
      this.#chunks = [rest];
      this.#size = rest.length;
      this.#need = rest.length < 2 ? 2 : 2 + rest.readUInt16BE(0);
    }
    return messages;
  }
}

/** Adds the whole messages to a list; returns the offset behind the last. */
function take(bytes: Buffer, messages: Buffer[]): number {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) break;
    messages.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return at;
}
