import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/**
 * The part of Consul's HTTP API that the store uses, written from its documentation (KV store, transactions, sessions,
 * blocking queries) and its documented limits, since there is no Consul to install here. Kept strict: what the real
 * one refuses, this refuses.
 */
export class ConsulDouble {
  readonly #server: Server;
  readonly #state = new KvState();
  readonly #token: string | undefined;
  readonly port: number;
  /** While true, every request is answered as by an agent whose servers have no leader. */
  leaderless = false;

  private constructor(server: Server, port: number, token: string | undefined) {
    this.#server = server;
    this.port = port;
    this.#token = token;
  }

  static async start(options: { readonly token?: string } = {}): Promise<ConsulDouble> {
    const server = createServer((request, response) => void double.#serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the double has no port');
    const double = new ConsulDouble(server, address.port, options.token);
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** As a server whose state was restored from an older snapshot: indexes go back. */
  rewind(): void {
    this.#state.rewind();
  }

  async stop(): Promise<void> {
    this.#state.end();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const url = new URL(request.url ?? '/', this.endpoint);
      const answer = await this.#answer(request, url, Buffer.concat(parts), response);
      response.writeHead(answer.status, {
        'Content-Type': typeof answer.body === 'string' ? 'text/plain' : 'application/json',
        ...(answer.index !== undefined && { 'X-Consul-Index': `${answer.index}` }),
      });
      response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
    } catch (error) {
      // The client went away, or a defect of the double: seen as a failed request either way.
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    }
  }

  async #answer(request: IncomingMessage, url: URL, body: Buffer, response: ServerResponse): Promise<Answer> {
    if (this.leaderless) return { status: 500, body: 'No cluster leader' };
    if (this.#token !== undefined && request.headers['x-consul-token'] !== this.#token)
      return { status: 403, body: 'Permission denied' };
    const path = decodeURIComponent(url.pathname).replace(/^\/v1\//, '');
    if (request.method === 'GET' && path.startsWith('kv/')) return this.#read(path.slice(3), url, response);
    if (request.method !== 'PUT') return { status: 405, body: 'method not allowed' };
    if (path === 'txn') return this.#txn(body);
    const [room, verb, id = ''] = path.split('/');
    if (room !== 'session') return { status: 404, body: '' };
    if (verb === 'create') return this.#createSession(JSON.parse(body.toString()) as Record<string, unknown>);
    if (verb === 'renew')
      return this.#state.renew(id) ? { status: 200, body: [{ ID: id }] } : { status: 404, body: 'not found' };
    this.#state.destroy(id);
    return { status: 200, body: true };
  }

  async #read(key: string, url: URL, response: ServerResponse): Promise<Answer> {
    // The agent's check of keys (agent/kvs_endpoint.go of its newer versions).
    if (/[^A-Za-z0-9,\-_./]/.test(key) || key.startsWith('/') || key.includes('../') || key.includes('//'))
      return { status: 400, body: 'key contains invalid character' };
    if (/\.(js|css|html|json|txt|log|sh|xml)$/i.test(key))
      return { status: 400, body: 'suspicious extension' };
    const recurse = url.searchParams.has('recurse');
    const wait = Number(/^(\d+)s$/.exec(url.searchParams.get('wait') ?? '')?.[1] ?? 300);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const index = Number(url.searchParams.get('index') ?? 0);
    await this.#state.changeAfter(key, recurse, index, wait * 1_000, gone.signal);
    const found = this.#state.read(key, recurse);
    return {
      status: found.length > 0 ? 200 : 404,
      body: found.length > 0 ? found : '',
      index: this.#state.indexOf(key, recurse),
    };
  }

  #createSession(options: Record<string, unknown>): Answer {
    const ms = durationMs(options.TTL);
    if (ms === undefined || ms < 10_000 || ms > 86_400_000)
      return {
        status: 400,
        body: `Invalid Session TTL '${String(options.TTL)}', must be between [10s=24h0m0s]`,
      };
    if (options.Behavior !== 'delete' || options.LockDelay !== '0s')
      return { status: 400, body: 'the double knows Behavior delete and LockDelay 0s only' };
    return { status: 200, body: { ID: this.#state.createSession(ms) } };
  }

  #txn(body: Buffer): Answer {
    if (body.length > 524_288) return { status: 413, body: 'Request body too large, max size: 524288 bytes' };
    const steps = (JSON.parse(body.toString()) as { KV: Step }[]).map(({ KV }) => KV);
    if (steps.length > 64)
      return { status: 413, body: `Transaction contains too many operations (${steps.length} > 64)` };
    const outcome = this.#state.transact(steps);
    return { status: outcome.Errors === null ? 200 : 409, body: outcome };
  }
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly index?: number;
}

interface Step {
  readonly Verb: string;
  readonly Key: string;
  readonly Value?: string;
  readonly Index?: number;
  readonly Session?: string;
}

interface Pair {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly LockIndex: number;
  readonly Session?: string;
}

interface Outcome {
  readonly Results: { readonly KV: Pair }[] | null;
  readonly Errors: { readonly OpIndex: number; readonly What: string }[] | null;
}

class KvState {
  #pairs = new Map<string, Pair>();
  /** When a deleted key was deleted. */
  #tombstones = new Map<string, number>();
  #index = 10;
  readonly #sessions = new Map<string, { readonly ttlMs: number; timer: NodeJS.Timeout }>();
  readonly #waiters = new Set<() => void>();

