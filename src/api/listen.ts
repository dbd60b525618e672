/** The server under the application: its limits, and where it listens. */
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createConnection, type ListenOptions, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { FastifyServerFactory } from 'fastify';
import { LibnetworkError } from '../index.ts';
import type { ApiLimits } from './limits.ts';

/** Both sides show certificates of one authority. */
export interface TlsFiles {
  /** The authority's certificate, as text. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** How soon a connection that is too slow is noticed. */
const CHECK_MS = 1000;

/**
 * A server that takes no more than the limits say. Ambiguous requests (both lengths, folded headers, no host) are
 * refused by Node's parser, which is strict unless told otherwise.
 */
export function serverFactory(limits: ApiLimits, tls?: TlsFiles): FastifyServerFactory {
  return (handler) => {
    const options: ServerOptions = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: CHECK_MS,
      insecureHTTPParser: false,
      requireHostHeader: true,
    };
    const server: Server =
      tls === undefined
        ? createServer(options, handler)
        : createTlsServer(
            { ...options, ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
            handler,
          );
    server.maxConnections = limits.connections;
    hangUpOnSilence(server, tls === undefined ? 'connection' : 'secureConnection', limits.headersMs);
    return server;
  };
}

/** Node waits without an end for who connects and says nothing at all. */
function hangUpOnSilence(server: Server, event: 'connection' | 'secureConnection', ms: number): void {
  const silent = new Map<Socket, NodeJS.Timeout>();
  const forget = (socket: Socket): void => {
    clearTimeout(silent.get(socket));
    silent.delete(socket);
  };
  server.on(event, (socket: Socket) => {
    silent.set(
      socket,
      setTimeout(() => socket.destroy(), ms),
    );
    socket.once('close', () => forget(socket));
  });
  server.on('request', ({ socket }: IncomingMessage) => forget(socket));
}

export interface SocketRights {
  /** Of the socket's file. Default: 0660. */
  readonly mode?: number | undefined;
  /** The group that may use the socket, by number. Default: the process's own. */
  readonly group?: number | undefined;
}

/**
 * Listens at a path. What a dead daemon left there is removed, what lives is not.
 * @throws CONFLICT when somebody answers there, or it is no socket; FORBIDDEN without the rights
 */
export async function listenUnix(server: Server, path: string, rights: SocketRights = {}): Promise<void> {
  const { mode = 0o660, group } = rights;
  await clear(path);
  makeDirectory(path);
  // Nobody gets in before the rights are set: the file is born with no more than these.
  const umask = process.umask(0o777 & ~mode);
  let listening: Promise<void>;
  try {
    listening = listen(server, { path });
  } finally {
    process.umask(umask);
  }
  await listening;
  chmodSync(path, mode);
  if (group !== undefined) chownSync(path, process.getuid?.() ?? 0, group);
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    const code = CODES[codeOf(error)] ?? 'INVALID_ARGUMENT';
    const why = error instanceof Error ? error.message : String(error);
    throw new LibnetworkError(code, `the directory of the socket ${path} can't be made: ${why}`, {
      field: 'host',
      value: path,
      cause: error,
    });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

async function clear(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (!lstatSync(path).isSocket())
    throw new LibnetworkError('CONFLICT', `${path} is no socket: move it away, or choose another host`, {
      field: 'host',
      value: path,
    });
  const isAlive = await new Promise<boolean>((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
  if (isAlive)
    throw new LibnetworkError(
      'CONFLICT',
      `a daemon listens at ${path} already: stop it, or choose another host`,
      {
        field: 'host',
        value: path,
      },
    );
  rmSync(path);
}

/** @throws CONFLICT for what is taken, FORBIDDEN, INTERNAL */
export function listen(server: Server, where: ListenOptions | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const code = CODES[error.code ?? ''] ?? 'INTERNAL';
      reject(new LibnetworkError(code, `the daemon can't listen: ${error.message}`, { cause: error }));
    };
    server.once('error', refuse);
    server.listen(where, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

const CODES: Readonly<Record<string, 'CONFLICT' | 'FORBIDDEN' | 'INVALID_ARGUMENT'>> = {
  EADDRINUSE: 'CONFLICT',
  EACCES: 'FORBIDDEN',
  EPERM: 'FORBIDDEN',
  EADDRNOTAVAIL: 'INVALID_ARGUMENT',
  EINVAL: 'INVALID_ARGUMENT',
};
