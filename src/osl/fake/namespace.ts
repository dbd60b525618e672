import type { ChildProcess, SpawnOptions } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { LibnetworkError, throwIfAborted } from '../../errors.ts';
import { type Family, familyOf } from '../../ip.ts';
import { checkXfrm } from '../checks/xfrm.ts';
import { kernelError } from '../errno.ts';
import { createFirewall } from '../firewall/engine.ts';
import type { Firewall, FirewallOptions } from '../firewall/firewall.ts';
import { memoryBackend } from '../firewall/memory.ts';
import type {
  Bandwidth,
  Change,
  ConnectionFilter,
  FoundXfrmState,
  HeldPort,
  Link,
  LinkAddress,
  Namespace,
  NamespaceEvent,
  Neighbour,
  PortSpec,
  ProxyTarget,
  Route,
  SocketAddress,
  TcpListener,
  UdpSocket,
  Waits,
  XfrmChange,
  XfrmPolicy,
} from '../osl.ts';
import { relayTcp } from '../relay/relay.ts';
import { relayUdp } from '../relay/udp.ts';
import { loseIpv6, regainIpv6 } from './addresses.ts';
import { readBandwidth, setBandwidth } from './bandwidth.ts';
import { type Request, requests } from './changes.ts';
import { flushFlows } from './conntrack.ts';
import { type Handle, step } from './handle.ts';
import { deleteLink } from './links.ts';
import { findLink, needLink } from './netns.ts';
import { spawnFake } from './process.ts';
import { faultyBackend } from './ruleset.ts';
import { Sockets } from './sockets.ts';
import type { NetnsState } from './state.ts';
import { readSysctl, writeSysctl } from './sysctls.ts';
import { validate } from './validate.ts';
import { viewAddress, viewLink, viewNeighbour, viewRoute } from './views.ts';
import { changeXfrm, viewPolicies, viewStates } from './xfrm.ts';

/** How long `connectTcp` waits for an answer unless told otherwise. */
const CONNECT_TIMEOUT_MS = 10_000;

/** A process's handle to one namespace of a fake kernel. */
export class FakeNamespace implements Namespace {
  readonly path: string;
  readonly state: NetnsState;
  readonly #handle: Handle;
  readonly #sockets: Sockets;
  #closed = false;

  constructor(handle: Handle, path: string, state: NetnsState) {
    this.path = path;
    this.state = state;
    this.#handle = handle;
    this.#sockets = new Sockets(handle, state);
    state.holders.add(this);
    handle.faults.onCrash(() => this.#release());
  }

  async links(): Promise<readonly Link[]> {
    return await this.#step('links', () =>
      [...this.state.links.values()].sort((a, b) => a.index - b.index).map(viewLink),
    );
  }