  read(key: string, recurse: boolean): Pair[] {
    return [...this.#pairs.values()]
      .filter((pair) => (recurse ? pair.Key.startsWith(key) : pair.Key === key))
      .sort((a, b) => (a.Key < b.Key ? -1 : 1));
  }

  indexOf(key: string, recurse: boolean): number {
    const under = (each: string) => (recurse ? each.startsWith(key) : each === key);
    const indexes = [
      ...this.read(key, recurse).map((pair) => pair.ModifyIndex),
      ...[...this.#tombstones].filter(([each]) => under(each)).map(([, index]) => index),
    ];
    return indexes.length > 0 ? Math.max(...indexes) : this.#index;
  }

  /** Resolves when the index is beyond the given one (0: at once), the time is over, or nobody waits any more. */
  async changeAfter(
    key: string,
    recurse: boolean,
    index: number,
    ms: number,
    gone: AbortSignal,
  ): Promise<void> {
    const until = Date.now() + ms;
    while (index > 0 && this.indexOf(key, recurse) === index && Date.now() < until && !gone.aborted)
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          this.#waiters.delete(end);
          resolve();
        };
        const timer = setTimeout(end, Math.max(until - Date.now(), 1));
        this.#waiters.add(end);
        gone.addEventListener('abort', end, { once: true });
      });
  }

  transact(steps: readonly Step[]): Outcome {
    const before = { pairs: new Map(this.#pairs), tombstones: new Map(this.#tombstones) };
    const index = ++this.#index;
    const results: { KV: Pair }[] = [];
    const errors: { OpIndex: number; What: string }[] = [];
    steps.forEach((step, OpIndex) => {
      const result = this.#step(step, index);
      if (typeof result === 'string') errors.push({ OpIndex, What: result });
      else if (result !== undefined) results.push({ KV: { ...result, Value: null } });
    });
    if (errors.length > 0) {
      this.#pairs = before.pairs;
      this.#tombstones = before.tombstones;
      return { Results: null, Errors: errors };
    }
    this.#wake();
    return { Results: results, Errors: null };
  }

  /** What the step answers with, or why it fails. */
  #step(step: Step, index: number): Pair | string | undefined {
    const found = this.#pairs.get(step.Key);
    const at = found?.ModifyIndex ?? 0;
    switch (step.Verb) {
      case 'set':
        return this.#set(step, index, found?.Session);
      case 'cas':
        if (at !== (step.Index ?? 0)) return `failed to set key "${step.Key}", index is stale`;
        return this.#set(step, index, found?.Session);
      case 'lock':
        if (step.Session === undefined || !this.#sessions.has(step.Session))
          return `invalid session "${step.Session}"`;
        if (found?.Session !== undefined && found.Session !== step.Session)
          return `failed to lock key "${step.Key}", lock is already held`;
        return this.#set(step, index, step.Session);
      case 'delete':
        this.#delete(step.Key, index);
        return undefined;
      case 'check-index':
        if (found === undefined) return `key "${step.Key}" doesn't exist`;
        return at === step.Index ? found : `current modify index "${at}" does not match desired index`;
      case 'check-not-exists':
        return found === undefined ? undefined : `key "${step.Key}" exists`;
      default:
        return `unknown KV verb "${step.Verb}"`;
    }
  }

  #set(step: Step, index: number, session: string | undefined): Pair {
    const found = this.#pairs.get(step.Key);
    const pair = {
      Key: step.Key,
      Value: step.Value ?? null,
      Flags: 0,
      CreateIndex: found?.CreateIndex ?? index,
      ModifyIndex: index,
      LockIndex: (found?.LockIndex ?? 0) + (session !== undefined && found?.Session !== session ? 1 : 0),
      ...(session !== undefined && { Session: session }),
    };
    this.#pairs.set(step.Key, pair);
    this.#tombstones.delete(step.Key);
    return pair;
  }

  #delete(key: string, index: number): void {
    if (this.#pairs.delete(key)) this.#tombstones.set(key, index);
  }

  createSession(ttlMs: number): string {
    const id = randomUUID();
    this.#sessions.set(id, { ttlMs, timer: setTimeout(() => this.destroy(id), ttlMs) });
    return id;
  }

  renew(id: string): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    clearTimeout(session.timer);
    session.timer = setTimeout(() => this.destroy(id), session.ttlMs);
    return true;
  }

  destroy(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    clearTimeout(session.timer);
    this.#sessions.delete(id);
    const index = ++this.#index;
    for (const pair of [...this.#pairs.values()]) if (pair.Session === id) this.#delete(pair.Key, index);
    this.#wake();
  }

  rewind(): void {
    this.#index = 10;
    this.#tombstones.clear();
    this.#pairs = new Map([...this.#pairs].map(([key, pair]) => [key, { ...pair, ModifyIndex: 5 }]));
    this.#wake();
  }

  end(): void {
    for (const { timer } of this.#sessions.values()) clearTimeout(timer);
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}

/** Go's durations, as far as the store writes them. */
function durationMs(text: unknown): number | undefined {
  const [, number, unit] = /^(\d+)(ms|s)$/.exec(String(text)) ?? [];
  return number === undefined ? undefined : Number(number) * (unit === 's' ? 1_000 : 1);
}
