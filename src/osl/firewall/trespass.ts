/**
 * Connections that came about while rules were missing. The rules let answers pass, so that such a connection would
 * live on for as long as it is used: it must be forgotten, and its next packet is judged as a first one.
 */
import { type Address, contains, FAMILIES, formatAddress, type Prefix, parsePrefix } from '../../ip.ts';
import type { Intent, NetworkIntent } from './firewall.ts';
import { PROTOCOL_NUMBERS } from './model.ts';
import { deniedBy } from './policyjudge.ts';

/** A tracked connection, as begun and as its answers come. */
export interface Flow {
  readonly original: FlowEnds;
  readonly reply: Pick<FlowEnds, 'source' | 'destination'> & { readonly sourcePort?: number | undefined };
}

interface FlowEnds {
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  /** An IP protocol number. */
  readonly protocol: number;
  readonly destinationPort: number | undefined;
}

interface Guarded {
  readonly subnet: Prefix;
  /** Nothing may come in that was not translated. */
  readonly entry: boolean;
  /** Nothing may go out that was not translated. */
  readonly exit: boolean;
}

/**
 * Tells connections that the rules of these intents would have refused or translated. It also tells those between the
 * host itself and a container, which do not suffer from being forgotten: no rule judges them.
 */
export function trespassOf(intents: readonly Intent[]): (flow: Flow) => boolean {
  const guarded = intents.flatMap((intent) => (intent.kind === 'network' ? guardedSubnets(intent) : []));
  const published = publishedPorts(intents);
  const isDenied = deniedBy(intents);
  return ({ original, reply }) => {
    const { source, destination } = original;
    if (source === undefined || destination === undefined) return false;
    const translated = !isSame(reply.source, destination);
    const hidden = !isSame(reply.destination, source);
    if (isDenied({ ...original, source, destination: reply.source, port: reply.sourcePort })) return true;
    if (!translated && isPublished(published, original)) return true;
    return guarded.some(({ subnet, entry, exit }) => {
      const from = contains(subnet, source);
      const to = contains(subnet, destination);
      if (from === to) return false;
      return to ? entry && !translated : exit && !hidden && !translated;
    });
  };
}

/**
 * Has the connections forgotten that came about while rules of these intents were missing. Those of name servers judge
 * none, and to read what the kernel tracks takes it milliseconds, however little that is.
 */
export async function closeGap(
  backend: { forget?(matches: (flow: Flow) => boolean): Promise<void> },
  intents: readonly Intent[],
): Promise<void> {
  if (intents.some(({ kind }) => kind !== 'resolver')) await backend.forget?.(trespassOf(intents));
}

function guardedSubnets(network: NetworkIntent): Guarded[] {
  return FAMILIES.flatMap((family) => {
    const settings = network[family];
    const subnet = settings && parsePrefix(settings.subnet);
    if (settings === undefined || subnet === undefined) return [];
    const closed = network.internal || settings.mode === 'isolated';
    const nat = settings.mode === 'nat' || settings.mode === 'nat-unprotected';
    const entry = closed || settings.mode === 'nat';
    return [{ subnet, entry, exit: closed || (nat && settings.masquerade !== false) }];
  });
}

function publishedPorts(intents: readonly Intent[]): ReadonlySet<string> {
  const ports = intents.flatMap((intent) => (intent.kind === 'endpoint' ? intent.ports : []));
  return new Set(
    ports.flatMap(({ protocol, hostAddress, hostPort }) =>
      hostPort === undefined ? [] : [`${PROTOCOL_NUMBERS[protocol]} ${hostPort} ${hostAddress}`],
    ),
  );
}

/** Ports of every address may belong to a host that is only passed: then forgetting does no harm either. */
function isPublished(
  published: ReadonlySet<string>,
  { protocol, destination, destinationPort }: FlowEnds,
): boolean {
  if (destination === undefined) return false;
  const any = destination.family === 'ipv4' ? '0.0.0.0' : '::';
  return [any, formatAddress(destination)].some((host) =>
    published.has(`${protocol} ${destinationPort} ${host}`),
  );
}

function isSame(one: Address | undefined, other: Address): boolean {
  return one !== undefined && one.family === other.family && one.value === other.value;
}
