import type { DriverEndpoint, Logger, PortBinding, PortRequest } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import type { EndpointId } from '../../ids.ts';
import type { Firewall } from '../../osl/firewall/firewall.ts';
import type { Namespace, ProxyTarget } from '../../osl/osl.ts';
import { type HoldRequest, holdPorts } from '../../osl/portmap/index.ts';
import type { BridgeConfig } from './config.ts';
import { flowsOfChange, flush } from './flows.ts';
import { endpointIntent } from './intents.ts';
import { answers, type Families, proxyTarget, type Wanted, wantedPorts } from './requests.ts';

/** A published port; the host's port, where it has one, is held until it is released. */
interface Published {
  readonly binding: PortBinding;
  release(): void;
}

/** The published ports of a driver's endpoints: held on the host, and led to the container by the firewall. */
export class Ports {
  readonly #host: Namespace;
  readonly #firewall: Firewall;
  readonly #logger: Logger;
  readonly #published = new Map<EndpointId, readonly Published[]>();

  constructor(host: Namespace, firewall: Firewall, logger: Logger) {
    this.#host = host;
    this.#firewall = firewall;
    this.#logger = logger;
  }

  /** Makes the endpoint's published ports those of the families given, all or nothing; answers with them. */
  async publish(
    config: BridgeConfig,
    endpoint: DriverEndpoint,
    families: Families,
  ): Promise<readonly PortBinding[]> {
    const before = this.#published.get(endpoint.id) ?? [];
    const wanted = wantedPorts(config, endpoint, families);
    const kept = keep(wanted, before);
    const known = [...before.map(({ binding }) => binding), ...endpoint.bindings];
    const made = await this.#make(
      holderName(config, endpoint),
      endpoint,
      wanted.filter((each) => !kept.has(each)),
      known,
    );
    const after = wanted.flatMap((each) => kept.get(each) ?? made.get(each) ?? []);
    const bindings = after.map(({ binding }) => binding);
    try {
      await this.#setRules(config, endpoint, bindings, known.length > 0);
    } catch (error) {
      for (const port of made.values()) port.release();
      throw error;
    }
    const still = new Set(after);
    const removed = before.filter((port) => !still.has(port));
    for (const port of removed) port.release();
    this.#set(endpoint.id, after);
    const gone = removed.map(({ binding }) => binding);
    const added = [...made.values()].map(({ binding }) => binding);
    await flush(this.#host, this.#logger, flowsOfChange(endpoint, gone, added));
    return bindings;
  }

