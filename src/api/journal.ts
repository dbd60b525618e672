/** What happened lately, with the names that a reader wants beside the ids, and who listens to what comes. */
import type {
  ControllerEvents,
  EventName,
  EventStamp,
  Listener,
  NetworkController,
  NetworkId,
  SandboxId,
} from '../index.ts';

/** An event as data. */
export interface ApiEvent {
  readonly type: EventName;
  /** A UUID of version 7. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The facts of the event, as `ControllerEvents` has them. */
  readonly facts: Readonly<Record<string, string | number>>;
  /** The network that it is about, with names that hold also after its deletion. */
  readonly network?: { readonly id: string; readonly name: string; readonly driver: string } | undefined;
  readonly containerId?: string | undefined;
}

/** The events that are told. */
export const TOLD = [
  'network:create',
  'network:update',
  'network:delete',
  'endpoint:create',
  'endpoint:update',
  'endpoint:delete',
  'endpoint:join',
  'endpoint:leave',
  'endpoint:lost',
  'service:create',
  'service:update',
  'service:delete',
  'sandbox:create',
  'sandbox:update',
  'sandbox:delete',
  'reconcile',
] as const satisfies readonly EventName[];

type Facts = ControllerEvents[EventName] & EventStamp;

export class Journal {
  readonly #controller: NetworkController;
  readonly #capacity: number;
  readonly #kept: ApiEvent[] = [];
  readonly #readers = new Set<(event: ApiEvent) => void>();
  /** What is gone is still named by the last events about it. */
  readonly #networks = new Map<string, { id: string; name: string; driver: string }>();
  readonly #containers = new Map<string, string>();
  readonly #stop: (() => void)[] = [];

  /** @param capacity how many events are kept */
  constructor(controller: NetworkController, capacity: number) {
    this.#controller = controller;
    this.#capacity = capacity;
    for (const network of controller.networks()) this.#network(network.id);
    for (const sandbox of controller.sandboxes()) this.#container(sandbox.id);
    for (const name of TOLD) {
      const listener: Listener<EventName> = (event) => this.#note(name, event);
      controller.on(name, listener as Listener<typeof name>);
      this.#stop.push(() => controller.off(name, listener as Listener<typeof name>));
    }
  }

  /** Those kept from a time on, in milliseconds since 1970. */
  since(time: number): readonly ApiEvent[] {
    return this.#kept.filter((event) => event.time >= time);
  }

  /** Those kept that came later than one of them, by its id: ids sort by time, also those of an earlier daemon. */
  after(id: string): readonly ApiEvent[] {
    return this.#kept.filter((event) => event.id > id);
  }

  /** Tells what comes, until the answer is called. */
  follow(reader: (event: ApiEvent) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  close(): void {
    for (const stop of this.#stop) stop();
    this.#readers.clear();
  }

  #note(type: EventName, { eventId, time, ...facts }: Facts): void {
    const event: ApiEvent = Object.freeze({
      type,
      id: eventId,
      time,
      facts,
      ...('networkId' in facts ? { network: this.#network(facts.networkId) } : {}),
      ...('sandboxId' in facts ? { containerId: this.#container(facts.sandboxId) } : {}),
    });
    if (type === 'network:delete' && 'networkId' in facts) this.#networks.delete(facts.networkId);
    if (type === 'sandbox:delete' && 'sandboxId' in facts) this.#containers.delete(facts.sandboxId);
    this.#kept.push(event);
    if (this.#kept.length > this.#capacity) this.#kept.shift();
    for (const reader of [...this.#readers]) reader(event);
  }

  #network(id: NetworkId): { id: string; name: string; driver: string } | undefined {
    const network = this.#controller.network(id);
    if (!network) return this.#networks.get(id);
    const named = { id, name: network.name, driver: network.driver };
    this.#networks.set(id, named);
    return named;
  }

  #container(id: SandboxId): string | undefined {
    const sandbox = this.#controller.sandbox(id);
    if (!sandbox) return this.#containers.get(id);
    this.#containers.set(id, sandbox.containerId);
    return sandbox.containerId;
  }
}
