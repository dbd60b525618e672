/** One exchange with a plugin over HTTP: a request, and an answer that is neither too late nor too long. */
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { PluginAddress, TlsFiles } from './address.ts';
import { FailedExchange, failureOf } from './failure.ts';
import { CONTENT_TYPE } from './messages/common.ts';

export interface Exchange {
  readonly path: string;
  /** `undefined`: a method without arguments, whose request has no body. */
  readonly body: string | undefined;
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
  readonly signal: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** What Docker calls plugins by, since Go refuses an empty name. */
const UNIX_HOST = 'plugin.moby.localhost';

/** The connections to one address: kept open, and never more than the agent allows. */
export class Transport {
  readonly #agent: http.Agent;
  readonly #target: http.RequestOptions & https.RequestOptions;
  readonly #secure: boolean;

  private constructor(agent: http.Agent, target: http.RequestOptions, secure: boolean) {
    this.#agent = agent;
    this.#target = target;
    this.#secure = secure;
  }

  /** @throws the error of a file of the TLS configuration that can't be read */
  static async to(address: PluginAddress, maxConnections: number): Promise<Transport> {
    const options = { keepAlive: true, maxSockets: maxConnections, maxFreeSockets: maxConnections };
    if (address.kind === 'unix') {
      const target = { socketPath: address.path, headers: { Host: UNIX_HOST } };
      return new Transport(new http.Agent(options), target, false);
    }
    const target = { host: address.host, port: address.port };
    if (address.tls === undefined) return new Transport(new http.Agent(options), target, false);
    const files = await readTls(address.tls);
    return new Transport(new https.Agent({ ...options, ...files }), target, true);
  }

  /** @throws FailedExchange */
  exchange(exchange: Exchange): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = (this.#secure ? https : http).request(this.#options(exchange));
      let status: number | undefined;
      const end = (): void => {
        clearTimeout(timer);
        exchange.signal?.removeEventListener('abort', onAbort);
      };
      const fail = (failure: FailedExchange['failure']): void => {
        end();
        request.destroy();
        reject(new FailedExchange(failure));
      };
      const onAbort = (): void => fail({ kind: 'aborted', cause: exchange.signal?.reason });
      const timer = setTimeout(() => {
        fail({ kind: 'late', limit: `${exchange.timeoutMs} ms` });
      }, exchange.timeoutMs);
      const broken = (error: Error): void =>
        fail(
          status === undefined ? failureOf(error, request.reusedSocket) : { kind: 'broken', cause: error },
        );
      request.on('error', broken);
      // An answer that is none (an upgrade, for one) ends the request without an error.
      request.on('close', () => broken(new Error('it hung up')));
      request.on('response', (response) => {
        status = response.statusCode ?? 0;
        collect(response, exchange.maxBodyBytes, {
          whole: (text) => {
            end();
            resolve({ status: status ?? 0, text });
          },
          tooLong: () => fail({ kind: 'too long', limit: `${exchange.maxBodyBytes} bytes` }),
          broken,
        });
      });
      if (exchange.signal?.aborted) return onAbort();
      exchange.signal?.addEventListener('abort', onAbort, { once: true });
      request.end(exchange.body);
    });
  }

  #options({ path, body }: Exchange): http.RequestOptions & https.RequestOptions {
    const length = body === undefined ? 0 : Buffer.byteLength(body);
    return {
      ...this.#target,
      agent: this.#agent,
      method: 'POST',
      path,
      headers: { ...this.#target.headers, Accept: CONTENT_TYPE, 'Content-Length': String(length) },
    };
  }

  /** Ends the connections. */
  close(): void {
    this.#agent.destroy();
  }
}

interface Outcome {
  whole(text: string): void;
  tooLong(): void;
  broken(error: Error): void;
}

function collect(response: http.IncomingMessage, maxBytes: number, outcome: Outcome): void {
  const declared = Number(response.headers['content-length'] ?? 0);
  if (declared > maxBytes) {
    outcome.tooLong();
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) outcome.tooLong();
    else chunks.push(chunk);
  });
  response.on('error', outcome.broken);
  response.on('end', () => outcome.whole(Buffer.concat(chunks).toString('utf8')));
}

async function readTls({ insecure, caFile, certFile, keyFile }: TlsFiles): Promise<https.AgentOptions> {
  const read = async (path: string | undefined) => (path === undefined ? undefined : readFile(path));
  const [ca, cert, key] = await Promise.all([read(caFile), read(certFile), read(keyFile)]);
  return {
    rejectUnauthorized: !insecure,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
