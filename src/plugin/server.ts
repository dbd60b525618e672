/** The HTTP side of a served plugin: requests of Docker's protocol, checked and bounded before anything is called. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../driverapi/driver.ts';
import { type ErrorCode, LibnetworkError } from '../errors.ts';
import { firstJson, oneLine } from './json.ts';
import { CONTENT_TYPE, type PluginKind } from './messages/common.ts';
import { silent } from './silent.ts';
import { listenAt } from './socketfile.ts';

export interface ServerOptions {
  /** The path of the socket: `/run/docker/plugins/NAME.sock` makes it Docker's driver NAME. */
  readonly socket: string;
  /** The rights of the socket's file. @default 0o660 */
  readonly mode?: number | undefined;
  /** Bytes of one request's body. @default 1048576 */
  readonly maxBodyBytes?: number | undefined;
  /** Milliseconds within which a request must have arrived. @default 30000 */
  readonly requestTimeoutMs?: number | undefined;
  /** Milliseconds that one call may take: then its signal fires and its caller gets an error. @default 120000 */
  readonly callTimeoutMs?: number | undefined;
  /** Connections at once; further ones are refused. @default 256 */
  readonly maxConnections?: number | undefined;
  /** Calls at once; further ones are answered with 503. @default 1024 */
  readonly maxCalls?: number | undefined;
  /** @default silent */
  readonly logger?: Logger | undefined;
}

type Limits = {
  readonly [K in Exclude<keyof ServerOptions, 'logger' | 'socket'>]-?: NonNullable<ServerOptions[K]>;
};

/** One method of the protocol. */
export type Handler = (body: unknown, signal: AbortSignal) => Promise<object>;

/** The methods of one kind of driver, by their names without the kind. */
export interface Served {
  readonly kind: PluginKind;
  readonly methods: Readonly<Record<string, Handler>>;
  close(): Promise<void>;
}

