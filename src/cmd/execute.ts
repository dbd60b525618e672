/** A program in a sandbox's network namespace. The daemon only tells where that is: it starts no programs for others. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { LibnetworkError, linuxOsl } from '../index.ts';
import { type GlobalOptions, withClient } from './session.ts';
import { isInForeground, onSignals } from './signals.ts';

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
    const namespace = path === 'host' ? osl.host : await openNamespace(osl, path);
    return await run(program, () => namespace.spawn(program, args, { stdio: 'inherit' }));
  } finally {
    await osl.close();
  }
}

/** @throws UNAVAILABLE when the daemon has a mount there that this process does not see */
async function openNamespace(osl: ReturnType<typeof linuxOsl>, path: string) {
  try {
    return await osl.openNamespace(path);
  } catch (error) {
    if (!LibnetworkError.is(error, 'INVALID_ARGUMENT') && !LibnetworkError.is(error, 'NOT_FOUND'))
      throw error;
    throw new LibnetworkError(
      'UNAVAILABLE',
      `${path} is no network namespace here: run this on the daemon's host, among the same mounts as the daemon`,
      { value: path, cause: error },
    );
  }
}

/** What a terminal sends to all programs in front of it reaches the program without us. */
const TYPED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
const PASSED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', ...TYPED];

async function run(program: string, start: () => ChildProcess): Promise<number> {
  const child = start();
  const forget = onSignals(PASSED, (signal) => {
    if (!TYPED.includes(signal) || !isInForeground()) child.kill(signal);
  });
  try {
    const [code, signal]: [number | null, NodeJS.Signals | null] = (await once(child, 'exit')) as never;
    return code ?? SIGNALLED + (signal === null ? 0 : constants.signals[signal]);
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = isAbsent ? 'not found' : error instanceof Error ? error.message : String(error);
    process.stderr.write(`dnet: ${program}: ${why}\n`);
    return isAbsent ? ABSENT : CANNOT;
  } finally {
    forget();
  }
}
