/** Calls to one plugin: bounded in number, time and size, tried again where that is safe, with typed errors. */
import { ERROR_CODES, type ErrorCode, type ErrorFacts, LibnetworkError, throwIfAborted } from '../errors.ts';
import type { PluginAddress } from './address.ts';
import { showAddress } from './address.ts';
import { backoff, mayRetry, pause } from './backoff.ts';
import { type ExchangeFailure, FailedExchange, PluginRefusal } from './failure.ts';
import { firstJson, oneLine, read } from './json.ts';
import { refusal } from './messages/common.ts';
import type { PluginSettings } from './options.ts';
import { Slots } from './slots.ts';
import { type Answer, Transport } from './transport.ts';

export interface PluginWaits {
  readonly signal?: AbortSignal | undefined;
}

const CODES: ReadonlySet<unknown> = new Set(ERROR_CODES);

/** Whether the plugin answers at all. One that does not must not make every caller wait anew. */
interface Health {
  /** Grows with each answer, whatever it says. */
  answers: number;
  /** It let a call time out and answered nobody meanwhile: until then nobody waits for it. */
  restsUntil: number;
  /** A whole budget of retries was of no use: until it answers, each call is one try. */
  unreachable: boolean;
}

export class PluginClient {
  readonly name: string;
  readonly address: PluginAddress;
  readonly #transport: Transport;
  readonly #settings: PluginSettings;
  readonly #slots: Slots;
  readonly #starting: () => boolean;
  readonly #health: Health = { answers: 0, restsUntil: 0, unreachable: false };

  private constructor(
    name: string,
    address: PluginAddress,
    transport: Transport,
    settings: PluginSettings,
    starting: () => boolean,
  ) {
    this.name = name;
    this.address = address;
    this.#transport = transport;
    this.#settings = settings;
    this.#starting = starting;
    this.#slots = new Slots(settings.maxConnections, settings.maxWaiting);
  }

  /**
   * A client of the plugin at an address. While `starting` says so it tries nothing twice.
   * @throws UNAVAILABLE when a file of its TLS configuration can't be read
   */
  static async to(
    name: string,
    address: PluginAddress,
    settings: PluginSettings,
    starting: () => boolean = () => false,
  ): Promise<PluginClient> {
    try {
      const transport = await Transport.to(address, settings.maxConnections);
      return new PluginClient(name, address, transport, settings, starting);
    } catch (error) {
      const message = `plugin ${name} can't be spoken to over TLS: ${messageOf(error)}`;
      throw new LibnetworkError('UNAVAILABLE', message, { cause: error });
    }
  }

  /** False where it has let its callers wait in vain: then it may be somewhere else by now. */
  get healthy(): boolean {
    return !this.#health.unreachable && this.#health.restsUntil <= Date.now();
  }

  /**
   * Calls a method (`NetworkDriver.Join`) and answers with the JSON that came back. Without `args` the request has no
   * body.
   * @throws PluginRefusal where the plugin says no; UNAVAILABLE when it can't be reached; TIMEOUT; ABORTED; FORBIDDEN
   * when its socket may not be opened; INTERNAL for an answer that is too long, or none
   */
  async call(method: string, args: object | undefined, waits: PluginWaits = {}): Promise<unknown> {
    const what = `${method} of plugin ${this.name}`;
    const body = args === undefined ? undefined : `${JSON.stringify(args)}\n`;
    const { status, text } = await this.#answer(what, `/${method}`, body, waits.signal);
    if (status !== 200) throw refusedByStatus(method, status, text);
    const value = firstJson(text, what);
    const { Err, Error: error, ...facts } = read(refusal, value, what, 'INTERNAL');
    const said = Err || error;
    if (said === '') return value;
    throw new PluginRefusal(codeOf(facts.Code), `remote: ${oneLine(said)}`, {
      operation: what,
      status,
      ...factsOf(facts),
    });
  }

