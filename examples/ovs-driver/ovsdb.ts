import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { LibnetworkError } from 'libnetwork';
import { JsonStream } from './jsonstream.ts';

/** Values of the database, as RFC 7047, 5.1 writes them. */
export type Atom = string | number | boolean | Uuid;
export type Uuid = readonly ['uuid' | 'named-uuid', string];
export type Value =
  | Atom
  | readonly ['set', readonly Atom[]]
  | readonly ['map', readonly (readonly [Atom, Atom])[]];
export type Row = Readonly<Record<string, Value>>;
type Condition = readonly [column: string, test: '==' | '!=' | 'includes', value: Value];

/** RFC 7047, 5.2: those that we need. */
export type Operation =
  | { readonly op: 'insert'; readonly table: string; readonly row: Row; readonly 'uuid-name'?: string }
  | { readonly op: 'select'; readonly table: string; readonly where: readonly Condition[] }
  | { readonly op: 'update'; readonly table: string; readonly where: readonly Condition[]; readonly row: Row }
  | { readonly op: 'delete'; readonly table: string; readonly where: readonly Condition[] }
  | {
      readonly op: 'mutate';
      readonly table: string;
      readonly where: readonly Condition[];
      readonly mutations: readonly (readonly [
        column: string,
        mutator: 'insert' | 'delete' | '+=',
        value: Value,
      ])[];
    };

export interface Outcome {
  readonly rows?: readonly Row[];
  readonly count?: number;
  readonly uuid?: Uuid;
}

interface Reply {
  readonly id: unknown;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: readonly (Outcome & { readonly error?: string; readonly details?: string })[];
  readonly error?: unknown;
}

const DATABASE = 'Open_vSwitch';
const MAX_MESSAGE = 16 << 20;

/** A connection to an OVSDB server (RFC 7047) at a unix socket. */
export class Ovsdb {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  #lastId = 0;
  #ended: Error | undefined;

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    const stream = new JsonStream(MAX_MESSAGE);
    socket.on('data', (chunk) => {
      try {
        for (const message of stream.push(chunk)) this.#take(message as Reply);
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
  }

  /** @throws UNAVAILABLE when nobody listens there */
  static async connect(path: string, timeoutMs = 5000): Promise<Ovsdb> {
    const socket = connect(path);
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(timeoutMs) });
    } catch (cause) {
      socket.destroy();
      throw new LibnetworkError(
        'UNAVAILABLE',
        `no OVSDB server answers at ${path}; is Open vSwitch running?`,
        {
          value: path,
          cause,
        },
      );
    }
    return new Ovsdb(socket, timeoutMs);
  }

  /** All or nothing; an outcome for each operation. @throws INTERNAL with the server's words; UNAVAILABLE, TIMEOUT */
  async transact(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    const { error, result } = await this.#call('transact', [DATABASE, ...operations]);
    // A commit that fails is one outcome more than there are operations.
    const failed = result?.findIndex((outcome) => outcome?.error !== undefined) ?? -1;
    if (error === null && result !== undefined && failed < 0) return result;
    const { error: code = error, details = '' } = result?.[failed] ?? {};
    const what = operations[failed]?.op ?? 'commit';
    throw new LibnetworkError(
      'INTERNAL',
      `Open vSwitch refuses to ${what}: ${String(code)} ${details}`.trim(),
      {
        operation: what,
      },
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  #call(method: string, params: readonly unknown[]): Promise<Reply> {
    if (this.#ended) return Promise.reject(unavailable(this.#ended));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new LibnetworkError('TIMEOUT', `Open vSwitch did not answer within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      const settle =
        <T>(act: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          act(value);
        };
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#socket.write(JSON.stringify({ id, method, params }));
    });
  }

  #take(message: Reply): void {
    // The server asks whether we are still here (RFC 7047, 4.1.11).
    if (message.method === 'echo')
      this.#socket.write(JSON.stringify({ id: message.id, error: null, result: message.params }));
    if (typeof message.id !== 'number') return;
    this.#waiting.get(message.id)?.resolve(message);
    this.#waiting.delete(message.id);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(unavailable(this.#ended));
    this.#waiting.clear();
  }
}

function unavailable(cause: Error): LibnetworkError {
  return new LibnetworkError('UNAVAILABLE', `Open vSwitch is not there any more: ${cause.message}`, {
    cause,
  });
}
