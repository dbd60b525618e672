import { LibnetworkError } from '../errors.ts';
import type { Firewall } from '../osl/firewall/firewall.ts';
import type { TcpListener, UdpSocket } from '../osl/osl.ts';
import { Allowances } from './allowed.ts';
import type { Transport } from './exchange.ts';
import { Forwarder } from './forward.ts';
import { emptyReply, parseQuery, type Query, RCODE, shorten, TYPE, udpLimit } from './message.ts';
import {
  checkLimits,
  newCounters,
  type ResolverCounters,
  type ResolverLimits,
  type ResolverOptions,
} from './options.ts';
import { RESOLVER_ADDRESS, type ResolverPorts, redirect } from './redirect.ts';
import { answerLocally, encodeReply, type LocalAnswer } from './reply.ts';
import { type Handler, serveTcp, serveUdp } from './server.ts';

export type {
  LimitOptions,
  Logger,
  ResolverCounters,
  ResolverLimits,
  ResolverOptions,
  Upstream,
} from './options.ts';

export { RESOLVER_ADDRESS } from './redirect.ts';

const DNS_PORT = 53;
const LONGEST_MESSAGE = 65_535;

/** The name server of one sandbox, running. */
export interface Resolver {
  readonly address: string;
  /** Where port 53 is redirected to. */
  readonly ports: ResolverPorts;
  /** What has happened since the start, as of now. */
  readonly counters: Readonly<ResolverCounters> & { readonly inFlight: number };
  /**
   * Frees the sockets. The redirection of port 53 stays unless `removeRules`: it ends with its namespace, and the
   * next `startResolver` there points it at its own ports. Twice is fine.
   */
  close(options?: { readonly removeRules?: boolean }): Promise<void>;
}

/**
 * Starts the name server of a sandbox: UDP and TCP on 127.0.0.11, reached at port 53.
 * @throws INVALID_ARGUMENT for a limit out of range; CONFLICT when port 53 is to be bound and is taken; kernel
 * errors as `kernelError` tells. Nothing stays behind then.
 */