  async #answer(
    what: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const began = Date.now();
    let stale = 0;
    for (let retries = 0; ; ) {
      throwIfAborted(signal);
      const failed = await this.#attempt(what, path, body, signal);
      if ('status' in failed) return failed;
      if (failed.kind !== 'unreachable') throw this.#errorOf(what, failed);
      // The plugin closed a connection that was open from before: that says nothing about it.
      if (failed.reused && stale++ < this.#settings.maxConnections) continue;
      const delay = backoff(retries++, this.#settings.retryDelayMs);
      const budget = this.#starting() || this.#health.unreachable ? 0 : this.#settings.retryBudgetMs;
      if (!mayRetry(Date.now() - began, delay, budget)) {
        this.#health.unreachable = true;
        throw this.#errorOf(what, failed);
      }
      await pause(delay, signal);
    }
  }

  async #attempt(
    what: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Answer | ExchangeFailure> {
    const release = await this.#slots.take(signal);
    const health = this.#health;
    const { answers } = health;
    try {
      if (Date.now() < health.restsUntil) throw this.#resting(what);
      const { timeoutMs, startTimeoutMs, maxBodyBytes } = this.#settings;
      const limit = this.#starting() ? Math.min(timeoutMs, startTimeoutMs) : timeoutMs;
      const answer = await this.#transport.exchange({ path, body, timeoutMs: limit, maxBodyBytes, signal });
      health.answers++;
      health.unreachable = false;
      health.restsUntil = 0;
      return answer;
    } catch (error) {
      if (!(error instanceof FailedExchange)) throw error;
      if (error.failure.kind === 'late' && health.answers === answers)
        health.restsUntil = Date.now() + this.#settings.restMs;
      return error.failure;
    } finally {
      release();
    }
  }

  #resting(what: string): LibnetworkError {
    return new LibnetworkError(
      'UNAVAILABLE',
      `${what}: the plugin has not answered for a while, and is left alone for ${this.#settings.restMs} ms`,
      { operation: what, limit: 'plugins.restMs' },
    );
  }

  #errorOf(what: string, failure: ExchangeFailure): LibnetworkError {
    const at = showAddress(this.address);
    const facts = { operation: what };
    switch (failure.kind) {
      case 'unreachable':
        return new LibnetworkError(
          'UNAVAILABLE',
          `${what}: nobody answers at ${at}: ${failure.cause.message}`,
          { ...facts, ...errnoOf(failure.cause), cause: failure.cause },
        );
      case 'forbidden':
        return new LibnetworkError('FORBIDDEN', `${what}: ${at} may not be opened`, {
          ...facts,
          ...errnoOf(failure.cause),
          cause: failure.cause,
        });
      case 'distrusted':
        return new LibnetworkError(
          'FORBIDDEN',
          `${what}: ${at} and this host do not trust each other: ${oneLine(failure.cause.message)}; check the TLSConfig of its spec`,
          { ...facts, cause: failure.cause },
        );
      case 'broken':
        return new LibnetworkError(
          'INTERNAL',
          `${what}: the answer of ${at} broke off or is not HTTP: ${oneLine(failure.cause.message)}`,
          { ...facts, cause: failure.cause },
        );
      case 'late':
        return new LibnetworkError('TIMEOUT', `${what}: no whole answer within ${failure.limit}`, {
          ...facts,
          limit: 'plugins.timeoutMs',
        });
      case 'too long':
        return new LibnetworkError('INTERNAL', `${what}: the answer is longer than ${failure.limit}`, {
          ...facts,
          limit: 'plugins.maxBodyBytes',
        });
      case 'aborted':
        return new LibnetworkError('ABORTED', 'the operation was aborted', { cause: failure.cause });
    }
  }

  close(): void {
    this.#transport.close();
  }
}

/** The text of an answer that is not 200: its `Err`, or all of it. */
function refusedByStatus(method: string, status: number, text: string): PluginRefusal {
  let said = text;
  let facts: ErrorFacts = {};
  let code: ErrorCode = 'INTERNAL';
  try {
    const { Err, Error: error, ...rest } = read(refusal, firstJson(text, method), method, 'INTERNAL');
    said = Err || error || text;
    facts = factsOf(rest);
    code = codeOf(rest.Code);
  } catch (error) {
    // It need not be JSON: a proxy's page of HTML is a refusal too.
    if (!LibnetworkError.is(error)) throw error;
  }
  const shown = oneLine(said) || `status ${status}`;
  return new PluginRefusal(code, `${method}: ${shown}`, { operation: method, status, ...facts });
}

function codeOf(said: unknown): ErrorCode {
  return CODES.has(said) ? (said as ErrorCode) : 'INTERNAL';
}

function factsOf(said: {
  readonly Field?: unknown;
  readonly Holder?: unknown;
  readonly Limit?: unknown;
}): ErrorFacts {
  const { Field, Holder, Limit } = said;
  return {
    ...(typeof Field === 'string' ? { field: oneLine(Field) } : {}),
    ...(typeof Holder === 'string' ? { holder: oneLine(Holder) } : {}),
    ...(typeof Limit === 'string' ? { limit: oneLine(Limit) } : {}),
  };
}

function errnoOf(error: Error): { errno?: string } {
  return 'code' in error && typeof error.code === 'string' ? { errno: error.code } : {};
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
