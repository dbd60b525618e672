/**
 * The floor: what the same kernel work costs a C program that does nothing else. The programs ship as source and
 * are compiled here and now; each makes a network namespace of its own and answers counts with samples.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Namespace } from 'libnetwork/osl';

/** Microseconds, by the name of what was done. */
export type FloorSamples = Readonly<Record<string, readonly number[]>>;

export interface Floor {
  /** Does the work `count` times. */
  ask(count: number): Promise<FloorSamples>;
  close(): Promise<void>;
}

export type FloorProgram =
  | 'attach'
  | 'detach_group'
  | 'sandbox'
  | 'port'
  | 'getlink'
  | 'grace'
  | 'dump'
  | 'blast';

/** Where a program runs; the default is here. */
type Place = Pick<Namespace, 'spawn'>;

/** A floor of nothing, where there is no compiler. */
const none: Floor = { ask: async () => ({}), close: async () => undefined };

/** Where the sources are, seen from the compiled bench as from its source. */
function sourceOf(program: FloorProgram): string {
  const places = ['./floor/', '../../bench/floor/'].map(
    (place) => new URL(`${place}${program}.c`, import.meta.url),
  );
  const place = places.find((url) => existsSync(url));
  if (place === undefined) throw new Error(`bench/floor/${program}.c is missing`);
  return fileURLToPath(place);
}

function findCompiler(): string | undefined {
  return ['cc', 'gcc', 'clang'].find((compiler) => {
    try {
      execFileSync(compiler, ['--version'], { stdio: 'ignore' });
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    }
  });
}

export class Floors {
  readonly #directory: string;
  readonly #compiler = findCompiler();
  /** Why there are no ratios. */
  readonly missing =
    this.#compiler === undefined ? 'no C compiler (cc, gcc, clang): no floor, no ratios' : undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Compiles and starts a program, given a directory for what it makes, and `args`. */
  start(program: FloorProgram, args: readonly string[] = [], place: Place = { spawn }): Floor {
    if (this.#compiler === undefined) return none;
    const binary = join(this.#directory, program);
    execFileSync(this.#compiler, ['-O2', '-o', binary, sourceOf(program)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const child = place.spawn(binary, [this.#directory, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdin, stdout } = child;
    if (!stdin || !stdout) throw new Error(`${program} has no pipes`);
    return new RunningFloor(program, child, stdin, stdout);
  }
}

class RunningFloor implements Floor {
  readonly #name: string;
  readonly #input: Writable;
  readonly #exit: Promise<unknown>;
  readonly #lines: Interface;

  constructor(name: string, child: ChildProcess, input: Writable, output: Readable) {
    this.#name = name;
    this.#input = input;
    this.#exit = once(child, 'exit');
    this.#lines = createInterface({ input: output });
  }

  async ask(count: number): Promise<FloorSamples> {
    const answer = once(this.#lines, 'line');
    const end = this.#exit.then(() => {
      throw new Error(`${this.#name} ended without an answer`);
    });
    this.#input.write(`${count}\n`);
    const [line] = await Promise.race([answer, end]);
    return JSON.parse(line);
  }

  async close(): Promise<void> {
    this.#input.end();
    await this.#exit;
  }
}