export async function startResolver(options: ResolverOptions): Promise<Resolver> {
  const limits = checkLimits(options.limits);
  const server = new SandboxResolver(options, limits);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

class SandboxResolver implements Resolver {
  readonly address = RESOLVER_ADDRESS;
  readonly #options: ResolverOptions;
  readonly #limits: ResolverLimits;
  readonly #counters = newCounters();
  readonly #forwarder: Forwarder;
  readonly #allowances: Allowances;
  #udp: UdpSocket | undefined;
  #tcp: TcpListener | undefined;
  #firewall: Firewall | undefined;
  #connections = 0;
  #closed = false;

  constructor(options: ResolverOptions, limits: ResolverLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#allowances = new Allowances({ ...options, waitMs: limits.allowMs });
    this.#forwarder = new Forwarder({
      ...options,
      limits,
      counters: this.#counters,
      allowances: this.#allowances,
      self: RESOLVER_ADDRESS,
    });
  }

  get counters(): Readonly<ResolverCounters> & { readonly inFlight: number } {
    return Object.freeze({ ...this.#counters, inFlight: this.#forwarder.inFlight });
  }

  async start(): Promise<void> {
    const {
      namespace,
      firewallEngine: engine = 'nftables',
      firewallTable: table,
      sandboxId: id,
    } = this.#options;
    await this.#listen(engine === 'none' ? DNS_PORT : 0);
    if (engine === 'none' || table === undefined) return;
    this.#firewall = await namespace.firewall({ engine, table, latch: false });
    try {
      await redirect(this.#firewall, id, this.ports);
    } catch (error) {
      if (!LibnetworkError.is(error, 'NOT_IMPLEMENTED')) throw error;
      // Nothing can lead port 53 elsewhere in this kernel: the container can't have it for a server of its own.
      await this.#firewall.close();
      this.#firewall = undefined;
      this.#udp?.close();
      this.#tcp?.close();
      await this.#listen(DNS_PORT);
    }
  }

  async #listen(port: number): Promise<void> {
    const { namespace } = this.#options;
    this.#udp = await namespace.bindUdp(this.address, port);
    serveUdp(this.#udp, this.#handle, () => this.#closed);
    this.#tcp = await namespace.listenTcp(this.address, port, (stream) => {
      if (this.#connections >= this.#limits.tcpConnections) {
        this.#counters.tcpRefused++;
        stream.destroy();
        return;
      }
      this.#connections++;
      stream.once('close', () => this.#connections--);
      serveTcp(stream, this.#handle, this.#limits.tcpIdleMs);
    });
  }

  get ports(): ResolverPorts {
    return { udpPort: this.#udp?.port ?? 0, tcpPort: this.#tcp?.port ?? 0 };
  }

  async close({ removeRules = false }: { readonly removeRules?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#udp?.close();
    this.#tcp?.close();
    this.#forwarder.close();
    if (removeRules) await this.#firewall?.destroy();
    await this.#firewall?.close();
  }

  readonly #handle: Handler = (message, transport) => {
    this.#counters.queries++;
    const query = parseQuery(message);
    if (query.kind !== 'query') {
      this.#counters.malformed++;
      return query.kind === 'ignore' ? undefined : emptyReply(message, query.end, query.rcode, false);
    }
    try {
      return this.#answer(message, query, transport);
    } catch (error) {
      return this.#fail(message, query, error);
    }
  };

  #answer(message: Buffer, query: Query, transport: Transport): Buffer | Promise<Buffer> {
    const edns = query.edns !== undefined;
    // BADVERS is 16: 1 in the extended part, 0 in the header's (RFC 6891 6.1.3).
    if (query.edns !== undefined && query.edns.version > 0) return emptyReply(message, query.end, 0, true, 1);
    const { names, sandboxId, ndotsSet } = this.#options;
    const limit = transport === 'udp' ? udpLimit(query) : LONGEST_MESSAGE;
    const local = answerLocally(query, names, sandboxId);
    if (local !== undefined) {
      this.#counters.local++;
      return this.#whenReachable(message, query, local, limit);
    }
    const isAddress = query.type === TYPE.A || query.type === TYPE.AAAA;
    if (isAddress && !query.name.includes('.') && ndotsSet?.())
      return emptyReply(message, query.end, 0, edns);
    if (names.mayForward?.(sandboxId, query.name, 'sandbox') === false)
      return emptyReply(message, query.end, RCODE.NXDOMAIN, edns);
    return this.#forwarder.forward(message, query, transport).then(
      (reply) => shorten(reply, query.end, limit),
      (error: unknown) => this.#fail(message, query, error),
    );
  }

  /** The reply to a name that is known here: at once, unless its addresses are to be let through first. */
  #whenReachable(message: Buffer, query: Query, local: LocalAnswer, limit: number): Buffer | Promise<Buffer> {
    const { ttl, inFlight } = this.#limits;
    const reply = encodeReply(message, query, local, ttl, limit);
    if (local.kind !== 'addresses') return reply;
    const networks = this.#allowances.networks(query.name);
    if (networks.length === 0) return reply;
    if (this.#allowances.waiting >= inFlight) return this.#forwarder.refuse(message, query);
    const addresses = local.addresses.map((address) => ({ address, ttlSeconds: ttl }));
    return this.#allowances.tell(networks, query.name, addresses).then(
      () => reply,
      (error: unknown) => this.#fail(message, query, error),
    );
  }

  #fail(message: Buffer, query: Query, error: unknown): Buffer {
    this.#counters.failed++;
    this.#options.logger?.warn('a DNS question could not be answered', { name: query.name, error });
    return emptyReply(message, query.end, RCODE.SERVFAIL, query.edns !== undefined);
  }
}
