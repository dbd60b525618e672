/** The plugins of one controller: found by name when they are needed, activated once, kept. */

import type * as v from 'valibot';
import { abortable } from '../abortable.ts';
import type { Logger } from '../driverapi/driver.ts';
import { LibnetworkError, throwIfAborted } from '../errors.ts';
import { PluginClient, type PluginWaits } from './client.ts';
import { type FoundPlugin, findPlugin, scanPlugins } from './discovery.ts';
import { PluginRefusal } from './failure.ts';
import { read } from './json.ts';
import { activation, type PluginKind } from './messages/common.ts';
import * as ipam from './messages/ipam.ts';
import * as network from './messages/network.ts';
import { type PluginOptions, type PluginSettings, pluginSettings } from './options.ts';
import { silent } from './silent.ts';

export type NetworkCapabilities = v.InferOutput<typeof network.capabilities>;
export interface IpamCapabilities extends v.InferOutput<typeof ipam.capabilities> {
  readonly spaces: v.InferOutput<typeof ipam.addressSpaces>;
}

/** What a plugin said of itself, once; a kind whose answer was no good has an error in its place. */
interface Said {
  readonly implements: readonly string[];
  readonly NetworkDriver: NetworkCapabilities | LibnetworkError | undefined;
  readonly IpamDriver: IpamCapabilities | LibnetworkError | undefined;
}

interface Known {
  client: PluginClient;
  readonly said: Said;
}

/**
 * The plugins of this machine, for use without a controller. Nothing is asked before it is needed.
 * @throws INVALID_ARGUMENT for options that are none
 */
export function openPlugins(options: PluginOptions = {}, logger: Logger = silent): Plugins {
  return new Plugins(read(pluginSettings, options, 'plugins', 'INVALID_ARGUMENT'), logger);
}

export class Plugins {
  readonly #settings: PluginSettings;
  readonly #logger: Logger;
  readonly #known = new Map<string, Known>();
  readonly #activating = new Map<string, Promise<Known>>();
  #starting = false;
  #closed = false;

  constructor(settings: PluginSettings, logger: Logger) {
    this.#settings = settings;
    this.#logger = logger;
  }

  /** Where it looks, for messages. */
  get places(): string {
    const { socketDirectories, specDirectories } = this.#settings;
    return [...socketDirectories, ...specDirectories].join(', ');
  }

  /** Runs what must not wait long for anybody: nothing is tried twice, and everything within `startTimeoutMs`. */
  async whileStarting<T>(act: () => Promise<T>): Promise<T> {
    this.#starting = true;
    try {
      return await act();
    } finally {
      this.#starting = false;
    }
  }

