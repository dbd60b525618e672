/** A program in a sandbox's network namespace. The daemon only tells where that is: it starts no programs for others. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { LibnetworkError, linuxOsl } from '../index.ts';
import { type GlobalOptions, withClient } from './session.ts';

export interface Execution {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

/** As shells have it, for a program that can't be started or found. */
const CANNOT = 126;
const ABSENT = 127;
const SIGNALLED = 128;

/** The program's exit code. @throws NOT_FOUND, NOT_IMPLEMENTED for the fake kernel, FORBIDDEN */
export async function execute(options: GlobalOptions, { name, program, args }: Execution): Promise<number> {
  const path = await withClient(options, async (client) => {
    const [{ namespacePath, containerId }, { kernel }] = await Promise.all([
      client.sandbox(name),
      client.health(),
    ]);
    if (kernel === 'fake')
      throw new LibnetworkError(
        'NOT_IMPLEMENTED',
        'the fake kernel runs no programs: use a daemon without --fake',
      );
    if (namespacePath === '')
      throw new LibnetworkError('UNAVAILABLE', `the sandbox of ${containerId} has no namespace yet`);
    return namespacePath;
  });
  const osl = linuxOsl();
  try {
    const namespace = path === 'host' ? osl.host : await osl.openNamespace(path);
    return await run(program, () => namespace.spawn(program, args, { stdio: 'inherit' }));
  } finally {
    await osl.close();
  }
}

async function run(program: string, start: () => ChildProcess): Promise<number> {
  const child = start();
  const pass = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, pass);
  try {
    const [code, signal]: [number | null, NodeJS.Signals | null] = (await once(child, 'exit')) as never;
    return code ?? SIGNALLED + (signal === null ? 0 : constants.signals[signal]);
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = isAbsent ? 'not found' : error instanceof Error ? error.message : String(error);
    process.stderr.write(`dnet: ${program}: ${why}\n`);
    return isAbsent ? ABSENT : CANNOT;
  } finally {
    for (const signal of signals) process.off(signal, pass);
  }
}
