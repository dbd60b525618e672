/** A typed client of dnet's own API. */
import type { Finding } from '../api/doctor.ts';
import type { ExplainRequest, Explanation } from '../api/explain.ts';
import type { ApiEvent } from '../api/journal.ts';
import type { FirewallView } from '../api/native/firewall.ts';
import type { EndpointView, HealthView, NetworkView, PortView, SandboxView } from '../api/native/views.ts';
import type { Statistics } from '../api/statistics.ts';
import { LibnetworkError } from '../errors.ts';
import type {
  ClusterHost,
  EndpointChanges,
  EndpointOptions,
  Inspection,
  NetworkChanges,
  NetworkOptions,
  ReconcileReport,
  SandboxOptions,
} from '../index.ts';
import { type AskOptions, errorOf, type Transport } from './transport.ts';

export type {
  ApiEvent,
  ClusterHost,
  EndpointView,
  ExplainRequest,
  Explanation,
  Finding,
  FirewallView,
  HealthView,
  Inspection,
  NetworkOptions,
  NetworkView,
  PortView,
  ReconcileReport,
  SandboxView,
  Statistics,
};

const BASE = '/dnet/v1';

/** Every call throws a `LibnetworkError` with the daemon's code and facts; UNAVAILABLE when it can't be reached. */
export class Client {
  readonly #transport: Transport;
  readonly #options: AskOptions;

  constructor(transport: Transport, options: AskOptions = {}) {
    this.#transport = transport;
    this.#options = options;
  }

  health(): Promise<HealthView> {
    return this.#ask('GET', '/health');
  }
  networks(): Promise<NetworkView[]> {
    return this.#ask('GET', '/networks');
  }
  network(name: string): Promise<NetworkView> {
    return this.#ask('GET', `/networks/${part(name)}`);
  }
  createNetwork(options: NetworkOptions): Promise<NetworkView> {
    return this.#ask('POST', '/networks', options);
  }
  updateNetwork(name: string, changes: NetworkChanges): Promise<NetworkView> {
    return this.#ask('PATCH', `/networks/${part(name)}`, changes);
  }
  deleteNetwork(name: string): Promise<void> {
    return this.#ask('DELETE', `/networks/${part(name)}`);
  }

  endpoints(network?: string): Promise<EndpointView[]> {
    return this.#ask('GET', network === undefined ? '/endpoints' : `/networks/${part(network)}/endpoints`);
  }
  endpoint(network: string, name: string): Promise<EndpointView> {
    return this.#ask('GET', endpointPath(network, name));
  }
  createEndpoint(network: string, options: EndpointOptions): Promise<EndpointView> {
    return this.#ask('POST', `/networks/${part(network)}/endpoints`, options);
  }
  updateEndpoint(network: string, name: string, changes: EndpointChanges): Promise<EndpointView> {
    return this.#ask('PATCH', endpointPath(network, name), changes);
  }
  deleteEndpoint(network: string, name: string, options: { readonly force?: boolean } = {}): Promise<void> {
    return this.#ask('DELETE', `${endpointPath(network, name)}${options.force ? '?force=true' : ''}`);
  }
  join(
    network: string,
    name: string,
    options: {
      readonly sandbox: string;
      readonly aliases?: readonly string[];
      /** `container:alias`: names that this sandbox alone knows, as long as it is joined. */
      readonly links?: readonly string[];
      readonly priority?: number;
    },
  ): Promise<EndpointView> {
    return this.#ask('POST', `${endpointPath(network, name)}/join`, options);
  }
  leave(network: string, name: string, sandbox: string): Promise<EndpointView> {
    return this.#ask('POST', `${endpointPath(network, name)}/leave`, { sandbox });
  }

  sandboxes(): Promise<SandboxView[]> {
    return this.#ask('GET', '/sandboxes');
  }
  sandbox(name: string): Promise<SandboxView> {
    return this.#ask('GET', `/sandboxes/${part(name)}`);
  }
  createSandbox(options: SandboxOptions): Promise<SandboxView> {
    return this.#ask('POST', '/sandboxes', options);
  }
  setKey(name: string, path: string): Promise<SandboxView> {
    return this.#ask('POST', `/sandboxes/${part(name)}/key`, { path });
  }
  deleteSandbox(name: string): Promise<void> {
    return this.#ask('DELETE', `/sandboxes/${part(name)}`);
  }

  ports(): Promise<PortView[]> {
    return this.#ask('GET', '/ports');
  }
  firewall(without?: string): Promise<FirewallView> {
    return this.#ask('GET', `/firewall${without === undefined ? '' : `?without=${part(without)}`}`);
  }
  explain(request: ExplainRequest): Promise<Explanation> {
    return this.#ask('POST', '/firewall/explain', request);
  }
  reconcile(options: { readonly dryRun?: boolean } = {}): Promise<ReconcileReport> {
    return this.#ask('POST', '/reconcile', options);
  }
  inspect(): Promise<Inspection> {
    return this.#ask('GET', '/inspect');
  }
  statistics(): Promise<Statistics> {
    return this.#ask('GET', '/stats');
  }
  examine(): Promise<Finding[]> {
    return this.#ask('GET', '/doctor');
  }

  /** The hosts of the cluster. */
  hosts(): Promise<ClusterHost[]> {
    return this.#ask('GET', '/hosts');
  }
  /** Resolves when all hosts encrypt with a new key. */
  rotateKeys(): Promise<void> {
    return this.#ask('POST', '/keys/rotate');
  }

  /** Events from a time on, in milliseconds since 1970; with `follow` those to come as well, without an end. */
  async *events(options: {
    readonly since?: number | undefined;
    readonly follow?: boolean;
    readonly signal?: AbortSignal;
  }): AsyncGenerator<ApiEvent> {
    const { since, follow = true, signal } = options;
    const query = new URLSearchParams({ follow: String(follow) });
    if (since !== undefined) query.set('since', String(since));
    const chunks = await this.#transport.follow(`${BASE}/events?${query}`, { ...this.#options, signal });
    let rest = '';
    for await (const chunk of chunks) {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield JSON.parse(line) as ApiEvent;
    }
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.#transport.ask(method, `${BASE}${path}`, body, this.#options);
    if (answer.status >= 400) throw errorOf(answer);
    if (answer.text === '') return undefined as T;
    try {
      return JSON.parse(answer.text) as T;
    } catch (error) {
      throw new LibnetworkError('INTERNAL', `the answer to ${method} ${path} is no JSON`, { cause: error });
    }
  }
}

/** A name as one part of a path, whatever is in it. @throws INVALID_ARGUMENT for what could be none */
function part(name: string): string {
  if (name !== '' && name !== '.' && name !== '..') return encodeURIComponent(name);
  throw new LibnetworkError('INVALID_ARGUMENT', `a name is needed, got ${JSON.stringify(name)}`, {
    value: name,
  });
}

function endpointPath(network: string, name: string): string {
  return `/networks/${part(network)}/endpoints/${part(name)}`;
}
