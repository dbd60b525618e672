import { invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
import type { Advertisement, Discovery, DiscoveryWaits, Host, HostEvent } from './discovery.ts';
import { checkHost } from './host.ts';

/**
 * A fixed list of hosts, all counted as living. Advertising a host of the list makes it the own one.
 * @throws INVALID_ARGUMENT for a host that can't be right, or an id that is there twice
 */
export function staticDiscovery(hosts: readonly Host[]): Discovery {
  const checked = hosts.map(checkHost).sort((a, b) => (a.id < b.id ? -1 : 1));
  const twice = checked.find((host, i) => checked[i + 1]?.id === host.id);
  if (twice !== undefined) throw invalid('hosts', twice.id, 'must name each host once');
  return new StaticDiscovery(Object.freeze(checked));
}

class StaticDiscovery implements Discovery {
  readonly #hosts: readonly Host[];
  readonly #closed = new AbortController();
  readonly #own = new Set<string>();

  constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
  }

  async hosts(options?: DiscoveryWaits): Promise<readonly Host[]> {
    this.#admit(options);
    return this.#hosts;
  }

  watch(options?: DiscoveryWaits): AsyncIterable<HostEvent> {
    this.#admit(options);
    return this.#watch(AbortSignal.any([this.#closed.signal, ...(options?.signal ? [options.signal] : [])]));
  }

  async *#watch(over: AbortSignal): AsyncGenerator<HostEvent> {
    for (const host of this.#hosts) {
      if (over.aborted) return;
      yield { type: 'join', host, self: this.#own.has(host.id) };
    }
    if (!over.aborted)
      await new Promise<void>((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));
  }

  async advertise(host: Host, options?: DiscoveryWaits): Promise<Advertisement> {
    this.#admit(options);
    const { id, address } = checkHost(host);
    const listed = this.#hosts.find((each) => each.id === id);
    if (listed?.address !== address)
      throw invalid(
        'host',
        host,
        `must be one of the list (${this.#hosts.map((each) => each.id).join(', ')})`,
      );
    this.#own.add(id);
    return { host: listed, live: true, withdraw: async () => undefined };
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  #admit(options: DiscoveryWaits | undefined): void {
    if (this.#closed.signal.aborted) throw new LibnetworkError('UNAVAILABLE', 'discovery is closed');
    throwIfAborted(options?.signal);
  }
}
