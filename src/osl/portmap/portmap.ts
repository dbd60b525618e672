import { LibnetworkError } from '../../errors.ts';
import type { HeldPort, Namespace, PortSpec, Protocol, ProxyTarget } from '../osl.ts';
import { holderAt, note } from './holders.ts';

/** A port to hold, on one or more addresses, in both families if need be. */
export interface HoldRequest {
  readonly protocol: Protocol;
  /** All of them get the same port. */
  readonly addresses: readonly string[];
  /** The first free port of these, or any that the kernel chooses from its ephemeral range. */
  readonly ports: { readonly first: number; readonly last: number } | 'any';
  /** Tried before the others; it need not be among them. */
  readonly prefer?: number | undefined;
  /** Who holds it from now on, for other callers' errors: `endpoint web of network front`. */
  readonly holder: string;
  /** Addresses of `addresses` where the port is served too, and what by. */
  readonly targets?: ReadonlyMap<string, ProxyTarget> | undefined;
}

/** A port that is held: one on each address asked for, in their order; each can be let go of by itself. */
export interface Hold {
  readonly port: number;
  readonly held: readonly HeldPort[];
}

/** How often another free port is tried that is not free on every address. */
const MAX_ATTEMPTS = 10;

/**
 * Holds ports of a namespace so that nobody else can bind them: all that are asked for, or none. Requests for one
 * certain port are served before those with a choice, so that a choice never takes what another request must have.
 * The holds are in the order of the requests.
 * @throws CONFLICT naming the holder when a certain port is taken; UNAVAILABLE when no port of a range (`limit`
 * names it) is free; INVALID_ARGUMENT for an address that the host does not have
 */
export async function holdPorts(host: Namespace, requests: readonly HoldRequest[]): Promise<readonly Hold[]> {
  const holds: (Hold | undefined)[] = requests.map(() => undefined);
  const order = requests
    .map((request, i) => ({ request, i }))
    .sort((a, b) => choices(a.request) - choices(b.request));
  try {
    for (const { request, i } of order) holds[i] = await holdOne(host, request);
  } catch (error) {
    for (const hold of holds) release(hold);
    throw error;
  }
  return holds.filter((hold) => hold !== undefined);
}

function choices({ ports }: HoldRequest): number {
  return ports === 'any' ? Number.POSITIVE_INFINITY : ports.last - ports.first;
}

async function holdOne(host: Namespace, request: HoldRequest): Promise<Hold> {
  const { ports, prefer } = request;
  if (prefer !== undefined) {
    const hold = await holdUnlessTaken(host, request, prefer);
    if (hold !== undefined) return hold;
  }
  if (ports === 'any') return holdAny(host, request);
  if (ports.first === ports.last) return holdExactly(host, request, ports.first);
  for (let port = ports.first; port <= ports.last; port++) {
    const hold = await holdUnlessTaken(host, request, port);
    if (hold !== undefined) return hold;
  }
  throw exhausted(host, request, `${ports.first}-${ports.last}`, ports.first);
}

/** The kernel chooses for the first address; where its choice is taken on another one, it chooses again. */
async function holdAny(host: Namespace, request: HoldRequest): Promise<Hold> {
  const { protocol, addresses } = request;
  const [address = '0.0.0.0', ...others] = addresses;
  // What was tried in vain stays held until the end, so that the kernel offers something else.
  const tried: HeldPort[] = [];
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const first = await bind(host, { protocol, address, port: 0 }, request);
      if (first === undefined) break;
      tried.push(first);
      const rest = await holdUnlessTaken(host, { ...request, addresses: others }, first.port);
      if (rest === undefined) continue;
      tried.pop();
      return { port: first.port, held: [noted(host, first, request.holder), ...rest.held] };
    }
  } finally {
    for (const held of tried) held.release();
  }
  throw exhausted(host, request, 'net.ipv4.ip_local_port_range', undefined);
}

