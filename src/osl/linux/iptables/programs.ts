import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { LibnetworkError } from '../../../errors.ts';
import { inNamespace } from '../window.ts';

/** `nft`: translated to nf_tables, as on all recent distributions; `legacy`: the kernel's own old tables. */
export type IptablesVariant = 'nft' | 'legacy';

export interface IptablesProgram {
  /** `1.8.9` */
  readonly version: string;
  readonly variant: IptablesVariant;
}

/** iptables(8): another program holds the lock, or memory is short. */
const RESOURCE_PROBLEM = 4;

/** What `iptables` is on this machine. @throws UNAVAILABLE when it is not installed */
export async function detectIptables(): Promise<IptablesProgram> {
  const printed = await run(undefined, 'iptables', ['--version']);
  const [, version = '', kind] = /v([\d.]+)(?: \((\w+)\))?/.exec(printed) ?? [];
  return { version, variant: kind === 'nf_tables' ? 'nft' : 'legacy' };
}

/**
 * Runs a program of iptables in a namespace and returns what it printed. No shell is involved.
 * @param onStart is told the number of the process, before it does anything
 * @throws UNAVAILABLE when it is not installed or the lock was held for too long; FORBIDDEN; INTERNAL with its words
 */
export async function run(
  namespaceFd: number | undefined,
  program: string,
  args: readonly string[],
  input = '',
  onStart: (process: number) => void = () => undefined,
): Promise<string> {
  const child = inNamespace(namespaceFd, () =>
    spawn(program, [...args], { env: environment(), stdio: ['pipe', 'pipe', 'pipe'] }),
  );
  if (child.pid !== undefined) onStart(child.pid);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  // A program that ends early leaves its input unread; its exit code tells what happened.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  try {
    const [code, printed, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    if (code === 0) return printed;
    throw refusal(program, code, complaint, input);
  } catch (error) {
    throw error instanceof LibnetworkError ? error : notStarted(program, error);
  }
}

/** The programs are in the system's directories, which not every service has in its path. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
}

function notStarted(program: string, cause: unknown): LibnetworkError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  const why = missing
    ? `the engine iptables needs the program ${program}, which is not installed: install the package iptables, or use the engine nftables, which needs no program`
    : `${program} could not be started: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new LibnetworkError('UNAVAILABLE', why, { operation: program, cause });
}

function refusal(program: string, code: number | null, complaint: string, input: string): LibnetworkError {
  const kernelMessage = complaint.trim();
  const facts = { operation: program, kernelMessage };
  if (code === RESOURCE_PROBLEM && /lock/i.test(kernelMessage))
    return new LibnetworkError(
      'UNAVAILABLE',
      `${program}: another program holds the lock of iptables; try again`,
      facts,
    );
  if (/must be root|Permission denied/i.test(kernelMessage))
    return new LibnetworkError('FORBIDDEN', `${program}: ${kernelMessage}`, facts);
  const line = Number(/line:? (\d+)/.exec(kernelMessage)?.[1]);
  const at = input.split('\n')[line - 1];
  const where = at === undefined ? '' : ` at ${JSON.stringify(at)}`;
  return new LibnetworkError(
    'INTERNAL',
    `${program} ended with ${code}${where}: ${kernelMessage.split('\n').join('; ')}`,
    facts,
  );
}
