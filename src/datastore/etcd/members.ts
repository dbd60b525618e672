import { rootCertificates } from 'node:tls';
import type { Etcd3, IOptions } from 'etcd3';
import { LibnetworkError } from '../../errors.ts';
import type { Call } from '../remote/calls.ts';
import { Rotation } from '../remote/rotation.ts';
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

/** The clients of a cluster's members. */
export class Members {
  readonly #clients: readonly Etcd3[];
  readonly #rotation: Rotation;

  constructor(open: (options: IOptions) => Etcd3, options: CheckedEtcdOptions) {
    this.#clients = options.endpoints.map((endpoint) => open(clientOptions(endpoint, options)));
    this.#rotation = new Rotation(this.#clients.length, { kindOf: failureKind, word: etcdError });
  }

  /** As `Rotation.ask`. @throws UNAVAILABLE, FORBIDDEN, INVALID_ARGUMENT, INTERNAL, as `etcdError` words it */
  ask<T>(
    call: Call,
    kind: 'read' | 'write',
    request: (client: Etcd3, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    return this.#rotation.ask(call, kind, (member, timeoutMs) =>
      request(this.#client(member), { deadline: Date.now() + timeoutMs }),
    );
  }

  /** The member in use, for a stream; the caller says `failed` when it broke. */
  stream(): { readonly client: Etcd3; readonly options: CallOptions; readonly failed: () => void } {
    const member = this.#rotation.current;
    return {
      client: this.#client(member),
      options: { interceptors: [requireLeader] },
      failed: () => this.#rotation.leave(member),
    };
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #client(member: number): Etcd3 {
    const client = this.#clients[member];
    if (client === undefined) throw new LibnetworkError('INTERNAL', `etcd has no member ${member}`);
    return client;
  }
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
