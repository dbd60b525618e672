import type { Entry } from '../datastore.ts';
import { readEntry } from '../entry.ts';

/** One key as Consul's API gives it. */
export interface ConsulPair {
  readonly Key: string;
  /** Base64; null in the answers to writes, and for an empty value. */
  readonly Value: string | null;
  readonly ModifyIndex: number;
  readonly Session?: string;
}

/**
 * Keys as Consul takes them: newer agents refuse all but letters, digits and `,-_./`, and endings such as `.js`, and
 * every agent's HTTP router tidies `//` and `..`. What is not a letter, a digit, a dash or a lone slash becomes `_`
 * and two hex digits for each byte. What comes before decides only, so that a prefix's code is a prefix of its keys'.
 */
export class ConsulKeys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  encode(key: string): string {
    let code = '';
    for (const byte of Buffer.from(this.#prefix + key)) {
      const char = String.fromCharCode(byte);
      const slash = char === '/' && code !== '' && !code.endsWith('/');
      code += slash || /[A-Za-z0-9-]/.test(char) ? char : `_${byte.toString(16).padStart(2, '0')}`;
    }
    return code;
  }

  decode(code: string): string {
    const bytes: number[] = [];
    for (let i = 0; i < code.length; i++) {
      if (code[i] === '_') {
        bytes.push(Number.parseInt(code.slice(i + 1, i + 3), 16));
        i += 2;
      } else bytes.push(code.charCodeAt(i));
    }
    return Buffer.from(bytes).toString().slice(this.#prefix.length);
  }

  /** @throws INTERNAL for a value that is no JSON: somebody else wrote it */
  entry(pair: ConsulPair): Entry {
    const text = Buffer.from(pair.Value ?? '', 'base64').toString();
    return readEntry('Consul', this.decode(pair.Key), text, pair.ModifyIndex);
  }
}