async function holdExactly(host: Namespace, request: HoldRequest, port: number): Promise<Hold> {
  const { protocol, addresses, holder } = request;
  const held: HeldPort[] = [];
  for (const address of addresses) {
    const spec = { protocol, address, port };
    try {
      held.push(noted(host, await occupy(host, spec, request), holder));
    } catch (error) {
      release({ port, held });
      throw explain(host, spec, error);
    }
  }
  return { port, held };
}

/** A held port whose holder is known by name until it is let go of. */
function noted(host: Namespace, held: HeldPort, holder: string): HeldPort {
  const { protocol, address, port } = held;
  const forget = note(host, held, holder);
  return {
    protocol,
    address,
    port,
    release: () => {
      forget();
      held.release();
    },
  };
}

function release(hold: Hold | undefined): void {
  for (const held of hold?.held ?? []) held.release();
}

function occupy(host: Namespace, spec: PortSpec, { targets }: HoldRequest): Promise<HeldPort> {
  const target = targets?.get(spec.address);
  return target === undefined ? host.holdPort(spec) : host.servePort(spec, target);
}

async function holdUnlessTaken(
  host: Namespace,
  request: HoldRequest,
  port: number,
): Promise<Hold | undefined> {
  try {
    return await holdExactly(host, request, port);
  } catch (error) {
    if (LibnetworkError.is(error, 'CONFLICT')) return undefined;
    throw error;
  }
}

async function bind(host: Namespace, spec: PortSpec, request: HoldRequest): Promise<HeldPort | undefined> {
  try {
    return await occupy(host, spec, request);
  } catch (error) {
    if (LibnetworkError.is(error, 'CONFLICT')) return undefined;
    throw explain(host, spec, error);
  }
}

/** The kernel's refusal with what a person needs to know: which port, and who has it. */
function explain(
  host: Namespace,
  spec: { readonly protocol: Protocol; readonly address: string; readonly port: number },
  cause: unknown,
): unknown {
  if (!LibnetworkError.is(cause)) return cause;
  const facts = { field: 'ports', value: spec.port, operation: 'hold port', cause };
  const errno = cause.errno === undefined ? {} : { errno: cause.errno };
  if (cause.code === 'CONFLICT') {
    const ours = holderAt(host, spec);
    const holder = ours ?? 'a process that is not ours';
    const hint = ours === undefined ? `; \`ss -lnp 'sport = :${spec.port}'\` shows it` : '';
    return new LibnetworkError('CONFLICT', `host port ${nameOf(spec)} is held by ${holder}${hint}`, {
      ...facts,
      ...errno,
      holder,
    });
  }
  if (cause.errno === 'EACCES')
    return new LibnetworkError(
      'FORBIDDEN',
      `host port ${nameOf(spec)} is one of the privileged (net.ipv4.ip_unprivileged_port_start), and this process may lack CAP_NET_BIND_SERVICE: run as root, or publish at a higher port`,
      { ...facts, ...errno },
    );
  if (cause.errno === 'EADDRNOTAVAIL')
    return new LibnetworkError(
      'INVALID_ARGUMENT',
      `hostAddress: ${spec.address} is no address of this host`,
      {
        ...facts,
        ...errno,
        field: 'ports.hostAddress',
        value: spec.address,
      },
    );
  return cause;
}

function exhausted(
  host: Namespace,
  request: HoldRequest,
  range: string,
  port: number | undefined,
): LibnetworkError {
  const { protocol, addresses } = request;
  const holders =
    port === undefined ? [] : addresses.map((address) => holderAt(host, { protocol, address, port }));
  const [holder] = holders.filter((each) => each !== undefined);
  const first = holder === undefined ? '' : `; the first is held by ${holder}`;
  return new LibnetworkError(
    'UNAVAILABLE',
    `no ${protocol} port of ${range} is free on ${addresses.join(' and ')}${first}`,
    {
      field: 'ports',
      value: range,
      limit: range,
      operation: 'hold port',
      ...(holder === undefined ? {} : { holder }),
    },
  );
}

function nameOf(spec: {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}): string {
  const address = spec.address.includes(':') ? `[${spec.address}]` : spec.address;
  return `${address}:${spec.port}/${spec.protocol}`;
}
