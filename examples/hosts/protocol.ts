/** Talk with a program by lines of JSON: a request with a number, an answer with the same. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** A failure in the other program, with the code that it had there. */
export class RemoteError extends Error {
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

/** The caller's side. */
export class Caller {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #next = 1;

  constructor(child: ChildProcess) {
    this.#child = child;
    const { stdout } = child;
    if (!stdout) throw new Error('the program has no output to read');
    createInterface({ input: stdout }).on('line', (line) => this.#take(JSON.parse(line) as Answer));
    // Requests to a program that has just died are answered by its end.
    child.stdin?.on('error', () => undefined);
    child.once('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`it ended: ${code ?? signal}`));
      this.#waiting.clear();
    });
  }

  call<T>(op: string, args: object = {}): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (value) => resolve(value as T), reject });
      this.#child.stdin?.write(`${JSON.stringify({ id, op, args })}\n`);
    });
  }

  #take({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new RemoteError(error.message, error.code));
    else waiting?.resolve(value);
  }
}

export type Operations = Readonly<Record<string, (args: never) => unknown>>;

/** The program's side: serves requests until there are none, then calls `end`. */
export function serve(operations: Operations, end: () => Promise<void>): void {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const { id, op, args } = JSON.parse(line) as { id: number; op: string; args: never };
    let answer: Answer;
    try {
      answer = { id, value: await operations[op]?.(args) };
    } catch (error) {
      const { message, code } = error as Error & { code?: string };
      answer = { id, error: { message, ...(code === undefined ? {} : { code }) } };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
  lines.once('close', () => void end().finally(() => process.exit()));
}
