import { v7 as newEventId } from 'uuid';
import type { EndpointId, NetworkId, SandboxId } from './ids.ts';

/** What happened, by name. Every event is emitted after its record is committed. */
export interface ControllerEvents {
  'network:create': { readonly networkId: NetworkId; readonly name: string };
  'network:update': { readonly networkId: NetworkId; readonly name: string };
  'network:delete': { readonly networkId: NetworkId; readonly name: string };
  'endpoint:create': {
    readonly networkId: NetworkId;
    readonly endpointId: EndpointId;
    readonly name: string;
  };
  'endpoint:update': {
    readonly networkId: NetworkId;
    readonly endpointId: EndpointId;
    readonly name: string;
  };
  'endpoint:delete': {
    readonly networkId: NetworkId;
    readonly endpointId: EndpointId;
    readonly name: string;
  };
  'endpoint:join': {
    readonly networkId: NetworkId;
    readonly endpointId: EndpointId;
    readonly sandboxId: SandboxId;
    readonly interfaceName: string;
  };
  'endpoint:leave': {
    readonly networkId: NetworkId;
    readonly endpointId: EndpointId;
    readonly sandboxId: SandboxId;
  };
  /** It was taken from this host, which counted as gone for longer than its lease; it has been deleted here. */
  'endpoint:lost': {
    readonly networkId: NetworkId;
    readonly endpointId: EndpointId;
    readonly name: string;
  };
  /** The first endpoint of a service has come, and its virtual address was taken: told by the host that did it. */
  'service:create': {
    readonly networkId: NetworkId;
    readonly name: string;
    readonly mode: 'vip' | 'dnsrr';
  };
  /** So many endpoints of a service, on whichever host, now get what is new; this host has seen it. */
  'service:update': { readonly networkId: NetworkId; readonly name: string; readonly live: number };
  /** The last endpoint has gone, and the virtual address is free again: told by the host that did it. */
  'service:delete': { readonly networkId: NetworkId; readonly name: string };
  'sandbox:create': { readonly sandboxId: SandboxId; readonly containerId: string };
  /** Its names, hosts or DNS were set anew, or its key. */
  'sandbox:update': { readonly sandboxId: SandboxId; readonly containerId: string };
  'sandbox:delete': { readonly sandboxId: SandboxId; readonly containerId: string };
  reconcile: { readonly missing: number; readonly orphaned: number; readonly repaired: number };
}

export type EventName = keyof ControllerEvents;

/** What every event says beside its facts. */
export interface EventStamp {
  /** A UUID of version 7 (RFC 9562): events sort by it in the order of time, also those of several hosts. */
  readonly eventId: string;
  /** When it happened, in milliseconds since 1970. */
  readonly time: number;
}

export type Listener<E extends EventName> = (event: ControllerEvents[E] & EventStamp) => void;

/** A typed emitter. A listener that throws does not disturb the others or the operation: its error is handed on. */
export class Events {
  readonly #listeners = new Map<EventName, Set<Listener<EventName>>>();
  readonly #onListenerError: (event: EventName, error: unknown) => void;

  constructor(onListenerError: (event: EventName, error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  on<E extends EventName>(event: E, listener: Listener<E>): void {
    const set = this.#listeners.get(event) ?? new Set();
    set.add(listener as Listener<EventName>);
    this.#listeners.set(event, set);
  }

  off<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#listeners.get(event)?.delete(listener as Listener<EventName>);
  }

  emit<E extends EventName>(event: E, facts: ControllerEvents[E]): void {
    const listeners = this.#listeners.get(event);
    if (!listeners || listeners.size === 0) return;
    const told: ControllerEvents[E] & EventStamp = { ...facts, eventId: newEventId(), time: Date.now() };
    Object.freeze(told);
    for (const listener of [...listeners]) {
      try {
        (listener as Listener<E>)(told);
      } catch (error) {
        this.#onListenerError(event, error);
      }
    }
  }
}