  /** The names of the plugins that there are now. */
  names(): Promise<readonly string[]> {
    return scanPlugins(this.#settings);
  }

  /**
   * What a plugin said it can do as one kind of driver; the first caller activates it.
   * @throws NOT_FOUND where no plugin has that name, or it is none of that kind; what `PluginClient.call` throws
   */
  async capabilities<K extends PluginKind>(
    name: string,
    kind: K,
    waits: PluginWaits = {},
  ): Promise<Exclude<Said[K], LibnetworkError | undefined>> {
    const { said } = await this.#get(name, waits);
    const capabilities: Said[K] = said[kind];
    if (capabilities instanceof LibnetworkError) throw capabilities;
    if (capabilities === undefined)
      throw new LibnetworkError(
        'NOT_FOUND',
        `plugin ${JSON.stringify(name)} does not implement the requested driver ${JSON.stringify(kind)}: it says ${said.implements.join(', ') || 'nothing'}`,
        { field: 'driver', value: name },
      );
    return capabilities as Exclude<Said[K], LibnetworkError | undefined>;
  }

  /**
   * Calls a method of a plugin and reads the answer.
   * @throws UNAVAILABLE where no plugin has that name; what `PluginClient.call` throws; INTERNAL for a wrong answer
   */
  async call<S extends v.GenericSchema>(
    name: string,
    method: `${PluginKind}.${string}`,
    args: object | undefined,
    answer: S,
    waits: PluginWaits = {},
  ): Promise<v.InferOutput<S>> {
    const { client } = await this.#get(name, waits).catch(asUnavailable);
    const value = await client.call(method, args, waits);
    return read(answer, value, `${method} of plugin ${name}`, 'INTERNAL');
  }

  async #get(name: string, waits: PluginWaits): Promise<Known> {
    throwIfAborted(waits.signal);
    if (this.#closed) throw new LibnetworkError('UNAVAILABLE', 'the controller is closed');
    const known = this.#known.get(name);
    if (known?.client.healthy) return known;
    if (known) return this.#refresh(name, known);
    let activating = this.#activating.get(name);
    if (activating === undefined) {
      activating = this.#activate(name).finally(() => this.#activating.delete(name));
      this.#activating.set(name, activating);
    }
    return abortable(activating, waits.signal);
  }

  /** A plugin that did not answer may have come back at another address. What it can do is not asked again. */
  async #refresh(name: string, known: Known): Promise<Known> {
    const found = await findPlugin(this.#settings, name);
    if (found === undefined || JSON.stringify(found.address) === JSON.stringify(known.client.address))
      return known;
    const client = await this.#client(found);
    known.client.close();
    known.client = client;
    return known;
  }

  #client({ name, address }: FoundPlugin): Promise<PluginClient> {
    return PluginClient.to(name, address, this.#settings, () => this.#starting);
  }

  async #activate(name: string): Promise<Known> {
    const found = await findPlugin(this.#settings, name);
    if (found === undefined)
      throw new LibnetworkError(
        'NOT_FOUND',
        `there is no plugin ${JSON.stringify(name)}: no socket and no spec of that name is in ${this.places}`,
        { field: 'driver', value: name },
      );
    const client = await this.#client(found);
    try {
      const said = await this.#introduce(client);
      if (this.#closed) throw new LibnetworkError('UNAVAILABLE', 'the controller is closed');
      const known = { client, said };
      this.#known.set(name, known);
      this.#logger.info(`plugin ${name} is active`, { file: found.file, implements: said.implements });
      return known;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  async #introduce(client: PluginClient): Promise<Said> {
    const ask = async <S extends v.GenericSchema>(method: string, answer: S) =>
      read(answer, await client.call(method, undefined), `${method} of plugin ${client.name}`, 'INTERNAL');
    const { Implements } = await ask('Plugin.Activate', activation);
    const has = (kind: PluginKind) => Implements.includes(kind);
    return {
      implements: Implements,
      NetworkDriver: has('NetworkDriver')
        ? await orError(ask('NetworkDriver.GetCapabilities', network.capabilities))
        : undefined,
      IpamDriver: has('IpamDriver') ? await orError(this.#introduceIpam(ask)) : undefined,
    };
  }

  async #introduceIpam(
    ask: <S extends v.GenericSchema>(method: string, answer: S) => Promise<v.InferOutput<S>>,
  ): Promise<IpamCapabilities> {
    const capabilities = await orError(ask('IpamDriver.GetCapabilities', ipam.capabilities));
    // Plugins from before there were capabilities don't know the question: they have none.
    const known =
      capabilities instanceof LibnetworkError
        ? { RequiresMACAddress: false, RequiresRequestReplay: false }
        : capabilities;
    return { ...known, spaces: await ask('IpamDriver.GetDefaultAddressSpaces', ipam.addressSpaces) };
  }

  close(): void {
    this.#closed = true;
    for (const { client } of this.#known.values()) client.close();
  }
}

/** Who calls a plugin has had it before: it is gone, and may come back. */
function asUnavailable(error: unknown): never {
  if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
  throw new LibnetworkError('UNAVAILABLE', error.message, { cause: error });
}

/** An answer, or why it is no good. Without an answer there is neither: that is thrown. */
async function orError<T>(work: Promise<T>): Promise<T | LibnetworkError> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof PluginRefusal || LibnetworkError.is(error, 'INTERNAL')) return error;
    throw error;
  }
}
