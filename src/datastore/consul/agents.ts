import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { LibnetworkError } from '../../errors.ts';
import type { Call } from '../remote/calls.ts';
import { Rotation } from '../remote/rotation.ts';
import { ConsulRefusal, consulError, failureKind } from './failure.ts';
import type { CheckedConsulOptions } from './options.ts';

export interface ConsulRequest {
  readonly method: 'GET' | 'PUT';
  /** Without `/v1/`; keys in it are already of the alphabet that needs no escape. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Answers beside 200 that are none of failure. */
  readonly accept?: readonly number[];
}

export interface ConsulAnswer {
  readonly status: number;
  /** `X-Consul-Index`, where there is one. */
  readonly index: number;
  readonly body: unknown;
}

/** The HTTP API of Consul's agents. */
export class Agents {
  readonly #options: CheckedConsulOptions;
  readonly #rotation: Rotation;
  readonly #connections: HttpAgent | HttpsAgent;

  constructor(options: CheckedConsulOptions) {
    this.#options = options;
    this.#rotation = new Rotation(options.endpoints.length, { kindOf: failureKind, word: consulError });
    const secure = options.endpoints[0]?.protocol === 'https:';
    this.#connections = secure
      ? new HttpsAgent({ keepAlive: true, ...secrets(options) })
      : new HttpAgent({ keepAlive: true });
  }

  /** As `Rotation.ask`. @throws UNAVAILABLE, FORBIDDEN, INVALID_ARGUMENT, INTERNAL, as `consulError` words it */
  ask(call: Call, kind: 'read' | 'write', request: ConsulRequest): Promise<ConsulAnswer> {
    return this.#rotation.ask(call, kind, (member, timeoutMs) =>
      this.#send(member, request, AbortSignal.any([call.signal, AbortSignal.timeout(Math.ceil(timeoutMs))])),
    );
  }

  /** One request that may wait for long, at the agent in use. */
  async wait(request: ConsulRequest, signal: AbortSignal): Promise<ConsulAnswer> {
    const member = this.#rotation.current;
    try {
      return await this.#send(member, request, signal);
    } catch (error) {
      if (failureKind(error) !== 'final') this.#rotation.leave(member);
      throw error;
    }
  }

  close(): void {
    this.#connections.destroy();
  }

  async #send(member: number, request: ConsulRequest, signal: AbortSignal): Promise<ConsulAnswer> {
    const base = this.#options.endpoints[member];
    if (base === undefined) throw new LibnetworkError('INTERNAL', `Consul has no agent ${member}`);
    const url = new URL(`/v1/${request.path}`, base);
    const { token, datacenter } = this.#options;
    for (const [name, value] of Object.entries(request.query ?? {})) url.searchParams.set(name, value);
    if (datacenter !== undefined) url.searchParams.set('dc', datacenter);
    const message = await exchange(url, {
      method: request.method,
      headers: token === undefined ? {} : { 'X-Consul-Token': token },
      agent: this.#connections,
      signal,
      body: request.body === undefined ? undefined : JSON.stringify(request.body),
    });
    const text = await read(message);
    const status = message.statusCode ?? 0;
    if (status !== 200 && !request.accept?.includes(status)) throw new ConsulRefusal(status, text);
    const index = Number(message.headers['x-consul-index'] ?? 0);
    return {
      status,
      index,
      body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined,
    };
  }
}

interface Exchange {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly agent: HttpAgent | HttpsAgent;
  readonly signal: AbortSignal;
  readonly body: string | undefined;
}

function exchange(url: URL, { body, ...options }: Exchange): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, options, resolve);
    request.on('error', reject);
    request.end(body);
  });
}

async function read(message: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

function secrets({ tls }: CheckedConsulOptions) {
  const buffer = (text: string | Uint8Array): string | Buffer =>
    typeof text === 'string' ? text : Buffer.from(text);
  return {
    ...(tls?.ca !== undefined && { ca: buffer(tls.ca) }),
    ...(tls?.cert !== undefined && { cert: buffer(tls.cert) }),
    ...(tls?.key !== undefined && { key: buffer(tls.key) }),
  };
}
