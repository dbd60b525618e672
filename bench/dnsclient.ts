/** Clients of name servers, inside network namespaces: ours in C, and `dnsperf` where it is installed. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Namespace } from 'libnetwork/osl';
import type { Row } from './row.ts';
import { row } from './row.ts';

/** What a client found; times in microseconds. */
export interface Load {
  readonly seconds: number;
  readonly answered: number;
  readonly lost: number;
  readonly bad: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** A namespace that clients run in. */
export type Inside = Pick<Namespace, 'spawn'>;

/** Whom a client asks, for what. */
export interface Target {
  readonly client: Inside;
  readonly address: string;
  readonly name: string;
  /** Each question another name, so that none are shared. */
  readonly isVaried?: boolean;
}

/** The programs of the bench, compiled into a directory. */
export class Programs {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** `undefined` where there is no C compiler. */
  static compile(directory: string): Programs | undefined {
    const compiler = ['cc', 'gcc', 'clang'].find((it) => isInstalled(it));
    if (compiler === undefined) return undefined;
    for (const [name, ...flags] of [['dnsload'], ['dnsserve'], ['dnspause', '-static']])
      execFileSync(compiler, ['-O2', ...flags, '-o', join(directory, `${name}`), sourceOf(`${name}.c`)]);
    return new Programs(directory);
  }

  path(name: 'dnsload' | 'dnsserve' | 'dnspause'): string {
    return join(this.directory, name);
  }

  /** Asks `count` questions, so many of them at a time. */
  async load(target: Target, inFlight: number, count: number): Promise<Load> {
    const words = [target.address, 53, count, inFlight, target.name, target.isVaried ? 1 : 0];
    return JSON.parse(await output(target.client, this.path('dnsload'), words.map(String)));
  }
}

/** The four figures of a comparison. */
export function rowsOf(name: string, ours: readonly Load[], floor: readonly Load[] = []): readonly Row[] {
  const of = (take: (it: Load) => number) => ({ ours: ours.map(take), floor: floor.map(take) });
  return [
    row(
      name,
      'questions/s',
      of((it) => it.answered / it.seconds),
    ),
    row(
      `${name}, p50`,
      'us',
      of((it) => it.p50),
    ),
    row(
      `${name}, p99`,
      'us',
      of((it) => it.p99),
    ),
    row(
      `${name}, lost or wrong`,
      'questions',
      of((it) => it.lost + it.bad),
    ),
  ];
}

/** What a program inside a namespace prints. */
export async function output(namespace: Inside, file: string, words: readonly string[]): Promise<string> {
  const child = namespace.spawn(file, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.stdout === null) throw new Error(`${file} has no output`);
  return text(child.stdout);
}

export function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, program)));
}

/** Where the sources are, seen from the compiled bench as from its source. */
function sourceOf(file: string): string {
  const places = ['./floor/', '../../bench/floor/'].map((place) => new URL(place + file, import.meta.url));
  const place = places.find((url) => existsSync(url));
  if (place === undefined) throw new Error(`bench/floor/${file} is missing`);
  return fileURLToPath(place);
}
