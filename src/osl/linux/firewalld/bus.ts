import { existsSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Message, MessageBus } from 'dbus-next';
import { LibnetworkError } from '../../../errors.ts';

/** Where a machine's message bus is unless its environment says otherwise (D-Bus Specification, "system message bus"). */
const SYSTEM_BUS = '/var/run/dbus/system_bus_socket';
const CONNECT_TIMEOUT_MS = 5_000;
/** A reload of firewalld with thousands of rules takes seconds. */
const CALL_TIMEOUT_MS = 60_000;

/** What is asked of whom. */
export interface Call {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string | undefined;
  readonly body?: unknown[] | undefined;
}

export interface Signal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly body: readonly unknown[];
}

/** A connection to a message bus. It keeps no process alive but while it waits for an answer. */
export interface Bus {
  /** The values that the answer holds. @throws DBusFailure with the name of the error; TIMEOUT */
  call(call: Call): Promise<readonly unknown[]>;
  /** From now on the signals that fit one of the rules are told. */
  listen(rules: readonly string[], listener: (signal: Signal) => void): Promise<void>;
  /** A value that tells its own type. */
  variant(signature: string, value: unknown): unknown;
  close(): void;
}

/** An error that the other side answered. */
export class DBusFailure extends Error {
  override readonly name = 'DBusFailure';
  /** `org.freedesktop.DBus.Error.UnknownMethod` */
  readonly type: string;

  constructor(type: string, text: string) {
    super(text);
    this.type = type;
  }
}

/** The address of the system's bus; `undefined` where there is none. */
export function systemBusAddress(): string | undefined {
  const address = process.env.DBUS_SYSTEM_BUS_ADDRESS;
  if (address) return address;
  return existsSync(SYSTEM_BUS) ? `unix:path=${SYSTEM_BUS}` : undefined;
}

/**
 * Connects to a bus.
 * @throws NOT_IMPLEMENTED without the optional package dbus-next; UNAVAILABLE when nobody answers there
 */
export async function openBus(address: string): Promise<Bus> {
  const library = await load();
  const bus = library.sessionBus({ busAddress: address });
  try {
    await connected(bus, address);
  } catch (error) {
    bus.disconnect();
    throw error;
  }
  return new Connection(bus, library);
}

type Library = typeof import('dbus-next');

async function load(): Promise<Library> {
  try {
    const loaded = await import('dbus-next');
    return loaded.default ?? loaded;
  } catch (cause) {
    const text = 'to speak with firewalld the optional package dbus-next is needed: npm install dbus-next';
    throw new LibnetworkError('NOT_IMPLEMENTED', text, { cause });
  }
}

function connected(bus: MessageBus, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      clearTimeout(timer);
      reject(new LibnetworkError('UNAVAILABLE', `no message bus answers at ${address}`, { cause }));
    };
    const timer = setTimeout(fail, CONNECT_TIMEOUT_MS, 'timeout');
    // It stays: an error without a listener would end the process.
    bus.on('error', fail);
    bus.on('connect', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

class Connection implements Bus {
  readonly #bus: MessageBus;
  readonly #library: Library;
  readonly #socket: Socket | undefined;
  #waiting = 0;

  constructor(bus: MessageBus, library: Library) {
    this.#bus = bus;
    this.#library = library;
    this.#socket = socketOf(bus);
    this.#socket?.unref();
  }

  async call(call: Call): Promise<readonly unknown[]> {
    const { signature = '', body = [], ...to } = call;
    const message = new this.#library.Message({ ...to, signature, body });
    if (this.#waiting++ === 0) this.#socket?.ref();
    try {
      const answer = await within(this.#bus.call(message), `${call.interface}.${call.member}`);
      return answer?.body ?? [];
    } catch (error) {
      throw asFailure(error);
    } finally {
      if (--this.#waiting === 0) this.#socket?.unref();
    }
  }

  async listen(rules: readonly string[], listener: (signal: Signal) => void): Promise<void> {
    const signalType = this.#library.MessageType.SIGNAL;
    this.#bus.on('message', (message: Message) => {
      if (message.type === signalType) listener(message);
    });
    const name = 'org.freedesktop.DBus';
    const add = { destination: name, path: '/org/freedesktop/DBus', interface: name, member: 'AddMatch' };
    for (const rule of rules) await this.call({ ...add, signature: 's', body: [rule] });
  }

  variant(signature: string, value: unknown): unknown {
    return new this.#library.Variant(signature, value);
  }

  close(): void {
    this.#bus.disconnect();
  }
}

/** dbus-next keeps its socket to itself. */
function socketOf(bus: object): Socket | undefined {
  const connection: unknown = Reflect.get(bus, '_connection');
  const stream: unknown =
    typeof connection === 'object' && connection !== null ? Reflect.get(connection, 'stream') : undefined;
  return stream instanceof Socket ? stream : undefined;
}

async function within<T>(answer: Promise<T>, operation: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new LibnetworkError('TIMEOUT', `${operation}: no answer in ${CALL_TIMEOUT_MS / 1000} s`, {
          operation,
        }),
      );
    }, CALL_TIMEOUT_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function asFailure(error: unknown): unknown {
  if (!(error instanceof Error) || !('type' in error) || typeof error.type !== 'string') return error;
  return new DBusFailure(error.type, error.message);
}
