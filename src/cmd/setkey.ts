#!/usr/bin/env node
/**
 * `libnetwork-setkey [-exec-root DIR] CONTAINER CONTROLLER`: a hook for OCI runtimes (`prestart`, `createRuntime`).
 * Reads the container's state from the standard input and tells the controller which network namespace it has.
 * Ends with 0, or with 1 and the reason on the standard error.
 */
import { realpathSync } from 'node:fs';
import { createConnection } from 'node:net';
import { fileURLToPath } from 'node:url';

const DEFAULT_EXEC_ROOT = '/run/libnetwork/default';
const REPLY_BYTES = 1024;
const TIMEOUT_MS = 60_000;
const USAGE = 'usage: libnetwork-setkey [-exec-root DIR] CONTAINER CONTROLLER < STATE';

export interface SetKeyCall {
  readonly socket: string;
  readonly containerId: string;
}

/** The arguments after the program's name. @throws Error with the usage */
export function parseArguments(args: readonly string[]): SetKeyCall {
  const [first, directory, ...others] = args;
  const named = first === '-exec-root' || first === '--exec-root';
  const execRoot = named ? directory : DEFAULT_EXEC_ROOT;
  const [containerId, controller, ...more] = named ? others : args;
  if (!execRoot || !containerId || !controller || more.length > 0) throw new Error(USAGE);
  return { socket: `${execRoot}/libnetwork/${controller.slice(0, 12)}.sock`, containerId };
}

/** The namespace of the process that an OCI state names. @throws Error for what is no such state */
export function keyOfState(text: string): string {
  const state: unknown = JSON.parse(text);
  const pid = typeof state === 'object' && state !== null && 'pid' in state ? state.pid : undefined;
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0)
    throw new Error('the state on the standard input names no pid');
  return `/proc/${pid}/ns/net`;
}

/** Tells the controller. @throws Error with its answer, unless that is `success` */
export async function tell({ socket: path, containerId }: SetKeyCall, key: string): Promise<void> {
  const reply = await new Promise<string>((resolve, reject) => {
    const socket = createConnection(path, () => {
      socket.write(`${JSON.stringify({ ContainerID: containerId, Key: key })}\n`);
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('the controller does not answer')));
    socket.once('error', reject);
    socket.once('data', (data) => {
      resolve(data.subarray(0, REPLY_BYTES).toString('utf8'));
      socket.destroy();
    });
    socket.once('close', () => reject(new Error('the controller has hung up')));
  });
  if (reply !== 'success') throw new Error(reply);
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

async function main(): Promise<void> {
  try {
    const call = parseArguments(process.argv.slice(2));
    await tell(call, keyOfState(await readInput()));
  } catch (error) {
    process.stderr.write(`libnetwork-setkey: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

const [, program] = process.argv;
if (program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url)) await main();
