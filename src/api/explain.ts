/** Why a packet passes or not: the rules of now, asked about one packet between two places. */
import {
  type Address,
  contains,
  type Endpoint,
  formatAddress,
  LibnetworkError,
  parseAddress,
  parsePrefix,
  type Trace,
  traceRules,
} from '../index.ts';
import type { ApiContext } from './context.ts';

export interface ExplainRequest {
  /** A container, an endpoint, an address, `host` or `outside`. Default: `outside`, somewhere off the host. */
  readonly from?: string;
  /** The same. */
  readonly to: string;
  /** Default: tcp. */
  readonly protocol?: 'tcp' | 'udp' | 'sctp' | 'icmp';
  readonly port?: number;
  /** Default: IPv4, unless one of the addresses is of IPv6. */
  readonly family?: 'ipv4' | 'ipv6';
}

export interface Explanation extends Trace {
  /** In words, from where to where. */
  readonly question: string;
  /** What the rules alone do not show. */
  readonly notes: readonly string[];
}

type Family = 'ipv4' | 'ipv6';
interface Place {
  readonly what: string;
  readonly address: Address;
  /** The bridge behind which it is; `undefined` on the host itself. */
  readonly link: string | undefined;
}

/** Stands for the interface that leads away from the host, and for what is there (RFC 5737, RFC 3849). */
const OUTSIDE = { link: '(outside)', ipv4: '198.51.100.1', ipv6: '2001:db8:ffff::1' } as const;
/** Stands for the host's own address. */
const HOST = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' } as const;

/** @throws NOT_FOUND for names that nobody has; INVALID_ARGUMENT for mixed families, or a port that is missing */
export function explain(context: ApiContext, request: ExplainRequest): Explanation {
  const { protocol = 'tcp', port, to } = request;
  if (protocol !== 'icmp' && port === undefined)
    throw new LibnetworkError('INVALID_ARGUMENT', `port: must be given with ${protocol}`, { field: 'port' });
  const family = request.family ?? familyOf(request.from, to);
  const from = request.from === undefined ? outside(family) : placeOf(context, request.from, family, 'from');
  const target = placeOf(context, to, family, 'to');
  const links = bridges(context);
  const trace = traceRules(context.controller.firewall.intents(), {
    source: from.address,
    destination: target.address,
    protocol: protocol === 'icmp' && family === 'ipv6' ? 'icmpv6' : protocol,
    port: protocol === 'icmp' ? undefined : port,
    iif: from.link,
    route: (address) => (isSame(address, HOST[family]) ? undefined : linkTo(links, address)),
  });
  const what = port === undefined ? protocol : `${protocol} port ${port}`;
  return {
    question: `${from.what} to ${target.what}, ${what}`,
    ...trace,
    notes: notesOf(from, target, trace),
  };
}

function notesOf(from: Place, target: Place, trace: Trace): string[] {
  const notes: string[] = [];
  if (from.link !== undefined && from.link === target.link)
    notes.push(
      'both are behind one bridge: its ports forward, and rules are asked only where the kernel lets bridged packets pass them (br_netfilter)',
    );
  if (trace.steps.length === 0)
    notes.push('no rule of ours is about this packet: the host’s own rules and routes decide');
  if (trace.verdict === 'accept') notes.push('rules of others on this host may still refuse it');
  return notes;
}

function familyOf(...texts: readonly (string | undefined)[]): Family {
  return texts.some((text) => text !== undefined && parseAddress(text)?.family === 'ipv6') ? 'ipv6' : 'ipv4';
}

function outside(family: Family): Place {
  return { what: 'outside', address: need(OUTSIDE[family]), link: OUTSIDE.link };
}

function placeOf(context: ApiContext, name: string, family: Family, field: string): Place {
  if (name === 'host') return { what: 'the host', address: need(HOST[family]), link: undefined };
  if (name === 'outside') return outside(family);
  const address = parseAddress(name);
  if (address) {
    if (address.family === family) return { what: name, address, link: linkTo(bridges(context), address) };
    throw new LibnetworkError('INVALID_ARGUMENT', `${field}: ${name} is not of ${family}`, {
      field,
      value: name,
    });
  }
  const endpoint = findEndpoint(context, name);
  const own = (family === 'ipv4' ? endpoint?.ipv4 : endpoint?.ipv6)?.split('/', 1)[0];
  if (own === undefined)
    throw new LibnetworkError(
      'NOT_FOUND',
      `${field}: ${endpoint ? `${name} has no address of ${family}` : `no container or endpoint is named ${name}`}`,
      { field, value: name },
    );
  const place = need(own);
  return { what: `${name} (${own})`, address: place, link: linkTo(bridges(context), place) };
}

/** A container stands for the endpoint that it joined first. */
function findEndpoint({ controller }: ApiContext, name: string): Endpoint | undefined {
  const joined = controller.sandbox(name)?.endpoints()[0];
  if (joined) return joined;
  for (const network of controller.networks()) {
    const endpoint = network.endpoint(name);
    if (endpoint) return endpoint;
  }
  return undefined;
}

interface Bridge {
  readonly link: string;
  readonly subnets: readonly string[];
}

function bridges({ controller }: ApiContext): Bridge[] {
  return controller.firewall.intents().flatMap((intent) => {
    if (intent.kind !== 'network') return [];
    const subnets = [intent.ipv4?.subnet, intent.ipv6?.subnet].filter((subnet) => subnet !== undefined);
    return [{ link: intent.bridge, subnets }];
  });
}

function linkTo(all: readonly Bridge[], address: Address): string {
  const found = all.find(({ subnets }) =>
    subnets.some((subnet) => {
      const prefix = parsePrefix(subnet);
      return prefix !== undefined && contains(prefix, address);
    }),
  );
  return found?.link ?? OUTSIDE.link;
}

function isSame(address: Address, text: string): boolean {
  return formatAddress(address) === text;
}

function need(text: string): Address {
  const address = parseAddress(text);
  if (address) return address;
  throw new LibnetworkError('INTERNAL', `${text} is no address`);
}
