import { rootCertificates } from 'node:tls';
import type { Etcd3, IOptions } from 'etcd3';
import { LibnetworkError } from '../../errors.ts';
import type { Call, Calls } from '../remote/calls.ts';
import { Backoff } from '../remote/pause.ts';
import { etcdError, failureKind } from './failure.ts';
import type { CheckedEtcdOptions } from './options.ts';

type CallOptions = NonNullable<Parameters<Etcd3['kv']['range']>[1]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];
type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

/**
 * A member that answers no ping within this time is given up, so that a stream learns of a host that is gone or
 * hangs. etcd does not want pings more often than every 5 s.
 */
const PING_EVERY_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;

/** The members of a cluster. One is used until it fails; what was not done is asked of the next. */
export class Members {
  readonly #clients: readonly Etcd3[];
  #current = 0;

  constructor(open: (options: IOptions) => Etcd3, options: CheckedEtcdOptions) {
    this.#clients = options.endpoints.map((endpoint) => open(clientOptions(endpoint, options)));
  }

  /**
   * Asks until there is an answer or the call's deadline is over. A read is asked for again after every failure that
   * may pass, a write only when it is known not to have been done.
   * @throws UNAVAILABLE, FORBIDDEN, INVALID_ARGUMENT, INTERNAL, as `etcdError` words it
   */
  async ask<T>(
    call: Call,
    kind: 'read' | 'write',
    request: (client: Etcd3, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const backoff = new Backoff();
    for (let attempt = 1; ; attempt++) {
      const member = this.#current;
      try {
        return await request(this.#client(member), { deadline: Date.now() + this.#attemptMs(call) });
      } catch (error) {
        const failure = failureKind(error);
        if (failure !== 'final') this.#leave(member);
        const again = failure === 'unsent' || (failure === 'unknown' && kind === 'read');
        // Every member is asked once before the first pause.
        if (again && attempt % this.#clients.length === 0) await backoff.wait(call.signal);
        if (!again || call.signal.aborted || performance.now() >= call.deadline)
          throw etcdError(call.operation, error, kind === 'write');
      }
    }
  }

  /** The member in use, for a stream; the caller says `failed` when it broke. */
  stream(): { readonly client: Etcd3; readonly options: CallOptions; readonly failed: () => void } {
    const member = this.#current;
    return {
      client: this.#client(member),
      options: { interceptors: [requireLeader] },
      failed: () => this.#leave(member),
    };
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  /** A member that hangs must leave time for another. */
  #attemptMs(call: Call): number {
    const left = Math.max(call.deadline - performance.now(), 1);
    return this.#clients.length > 1 ? left / 2 : left;
  }

  #client(member: number): Etcd3 {
    const client = this.#clients[member];
    if (client === undefined) throw new LibnetworkError('INTERNAL', `etcd has no member ${member}`);
    return client;
  }

  /** Only if it is still the one in use: of many calls that failed on it, the first moves on. */
  #leave(member: number): void {
    if (this.#current === member) this.#current = (member + 1) % this.#clients.length;
  }
}

/** A call for what no caller waits for, such as a watch that reconnects. */
export function ownCall(operation: string, signal: AbortSignal, calls: Calls): Call {
  return { operation, signal, deadline: performance.now() + calls.timeoutMs };
}

/**
 * Asks etcd to end a stream when its member has lost the leader: cut off with a minority, it would stay silent for
 * ever. (`WithRequireLeader` of etcd's own client does the same.)
 */
const requireLeader: Interceptor = (options, next) => {
  const call = next(options);
  const start = call.start.bind(call);
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true');
    start(metadata, listener);
  };
  return call as ReturnType<Interceptor>;
};

function clientOptions(endpoint: string, options: CheckedEtcdOptions): IOptions {
  const { tls, auth, timeoutMs } = options;
  return {
    hosts: [endpoint],
    ...(endpoint.startsWith('https:') && { credentials: credentials(tls) }),
    ...(auth && { auth: { ...auth, callOptions: () => ({ deadline: Date.now() + (timeoutMs ?? 5_000) }) } }),
    // What may be tried again, and where, is decided above: the package would repeat writes that were done.
    faultHandling: { global: once(), host: once },
    grpcOptions: {
      'grpc.keepalive_time_ms': PING_EVERY_MS,
      'grpc.keepalive_timeout_ms': PING_TIMEOUT_MS,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    },
  };
}

function credentials(tls: CheckedEtcdOptions['tls']): NonNullable<IOptions['credentials']> {
  return {
    rootCertificate: pem(tls?.ca ?? rootCertificates.join('\n')),
    ...(tls?.key !== undefined && { privateKey: pem(tls.key) }),
    ...(tls?.cert !== undefined && { certChain: pem(tls.cert) }),
  };
}

function pem(text: string | Uint8Array): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : Buffer.from(text);
}

/** The package's fault handling, switched off: runs each call once. */
function once(): Policy {
  const nothing = () => ({ dispose: () => undefined });
  const never = new AbortController().signal;
  return {
    execute: async (act) => act({ signal: never }),
    onSuccess: nothing,
    onFailure: nothing,
    // Cockatiel reads this member's type only.
    _altReturn: undefined as never,
  };
}
