/**
 * The socket that a container runtime's hook talks to: `libnetwork-setkey` tells which namespace the runtime made
 * for which container. One JSON object is read at once, the answer is `success` or the error's text.
 */

import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import type { Core } from './core.ts';
import { makeDirectory } from './directories.ts';
import { invalid, LibnetworkError } from './errors.ts';
import { kernelFileError } from './fileerrors.ts';
import { messageOf } from './undo.ts';

/** What a runtime's configuration needs to name the hook (OCI: `prestart` or `createRuntime`). */
export interface RuntimeHookCall {
  readonly socket: string;
  /** The program's arguments, its own name first. */
  readonly args: readonly string[];
  /**
   * The entry for `hooks.createRuntime` (or `prestart`) of an OCI configuration, as it stands: it names this Node and
   * the package's own program, so that neither an installed command nor a PATH is needed.
   */
  readonly oci: { readonly path: string; readonly args: readonly string[] };
}

/** What the server reads of a request; a longer one is no request. */
const REQUEST_BYTES = 1280;
/** How long a silent caller is waited for. */
const IDLE_MS = 10_000;
/** linux/un.h: UNIX_PATH_MAX less the terminator. */
const SOCKET_PATH_BYTES = 107;

const request = v.object({ ContainerID: v.string(), Key: v.string() });

export function hookCall(core: Core, containerId: string): RuntimeHookCall {
  const [name, ...rest] = ['libnetwork-setkey', '-exec-root', core.runDir, containerId, core.id.slice(0, 12)];
  return Object.freeze({
    socket: socketPath(core),
    args: Object.freeze([name, ...rest]),
    oci: Object.freeze({ path: process.execPath, args: Object.freeze([name, program(), ...rest]) }),
  });
}

/** The file behind `libnetwork-setkey`, beside this one. */
function program(): string {
  return fileURLToPath(new URL(`./cmd/setkey${extname(import.meta.url)}`, import.meta.url));
}

function socketPath(core: Core): string {
  return `${core.runDir}/libnetwork/${core.id.slice(0, 12)}.sock`;
}

/**
 * Listens for hooks; the answer ends it.
 * @throws INVALID_ARGUMENT for a run directory whose socket's path is too long; FORBIDDEN where it can't be made
 */
export async function listenForHooks(
  core: Core,
  setKey: (containerId: string, key: string) => Promise<void>,
): Promise<() => Promise<void>> {
  const path = socketPath(core);
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES)
    throw invalid('runDir', core.runDir, `makes a socket path of more than ${SOCKET_PATH_BYTES} bytes`);
  try {
    makeDirectory(dirname(path), 0o700);
  } catch (error) {
    kernelFileError('make', dirname(path), 'runDir')(error);
  }
  // What a killed process left.
  await rm(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    serve(socket, setKey);
  });
  await listen(server, path);
  await chmod(path, 0o600);
  server.on('error', (error) => core.logger.warn('the socket for runtime hooks failed', { error }));
  server.unref();
  return async () => {
    for (const socket of open) socket.destroy();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    await rm(path, { force: true });
  };
}

function serve(socket: Socket, setKey: (containerId: string, key: string) => Promise<void>): void {
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  // A caller that hangs up is not answered.
  socket.on('error', () => socket.destroy());
  socket.once('data', (data) => {
    socket.setTimeout(0);
    void answer(data, setKey).then((text) => socket.end(text));
  });
}

async function answer(
  data: Buffer,
  setKey: (containerId: string, key: string) => Promise<void>,
): Promise<string> {
  try {
    const { ContainerID, Key } = parseRequest(data);
    await setKey(ContainerID, Key);
    return 'success';
  } catch (error) {
    return messageOf(error);
  }
}

function parseRequest(data: Buffer): v.InferOutput<typeof request> {
  try {
    return v.parse(request, JSON.parse(data.subarray(0, REQUEST_BYTES).toString('utf8')));
  } catch (cause) {
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `the request is no JSON object with ContainerID and Key of at most ${REQUEST_BYTES} bytes: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
