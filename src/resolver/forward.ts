import { formatAddress, fromBytes } from '../ip.ts';
import type { Allowances, AllowedAddress } from './allowed.ts';
import { Cache, positive } from './cache.ts';
import { Dialer, type Exchange, type Outcome, type Server, serverAt, type Transport } from './exchange.ts';
import { Health } from './health.ts';
import { emptyReply, findRecords, isTruncated, type Query, RCODE, rcodeOf, TYPE } from './message.ts';
import type { Logger, ResolverCounters, ResolverLimits, ResolverOptions, Upstream } from './options.ts';

/** At most this many servers are used, as in resolv.conf(5). */
const MOST_SERVERS = 3;

interface Target extends Server {
  readonly key: string;
  readonly dialer: Dialer;
}

type Answer = { readonly reply: Buffer } | { readonly rcode: number };

export interface ForwarderOptions
  extends Pick<ResolverOptions, 'namespace' | 'sandboxId' | 'names' | 'dial' | 'upstreams' | 'logger'> {
  readonly limits: ResolverLimits;
  readonly counters: ResolverCounters;
  readonly allowances: Allowances;
  /** Where we listen ourselves, never asked. */
  readonly self: string;
}

/** Passes questions on to other servers, and their answers back, both as they are but for the id. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #limits: ResolverLimits;
  readonly #counters: ResolverCounters;
  readonly #logger: Logger | undefined;
  readonly #sandbox: Dialer;
  readonly #host: Dialer | undefined;
  readonly #health = new Health();
  readonly #cache: Cache;
  readonly #underWay = new Map<string, Promise<Answer>>();
  #waiting = 0;
  #warnedAt = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#counters = options.counters;
    this.#logger = options.logger;
    this.#cache = new Cache(options.limits.cacheEntries);
    this.#sandbox = new Dialer(options.namespace);
    this.#host = options.dial && new Dialer(options.dial);
  }

  /** Questions that wait for an answer now. */
  get inFlight(): number {
    return this.#waiting;
  }

  /**
   * The answer to a query, with the query's id. From the cache where it is there. Over the limit REFUSED, and
   * SERVFAIL where no server has an answer. @throws what keeps an allowed name from being let through
   */
  async forward(message: Buffer, query: Query, transport: Transport): Promise<Buffer> {
    const key = message.toString('latin1', 2);
    const cached = this.#cache.get(key);
    const isAtOnce = cached !== undefined && this.#options.allowances.networks(query.name).length === 0;
    if (!isAtOnce && this.#waiting >= this.#limits.inFlight) return this.refuse(message, query);
    this.#waiting++;
    try {
      if (cached !== undefined) {
        this.#counters.cached++;
        if (!isAtOnce) await this.#letThrough(query.name, cached);
        cached.writeUInt16BE(query.id, 0);
        return cached;
      }
      const answer = await this.#shared(key, message, query, transport);
      if ('rcode' in answer) return emptyReply(message, query.end, answer.rcode, query.edns !== undefined);
      const reply = Buffer.from(answer.reply);
      reply.writeUInt16BE(query.id, 0);
      return reply;
    } finally {
      this.#waiting--;
    }
  }

  close(): void {
    this.#sandbox.close();
    this.#host?.close();
  }

  /** The answer to what is over the limit of questions in flight. */
  refuse(message: Buffer, query: Query): Buffer {
    this.#counters.refused++;
    const now = Date.now();
    if (now - this.#warnedAt > 2000) {
      this.#warnedAt = now;
      this.#logger?.warn('more forwarded DNS questions in flight than allowed: refusing', {
        limit: 'dns.inFlight',
        value: this.#limits.inFlight,
      });
    }
    return emptyReply(message, query.end, RCODE.REFUSED, query.edns !== undefined);
  }

  /** Questions that are the same but for their id are asked once. */
  #shared(question: string, message: Buffer, query: Query, transport: Transport): Promise<Answer> {
    const key = `${transport} ${question}`;
    const found = this.#underWay.get(key);
    if (found !== undefined) {
      this.#counters.shared++;
      return found;
    }
    this.#counters.forwarded++;
    const asking = this.#ask(question, Buffer.from(message), query, transport);
    this.#underWay.set(key, asking);
    return asking.finally(() => this.#underWay.delete(key));
  }

  async #ask(question: string, message: Buffer, query: Query, transport: Transport): Promise<Answer> {
    const servers = this.#health.order(this.#targets(query.name), (target) => target.key);
    const answer = await this.#race(servers, message, query.end, transport);
    if (answer === undefined) {
      this.#counters.failed++;
      return { rcode: RCODE.SERVFAIL };
    }
    const { target, reply } = answer;
    const isCut = transport === 'udp' && isTruncated(reply);
    const whole = isCut ? await this.#whole(target, message, query.end, reply) : reply;
    await this.#letThrough(query.name, whole);
    this.#cache.set(question, whole);
    return { reply: whole };
  }

  /** Has the networks let the addresses of an answer through that allow its name. */
  async #letThrough(name: string, reply: Buffer): Promise<void> {
    const { allowances } = this.#options;
    const networks = allowances.networks(name);
    if (networks.length > 0) await allowances.tell(networks, name, addressesIn(reply));
  }

  /** The servers that may be asked, at most three. */
  #targets(name: string): readonly Target[] {
    const targets: Target[] = [];
    const { names, sandboxId, upstreams } = this.#options;
    const mayAskHost = names.mayForward?.(sandboxId, name, 'host') ?? true;
    for (const upstream of upstreams()) {
      const target = this.#target(upstream, mayAskHost);
      if (target !== undefined && targets.length < MOST_SERVERS) targets.push(target);
    }
    return targets;
  }

  /** Nothing leaves by the host's network unless it may; and never do we ask ourselves. */
  #target({ address, port = 53, from }: Upstream, mayAskHost: boolean): Target | undefined {
    const server = serverAt(address, port);
    if (from === 'host')
      return mayAskHost && this.#host !== undefined
        ? { ...server, key: `host ${server.address} ${port}`, dialer: this.#host }
        : undefined;
    if (server.address === this.#options.self) return undefined;
    return { ...server, key: `sandbox ${server.address} ${port}`, dialer: this.#sandbox };
  }

  /**
   * Asks one server after the other: the next when one fails or refuses, and beside the former ones when they are
   * slow. The first answer that is no failure wins. Servers that stay silent are asked a second time.
   */
  #race(
    servers: readonly Target[],
    message: Buffer,
    end: number,
    transport: Transport,
  ): Promise<{ reply: Buffer; target: Target } | undefined> {
    return new Promise((resolve) => {
      const plan = [...servers, ...servers];
      const refused = new Set<Target>();
      const open = new Map<Exchange, Target>();
      let timer: NodeJS.Timeout | undefined;
      const finish = (winner: { reply: Buffer; target: Target } | undefined) => {
        clearTimeout(timer);
        plan.length = 0;
        for (const [exchange, target] of [...open]) this.#abandon(exchange, target);
        open.clear();
        resolve(winner);
      };
      const next = () => {
        clearTimeout(timer);
        const target = plan.shift();
        if (target === undefined) return open.size === 0 ? finish(undefined) : undefined;
        if (refused.has(target)) return next();
        const exchange = target.dialer.ask(target, message, end, transport, this.#limits.timeoutMs);
        open.set(exchange, target);
        timer = setTimeout(next, this.#limits.retryMs);
        exchange.outcome.then((outcome) => {
          if (!open.delete(exchange)) return;
          this.#judge(target, outcome);
          if (outcome.kind === 'reply' && !isFailure(outcome.reply))
            return finish({ reply: outcome.reply, target });
          if (outcome.kind !== 'timeout') refused.add(target);
          next();
        });
      };
      next();
    });
  }

  #judge(target: Target, outcome: Outcome): void {
    if (outcome.kind === 'reply') this.#health.answered(target.key);
    else this.#miss(target);
  }

  /** Another server was faster; to have been silent for longer than the retry time counts as a miss. */
  #abandon(exchange: Exchange, target: Target): void {
    if (Date.now() - exchange.startedAt >= this.#limits.retryMs) this.#miss(target);
    exchange.end({ kind: 'timeout' });
  }

  #miss(target: Target): void {
    this.#counters.missed++;
    if (this.#health.missed(target.key))
      this.#logger?.warn('a DNS server does not answer: it is asked last for 30 s', {
        address: target.address,
        port: target.port,
      });
  }

  /** A truncated answer again by TCP, so that a client gets all that it can take; the truncated one if that fails. */
  async #whole(target: Target, message: Buffer, end: number, truncated: Buffer): Promise<Buffer> {
    this.#counters.tcpRetries++;
    const outcome = await target.dialer.ask(target, message, end, 'tcp', this.#limits.timeoutMs).outcome;
    return outcome.kind === 'reply' && !isFailure(outcome.reply) ? outcome.reply : truncated;
  }
}

/** Such an answer is about the server, not about the name: another one may know. */
function isFailure(reply: Buffer): boolean {
  const rcode = rcodeOf(reply);
  return rcode === RCODE.SERVFAIL || rcode === RCODE.REFUSED;
}

/** The addresses in an answer, also behind aliases. */
function addressesIn(reply: Buffer): readonly AllowedAddress[] {
  const places = (findRecords(reply) ?? []).filter(
    ({ section, type, dataAt, end }) =>
      section === 'answer' &&
      ((type === TYPE.A && end - dataAt === 4) || (type === TYPE.AAAA && end - dataAt === 16)),
  );
  return places.map(({ dataAt, end, ttl }) => ({
    address: formatAddress(fromBytes(reply.subarray(dataAt, end))),
    ttlSeconds: positive(ttl),
  }));
}