  async link(name: string): Promise<Link | undefined> {
    return await this.#step(`link ${name}`, () => {
      const link = findLink(this.state, name);
      return link === undefined ? undefined : viewLink(link);
    });
  }

  async addresses(link?: string): Promise<readonly LinkAddress[]> {
    return await this.#step('addresses', () => this.#of(link, this.state.addresses).map(viewAddress));
  }

  async routes(family?: Family): Promise<readonly Route[]> {
    return await this.#step('routes', () =>
      this.state.routes.filter((r) => family === undefined || r.family === family).map(viewRoute),
    );
  }

  async neighbours(link?: string): Promise<readonly Neighbour[]> {
    return await this.#step('neighbours', () => this.#of(link, this.state.neighbours).map(viewNeighbour));
  }

  /** Every request is a step of its own, so that a process can die between two of them. */
  async apply(changes: readonly Change[], options: Waits = {}): Promise<void> {
    throwIfAborted(options.signal);
    this.#check('apply');
    validate(changes);
    // One wait for all of them: the kernel takes the changes of one send in their order.
    const { faults } = this.#handle;
    if (faults.pause !== undefined) await faults.pause('apply');
    const surroundings = {
      stateOf: this.#handle.stateOf,
      renamesWhileUp: this.#handle.kernel.renamesWhileUp,
    };
    const answers = changes.map((change, i) =>
      this.#send(requests(this.state, change, surroundings), `changes[${i}]`),
    );
    const outcomes = await Promise.allSettled(answers);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    throwIfAborted(options.signal);
  }

  /** All of a change's requests are sent at once; its answer is the first refusal. */
  async #send(all: readonly Request[], at: string): Promise<void> {
    const answers: Promise<void>[] = [];
    for (const { name, send, needed } of all)
      if (needed?.() !== false) answers.push(step(this.#handle, `${at} ${name}`, send));
    const outcomes = await Promise.allSettled(answers);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async deleteLink(name: string, options: Waits = {}): Promise<boolean> {
    throwIfAborted(options.signal);
    return await this.#step(`deleteLink ${name}`, () => deleteLink(this.state, name));
  }

  async setBandwidth(link: string, limits: Bandwidth): Promise<void> {
    await this.#step(`setBandwidth ${link}`, () => setBandwidth(this.state, link, limits));
  }

  async bandwidth(link: string): Promise<Bandwidth> {
    return await this.#step(`bandwidth ${link}`, () => readBandwidth(this.state, link));
  }

  async sysctl(key: string): Promise<string | undefined> {
    return await this.#step(`sysctl ${key}`, () => readSysctl(this.state, key));
  }

  async setSysctl(key: string, value: string): Promise<void> {
    await this.#step(`setSysctl ${key}`, () => {
      for (const changed of writeSysctl(this.state, key, value)) this.#followSysctl(changed, value);
    });
  }

  #followSysctl(key: string, value: string): void {
    const name = /^net\/ipv6\/conf\/([^/]+)\/disable_ipv6$/.exec(key)?.[1];
    const link = name === undefined ? undefined : findLink(this.state, name);
    if (link === undefined) return;
    if (Number(value) !== 0) loseIpv6(link);
    else regainIpv6(link);
  }

  async bindUdp(address: string, port: number): Promise<UdpSocket> {
    return await this.#step(`bindUdp ${address} ${port}`, () => this.#sockets.bindUdp(address, port));
  }

  async listenTcp(
    address: string,
    port: number,
    onConnection: (stream: Duplex, from?: SocketAddress) => void,
  ): Promise<TcpListener> {
    return await this.#step(`listenTcp ${address} ${port}`, () =>
      this.#sockets.listenTcp(address, port, onConnection),
    );
  }

  async connectTcp(
    address: string,
    port: number,
    options: Waits & { readonly timeoutMs?: number } = {},
  ): Promise<Duplex> {
    throwIfAborted(options.signal);
    const operation = `connectTcp ${address} ${port}`;
    try {
      return await this.#step(operation, () => this.#sockets.connectTcp(address, port));
    } catch (error) {
      // Who is not answered waits, as on a network.
      if (LibnetworkError.is(error, 'TIMEOUT')) await pause(options.timeoutMs ?? CONNECT_TIMEOUT_MS, options);
      throw error;
    }
  }

  async holdPort(port: PortSpec): Promise<HeldPort> {
    return await this.#step(`holdPort ${port.protocol} ${port.address} ${port.port}`, () =>
      this.#sockets.holdPort(port),
    );
  }

  /** By this process: a fake has no threads. */
  async servePort(port: PortSpec, target: ProxyTarget): Promise<HeldPort> {
    const name = `servePort ${port.protocol} ${port.address} ${port.port}`;
    if (port.protocol === 'sctp') throw kernelError(name, 'EOPNOTSUPP');
    const sockets = this.#sockets;
    if (port.protocol === 'udp') {
      const front = await this.#step(name, () => sockets.bindUdp(port.address, port.port));
      const any = familyOf(target.address) === 'ipv6' ? '::' : '0.0.0.0';
      const relay = relayUdp(front, async () => sockets.bindUdp(any, 0), target);
      return { protocol: 'udp', address: front.address, port: front.port, release: () => relay.close() };
    }
    let bound = { address: port.address, port: port.port };
    const relay = await relayTcp(
      {
        listen: async (onConnection) => {
          const listen = () => sockets.listenTcp(port.address, port.port, onConnection);
          const listener = await this.#step(name, listen);
          bound = { address: listener.address, port: listener.port };
          return listener;
        },
        connect: async () => sockets.connectTcp(target.address, target.port),
      },
      target,
    );
    return { protocol: 'tcp', ...bound, release: () => relay.close() };
  }

  async ping(address: string, options: Waits = {}): Promise<number | undefined> {
    throwIfAborted(options.signal);
    return await this.#step(`ping ${address}`, () => this.#sockets.ping(address));
  }

  async flushConntrack(filters: readonly ConnectionFilter[]): Promise<number> {
    return await this.#step('flushConntrack', () => flushFlows(this.state.flows, filters));
  }

  /** Changes nothing that lasts, so it is no step of the process; what was said is kept (`state.announced`). */
  async announce(link: string, address: string): Promise<void> {
    this.#check('announce');
    if (this.#handle.faults.crashed) return;
    const found = findLink(this.state, link);
    if (found === undefined) throw kernelError(`announce ${address} on ${link}`, 'ENODEV');
    this.state.announced.push(`${address} is at ${found.mac} on ${link}`);
  }

  watch(options: Waits = {}): AsyncIterableIterator<NamespaceEvent> {
    this.#check('watch');
    return this.#handle.kernel.watchers.watch(this.state, options);
  }

  async applyXfrm(changes: readonly XfrmChange[]): Promise<void> {
    this.#check('applyXfrm');
    checkXfrm(changes);
    const { faults } = this.#handle;
    if (faults.pause !== undefined) await faults.pause('applyXfrm');
    const answers = changes.map((change, i) =>
      step(this.#handle, `xfrm[${i}] ${change.op}`, () => changeXfrm(this.state, change)),
    );
    const outcomes = await Promise.allSettled(answers);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async xfrmStates(): Promise<readonly FoundXfrmState[]> {
    return await this.#step('xfrmStates', () => viewStates(this.state));
  }

  async xfrmPolicies(): Promise<readonly XfrmPolicy[]> {
    return await this.#step('xfrmPolicies', () => viewPolicies(this.state));
  }

  spawn(file: string, args: readonly string[], options?: SpawnOptions): ChildProcess {
    this.#check('spawn');
    const { kernel, programs, faults } = this.#handle;
    return faults.around(`spawn ${file}`, () => spawnFake(kernel, programs, this.state, file, args, options));
  }

  async firewall(options: FirewallOptions): Promise<Firewall> {
    this.#check('firewall');
    const backend =
      options.engine === 'none' ? memoryBackend() : faultyBackend(this.#handle.faults, this.state);
    return createFirewall(backend, options);
  }

  async close(): Promise<void> {
    if (!this.#handle.faults.crashed) this.#release();
  }

  #release(): void {
    if (this.#closed || this.path === 'host') return;
    this.#closed = true;
    this.#handle.kernel.release(this.state, this);
  }

  #of<T extends { readonly link: { readonly name: string } }>(
    link: string | undefined,
    all: readonly T[],
  ): readonly T[] {
    if (link === undefined) return all;
    needLink(this.state, link);
    return all.filter((entry) => entry.link.name === link);
  }

  async #step<T>(name: string, act: () => T): Promise<T> {
    const { faults } = this.#handle;
    if (faults.pause !== undefined) await faults.pause(name);
    this.#check(name);
    return await step(this.#handle, name, act);
  }

  #check(operation: string): void {
    if (this.#closed && !this.#handle.faults.crashed)
      throw new LibnetworkError('UNAVAILABLE', `the namespace ${this.path} is closed`, { operation });
  }
}

/** Waits, unless the caller gives up first. @throws ABORTED */
async function pause(ms: number, { signal }: Waits): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const give = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (signal?.aborted) give();
    else signal?.addEventListener('abort', give, { once: true });
  });
  throwIfAborted(signal);
}