  /**
   * Holds exactly what the records say is published: what they do not name is let go of. What somebody else has
   * by now is logged, and stays out of `bindings`.
   */
  async follow(config: BridgeConfig, endpoint: DriverEndpoint): Promise<void> {
    const holder = holderName(config, endpoint);
    const before = this.#published.get(endpoint.id) ?? [];
    const recorded = (port: Published) => endpoint.bindings.some((binding) => same(port.binding, binding));
    for (const port of before) if (!recorded(port)) port.release();
    const published = before.filter(recorded);
    for (const binding of endpoint.bindings) {
      if (published.some((port) => same(port.binding, binding))) continue;
      try {
        published.push({ binding, release: await this.#hold(binding, endpoint, holder) });
      } catch (error) {
        if (!LibnetworkError.is(error)) throw error;
        this.#logger.warn(`${holder} has lost a published port: ${error.message}`, { binding });
      }
    }
    this.#set(endpoint.id, published);
  }

  /** What is published now. */
  bindings(id: EndpointId): readonly PortBinding[] {
    return (this.#published.get(id) ?? []).map(({ binding }) => binding);
  }

  /** Lets go of an endpoint's host ports. Its rules are the caller's. */
  release(id: EndpointId): void {
    for (const port of this.#published.get(id) ?? []) port.release();
    this.#published.delete(id);
  }

  releaseAll(): void {
    for (const id of [...this.#published.keys()]) this.release(id);
  }

  #set(id: EndpointId, published: readonly Published[]): void {
    if (published.length > 0) this.#published.set(id, published);
    else this.#published.delete(id);
  }

  /** One request's host port is the same on all its addresses; where some have it already, it is tried first. */
  async #make(
    holder: string,
    endpoint: DriverEndpoint,
    missing: readonly Wanted[],
    known: readonly PortBinding[],
  ): Promise<Map<Wanted, Published>> {
    const made = new Map<Wanted, Published>();
    const groups = new Map<PortRequest, Wanted[]>();
    for (const each of missing) {
      if (each.routed) made.set(each, { binding: bindingOf(each, 0), release: nothing });
      else groups.set(each.request, [...(groups.get(each.request) ?? []), each]);
    }
    const requests = [...groups.values()].map((group) => {
      const bindings = group.map((each) => bindingOf(each, 0));
      return { ...holdRequest(holder, group, known), targets: this.#targets(endpoint, bindings) };
    });
    const holds = requests.length === 0 ? [] : await holdPorts(this.#host, requests);
    [...groups.values()].forEach((group, i) => {
      group.forEach((each, j) => {
        const held = holds[i]?.held[j];
        if (held) made.set(each, { binding: bindingOf(each, held.port), release: () => held.release() });
      });
    });
    return made;
  }

  async #hold(binding: PortBinding, endpoint: DriverEndpoint, holder: string): Promise<() => void> {
    const { protocol, host, hostAddress } = binding;
    if (host === 0) return nothing;
    const ports = { first: host, last: host };
    const targets = this.#targets(endpoint, [binding]);
    const [hold] = await holdPorts(this.#host, [
      { protocol, addresses: [hostAddress], ports, holder, targets },
    ]);
    return () => hold?.held[0]?.release();
  }

  /** What a proxy leads to the container. Without an engine nothing does. */
  #targets(endpoint: DriverEndpoint, bindings: readonly PortBinding[]): ReadonlyMap<string, ProxyTarget> {
    const targets = new Map<string, ProxyTarget>();
    for (const binding of this.#firewall.engine === 'none' ? [] : bindings) {
      const target = proxyTarget(endpoint, binding);
      if (target !== undefined) targets.set(binding.hostAddress, target);
    }
    return targets;
  }

  async #setRules(
    config: BridgeConfig,
    endpoint: DriverEndpoint,
    bindings: readonly PortBinding[],
    hadRules: boolean,
  ): Promise<void> {
    const intent = endpointIntent(config, endpoint, bindings);
    if (intent !== undefined) await this.#firewall.apply([{ set: intent }]);
    else if (hadRules) await this.#firewall.apply([{ remove: { kind: 'endpoint', id: endpoint.id } }]);
  }
}

const nothing = (): void => {
  // A routed port holds nothing on the host.
};

/** What is wanted and there already. Each published port answers one wish. */
function keep(wanted: readonly Wanted[], before: readonly Published[]): Map<Wanted, Published> {
  const free = new Map<string, Set<Published>>();
  for (const port of before) {
    const { hostAddress, protocol, host } = port.binding;
    const key = `${hostAddress} ${protocol}`;
    // Under its own port for who wants that one, and among all of its address for who has a choice.
    for (const each of [key, `${key} ${host}`]) free.set(each, (free.get(each) ?? new Set()).add(port));
  }
  const kept = new Map<Wanted, Published>();
  for (const each of wanted) {
    const { protocol, host, hostEnd } = each.request;
    const key = `${each.address} ${protocol}`;
    const exact = host !== undefined && hostEnd === undefined && !each.routed;
    const port = find(free.get(exact ? `${key} ${host}` : key), ({ binding }) => answers(binding, each));
    if (port === undefined) continue;
    for (const place of [key, `${key} ${port.binding.host}`]) free.get(place)?.delete(port);
    kept.set(each, port);
  }
  return kept;
}

function find<T>(all: Iterable<T> | undefined, is: (each: T) => boolean): T | undefined {
  for (const each of all ?? []) if (is(each)) return each;
  return undefined;
}

function holdRequest(holder: string, group: readonly Wanted[], known: readonly PortBinding[]): HoldRequest {
  const [first] = group;
  if (first === undefined) throw new TypeError('a group of wanted ports is never empty');
  const { protocol, host, hostEnd } = first.request;
  const sibling = known.find((binding) => answers({ ...binding, hostAddress: first.address }, first));
  return {
    protocol,
    addresses: group.map(({ address }) => address),
    ports: host === undefined ? 'any' : { first: host, last: hostEnd ?? host },
    prefer: sibling?.host,
    holder,
  };
}

function bindingOf({ request: { protocol, container }, address }: Wanted, host: number): PortBinding {
  return { protocol, container, host, hostAddress: address };
}

function holderName(config: BridgeConfig, endpoint: DriverEndpoint): string {
  return `endpoint ${endpoint.name} of network ${config.name}`;
}

export function same(a: PortBinding, b: PortBinding): boolean {
  return (
    a.protocol === b.protocol &&
    a.container === b.container &&
    a.host === b.host &&
    a.hostAddress === b.hostAddress
  );
}

/** `0.0.0.0:8080/tcp -> 80` */
export function showBinding({ protocol, container, host, hostAddress }: PortBinding): string {
  const address = hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
  return `${address}:${host}/${protocol} -> ${container}`;
}
