/** Messages that are wrong in every way one can think of, the same for the same seed. */

export class Mutator {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** From 0 to `below`, without it (mulberry32). */
  integer(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.integer(from.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }

  /** A message of the protocol with something wrong in it: a value, a key, the JSON, or the bytes. */
  body(valid: unknown): string {
    const kind = this.integer(10);
    const text = JSON.stringify(kind < 7 ? this.#value(valid) : valid);
    if (kind === 7) return text.slice(0, this.integer(text.length));
    if (kind === 8) return this.#bytes(text);
    if (kind === 9)
      return this.pick([
        '',
        'null',
        '[]',
        '5',
        '"x"',
        '{',
        '[['.repeat(200),
        '{"Err":',
        '\u0000',
        `${text}${text}`,
      ]);
    return text;
  }

  #value(value: unknown): unknown {
    if (Array.isArray(value) && value.length > 0 && this.integer(4) > 0) {
      const at = this.integer(value.length);
      return value.map((each, i) => (i === at ? this.#value(each) : each));
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      const entries = Object.entries(value);
      if (entries.length > 0 && this.integer(5) > 0) {
        const [key, member] = this.pick(entries);
        const renamed =
          this.integer(8) === 0 ? this.pick(['__proto__', 'constructor', '', key.toLowerCase()]) : key;
        return Object.fromEntries(
          entries.map(([name, each]) => (name === key ? [renamed, this.#value(member)] : [name, each])),
        );
      }
    }
    return this.#junk();
  }

  #junk(): unknown {
    return this.pick<unknown>([
      null,
      true,
      -1,
      0,
      1e308,
      65_536,
      '',
      ' ',
      'x'.repeat(10_000),
      '../../../etc/passwd',
      '10.0.0.1/33',
      '::1',
      'fe80::1%eth0/64',
      '\u0000\uffff\ud800',
      '01:00:5e:00:00:01',
      [],
      {},
      [[[[{}]]]],
      { Err: 'no' },
      { Error: {} },
      Array.from({ length: 300 }, (_, i) => i),
    ]);
  }

  #bytes(text: string): string {
    const bytes = Buffer.from(text);
    for (let i = 0; i < 3 && bytes.length > 0; i++) bytes[this.integer(bytes.length)] = this.integer(256);
    return bytes.toString('latin1');
  }

  /** An HTTP message that may be none: its first line, its head, or its length is wrong. */
  http(firstLine: string, body: string): string {
    const length = Buffer.byteLength(body);
    switch (this.integer(8)) {
      case 0:
        return `${this.#bytes(firstLine)}\r\nContent-Length: ${length}\r\n\r\n${body}`;
      case 1:
        return `${firstLine}\r\nContent-Length: ${length + 1 + this.integer(50)}\r\n\r\n${body}`;
      case 2:
        return `${firstLine}\r\nContent-Length: -5\r\n\r\n${body}`;
      case 3:
        return `${firstLine}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n${body}`;
      case 4:
        return `${firstLine}\r\n${'X-Long: y'.repeat(this.integer(4_000))}\r\n\r\n${body}`;
      case 5:
        return `${firstLine}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n${body}`;
      case 6:
        return body;
      default:
        return '';
    }
  }
}
