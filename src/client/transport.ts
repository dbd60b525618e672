/** How a client reaches a daemon: by a socket of this host, or by TLS with certificates on both sides. */
import { type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { ERROR_CODES, LibnetworkError } from '../errors.ts';
import { parseHost } from './host.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface Transport {
  /** @throws UNAVAILABLE when nobody answers, TIMEOUT, ABORTED */
  ask(method: string, path: string, body?: unknown, options?: AskOptions): Promise<Answer>;
  /** An answer that goes on; its chunks as they come. @throws as `ask`; and with the answer's error */
  follow(path: string, options?: AskOptions): Promise<AsyncIterable<Buffer>>;
  close(): Promise<void>;
}

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a byte. Default: 120,000. */
  readonly timeoutMs?: number | undefined;
}

export interface TlsOptions {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const TIMEOUT_MS = 120_000;

/** @param host `unix:///run/dnet.sock` or `tcp://10.0.0.1:2376` @throws INVALID_ARGUMENT */
export function connectTo(host: string, tls?: TlsOptions): Transport {
  const at = parseHost(host);
  const where = at.kind === 'unix' ? { socketPath: at.path } : { host: at.host, port: at.port, ...tls };
  const make = at.kind === 'unix' ? plainRequest : tlsRequest;

  const send = (method: string, path: string, body: unknown, options: AskOptions): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers: Record<string, string | number> = { accept: 'application/json' };
      // By TLS the header would be the name that the daemon's certificate has to be of.
      if (at.kind === 'unix') headers.host = 'dnet';
      if (text !== undefined) {
        headers['content-type'] = 'application/json';
        headers['content-length'] = Buffer.byteLength(text);
      }
      const { signal, timeoutMs = TIMEOUT_MS } = options;
      const asked: ClientRequest = make(
        { ...where, method, path, headers, ...(signal ? { signal } : {}) },
        resolve,
      );
      asked.setTimeout(timeoutMs, () =>
        asked.destroy(new LibnetworkError('TIMEOUT', `${host} did not answer in ${timeoutMs} ms`)),
      );
      asked.once('error', (error) => reject(failure(error, host)));
      asked.end(text);
    });

  return {
    ask: async (method, path, body, options = {}) => {
      const answer = await send(method, path, body, options);
      return { status: answer.statusCode ?? 0, text: await textOf(answer, host) };
    },
    follow: async (path, options = {}) => {
      const answer = await send('GET', path, undefined, { timeoutMs: 2 ** 31 - 1, ...options });
      if (answer.statusCode === 200) return chunksOf(answer, host);
      throw errorOf({ status: answer.statusCode ?? 0, text: await textOf(answer, host) });
    },
    close: async () => undefined,
  };
}

async function* chunksOf(answer: IncomingMessage, host: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer) yield Buffer.from(chunk);
  } catch (error) {
    throw failure(error, host);
  }
}

async function textOf(answer: IncomingMessage, host: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(answer, host)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function failure(error: unknown, host: string): LibnetworkError {
  if (LibnetworkError.is(error)) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const text = error instanceof Error ? error.message : String(error);
  if (code === 'ABORT_ERR')
    return new LibnetworkError('ABORTED', 'the request was given up', { cause: error });
  const why = WHY[code] ?? text;
  return new LibnetworkError('UNAVAILABLE', `no daemon can be reached at ${host}: ${why}`, {
    field: 'host',
    value: host,
    cause: error,
  });
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket. Start one with `dnet daemon`, or name another by --host or DNET_HOST',
  ECONNREFUSED: 'nobody listens there. Start one with `dnet daemon`, or name another by --host or DNET_HOST',
  ECONNRESET: 'it has broken the connection off. Its log tells why',
  EACCES: 'this user may not use the socket. Run as root, or as a member of the socket’s group',
};

const CODES = new Set<string>(ERROR_CODES);

/** The error that an answer of dnet's own API tells, with its code and facts. */
export function errorOf({ status, text }: Answer): LibnetworkError {
  const told = read(text);
  if (typeof told === 'object' && told !== null && 'error' in told) {
    const { code, message, ...facts }: Record<string, unknown> = { ...(told.error as object) };
    if (typeof code === 'string' && CODES.has(code))
      return new LibnetworkError(code as LibnetworkError['code'], String(message), facts);
  }
  return new LibnetworkError('INTERNAL', `the daemon answered ${status}: ${text.slice(0, 200).trim()}`);
}

function read(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not an answer of ours: it is told as text.
    return undefined;
  }
}