export class PluginServer implements AsyncDisposable {
  readonly socket: string;
  readonly #server: Server;
  readonly #served: readonly Served[];
  readonly #methods = new Map<string, { readonly kind: PluginKind | 'Plugin'; readonly handler: Handler }>();
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #calls = new Set<Promise<void>>();
  /** Of the calls under way. */
  readonly #aborts = new Set<AbortController>();
  #remove: (() => Promise<void>) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(served: readonly Served[], options: ServerOptions) {
    this.socket = options.socket;
    this.#served = served;
    this.#logger = options.logger ?? silent;
    this.#limits = {
      mode: options.mode ?? 0o660,
      maxBodyBytes: options.maxBodyBytes ?? 1_048_576,
      requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
      callTimeoutMs: options.callTimeoutMs ?? 120_000,
      maxConnections: options.maxConnections ?? 256,
      maxCalls: options.maxCalls ?? 1_024,
    };
    const kinds = served.map(({ kind }) => kind);
    this.#methods.set('/Plugin.Activate', { kind: 'Plugin', handler: async () => ({ Implements: kinds }) });
    for (const { kind, methods } of served)
      for (const [name, handler] of Object.entries(methods))
        this.#methods.set(`/${kind}.${name}`, { kind, handler });
    this.#server = this.#makeServer();
  }

  /** Listens until `close`. @throws INVALID_ARGUMENT, CONFLICT (see `listenAt`) */
  static async listen(served: readonly Served[], options: ServerOptions): Promise<PluginServer> {
    const server = new PluginServer(served, options);
    const { remove } = await listenAt(server.#server, options.socket, server.#limits.mode);
    server.#remove = remove;
    return server;
  }

  #makeServer(): Server {
    const { requestTimeoutMs, maxConnections } = this.#limits;
    const server = createServer({
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: Math.max(10, Math.min(1_000, requestTimeoutMs / 2)),
      keepAliveTimeout: 60_000,
    });
    server.maxConnections = maxConnections;
    server.on('request', (request, response) => this.#take(request, response));
    return server;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    // A caller that goes away gets no answer; what was begun for it is finished.
    request.on('error', (error) => this.#logger.debug('a request broke off', { error }));
    response.on('error', (error) => this.#logger.debug('an answer broke off', { error }));
    const call = this.#answer(request, response).catch((error: unknown) => {
      this.#logger.error('a request could not be answered', { error });
      response.destroy();
    });
    this.#calls.add(call);
    void call.finally(() => this.#calls.delete(call));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method: verb, url = '' } = request;
    const method = this.#methods.get(url);
    if (verb !== 'POST') return refuse(response, 405, 'only POST is understood');
    if (method === undefined)
      return refuse(response, 404, `there is no method ${oneLine(url).slice(0, 200)}`);
    if (this.#calls.size >= this.#limits.maxCalls) return refuse(response, 503, 'too many calls at once');
    const text = await readBody(request, this.#limits.maxBodyBytes);
    if (text === undefined) return;
    if (text === 'too long')
      return refuse(response, 413, `the body is longer than ${this.#limits.maxBodyBytes} bytes`);
    try {
      const value = text.body.trim() === '' ? null : firstJson(text.body, url.slice(1), 'INVALID_ARGUMENT');
      send(response, 200, await this.#call(method.handler, value));
    } catch (error) {
      this.#refuse(response, method.kind, url.slice(1), error);
    }
  }

  /** Answers in time, whatever the driver does with its signal. */
  async #call(handler: Handler, body: unknown): Promise<object> {
    const { callTimeoutMs } = this.#limits;
    const controller = new AbortController();
    this.#aborts.add(controller);
    const late = new Promise<never>((_, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason));
    });
    const timer = setTimeout(() => {
      const message = `the driver took longer than ${callTimeoutMs} ms`;
      controller.abort(new LibnetworkError('TIMEOUT', message, { limit: 'callTimeoutMs' }));
    }, callTimeoutMs);
    try {
      return await Promise.race([handler(body, controller.signal), late]);
    } finally {
      clearTimeout(timer);
      this.#aborts.delete(controller);
    }
  }

  /** Docker reads `Err` of network drivers and `Error` of IPAM drivers; this package reads the rest too. */
  #refuse(response: ServerResponse, kind: PluginKind | 'Plugin', method: string, error: unknown): void {
    const typed = LibnetworkError.is(error);
    if (!typed) this.#logger.error(`${method} failed by a fault of the driver`, { error });
    const message = oneLine(error instanceof Error ? error.message : String(error)) || 'it failed';
    const { field, holder, limit } = typed ? error : {};
    const code: ErrorCode = typed ? error.code : 'INTERNAL';
    send(response, 200, {
      [kind === 'IpamDriver' ? 'Error' : 'Err']: message,
      Code: code,
      ...(field === undefined ? {} : { Field: field }),
      ...(holder === undefined ? {} : { Holder: holder }),
      ...(limit === undefined ? {} : { Limit: limit }),
    });
  }

  /**
   * Takes no more calls, waits for those under way, and closes the drivers. What they made stays. Closing twice is
   * fine.
   */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    await this.#remove?.();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const reason = new LibnetworkError('ABORTED', 'the plugin is closing');
    for (const controller of this.#aborts) controller.abort(reason);
    await Promise.allSettled(this.#calls);
    this.#server.closeAllConnections();
    await closed;
    for (const served of this.#served) await served.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  // What is left of the request is not read: the connection ends with the answer.
  response.setHeader('Connection', 'close');
  send(response, status, { Err: message });
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed || response.headersSent) return;
  const text = JSON.stringify(body);
  response.writeHead(status, { 'Content-Type': CONTENT_TYPE, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

/** `undefined`: the caller went away. */
function readBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<{ readonly body: string } | 'too long' | undefined> {
  return new Promise((resolve) => {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) return resolve('too long');
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        request.pause();
        resolve('too long');
      } else chunks.push(chunk);
    });
    request.on('end', () => resolve({ body: Buffer.concat(chunks).toString('utf8') }));
    request.on('close', () => resolve(undefined));
  });
}
