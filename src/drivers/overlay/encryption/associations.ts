/** What of IPsec a host needs to encrypt its tunnels: a pure projection of the keyring's view. */
import type { Keyring, KeyringView, Member } from '../../../driverapi/keyring.ts';
import { familyOf, formatAddress, parseAddress } from '../../../ip.ts';
import type { XfrmPolicy, XfrmState } from '../../../osl/osl.ts';

/** This host's end of all associations. */
export interface OwnSide {
  /** As the others are told. */
  readonly address: string;
  readonly number: number;
}

/** What belongs to one controller in the kernel's tables, and tells whose it is. */
export interface Mark {
  /** Of states, and of templates. */
  readonly reqid: number;
  /** Of the policies that have no template. */
  readonly priority: number;
}

export interface Associations {
  readonly states: readonly XfrmState[];
  readonly policies: readonly XfrmPolicy[];
  /** To be reported once they are in place. */
  readonly accepts: number;
  readonly sends: number;
}

/** The first of the SPI's four parts: apart from what key exchange daemons choose (from 0xc0000000). */
const SPI_BASE = 0x1000_0000;
const GENERATIONS = 16;
const NUMBER_BITS = 24;
/** AES of 256 bits and a salt of 32 (RFC 4106, 8.1). */
const KEY_BYTES = 36;
/** With long sequence numbers an association never ends, and packets may overtake each other by this much. */
const REPLAY_WINDOW = 1_024;
const PROTOCOL_UDP = 17;
/** Less than key exchange daemons give theirs, so that ours are asked first. */
const TO_HOST_PRIORITY = 1_000;
const EVERYONE = {
  ipv4: { prefix: '0.0.0.0/0', address: '0.0.0.0' },
  ipv6: { prefix: '::/0', address: '::' },
} as const;

/** The SPI of what a member sends: no two members that are there, and no two living generations, have the same. */
export function spiOf(generation: number, number: number): number {
  return SPI_BASE + (generation % GENERATIONS) * 2 ** NUMBER_BITS + number;
}

/** The number of the member that sends by a state. */
export function numberOf(spi: number): number {
  return spi % 2 ** NUMBER_BITS;
}

/**
 * A key for one direction between two lives of two hosts: as no other association ever has it, no pair of a key and
 * a nonce comes twice (RFC 4106, 3.1), and a packet of one is none of another.
 */
function keyOf(derive: Keyring['derive'], generation: number, from: OwnSide, to: OwnSide): Uint8Array {
  const end = ({ number, address }: OwnSide) => `${number} ${address}`;
  return derive(generation, `libnetwork overlay esp 1: ${end(from)} to ${end(to)}`, KEY_BYTES);
}

/** Whom this host shares associations with; of several with one address the latest. */
export function remotesOf(
  { others, gone }: KeyringView,
  own: OwnSide,
  isReached: (address: string) => boolean,
): Member[] {
  const family = familyOf(own.address);
  const remotes = new Map<string, Member>();
  for (const member of [...gone.filter(({ address }) => isReached(address)), ...others]) {
    if (familyOf(member.address) !== family || member.address === own.address) continue;
    const before = remotes.get(member.address);
    if (!before || before.number < member.number) remotes.set(member.address, member);
  }
  return [...remotes.values()];
}

/** The generation to send with to a member: the present one, or an older one that it accepts already. */
export function generationFor(
  { generations, sending }: KeyringView,
  { accepts }: Member,
): number | undefined {
  return generations.findLast((generation) => generation <= Math.min(sending, accepts));
}

export function associationsOf(
  view: KeyringView,
  own: OwnSide,
  remotes: readonly Member[],
  { ports, mark, derive }: { ports: Iterable<number>; mark: Mark; derive: Keyring['derive'] },
): Associations {
  const states: XfrmState[] = [];
  const policies: XfrmPolicy[] = [];
  const used: number[] = [];
  for (const remote of remotes) {
    for (const generation of view.generations)
      for (const [from, to] of [
        [remote, own],
        [own, remote],
      ] as const)
        states.push(stateOf(generation, from, to, mark, keyOf(derive, generation, from, to)));
    const generation = generationFor(view, remote);
    // It has no key that we have: nothing is sent to it, least of all in the clear.
    if (generation === undefined) continue;
    used.push(generation);
    for (const port of ports) policies.push(policyTo(own, remote, port, mark, spiOf(generation, own.number)));
  }
  return {
    states,
    policies,
    accepts: view.generations.at(-1) ?? 0,
    sends: Math.min(view.sending, ...used),
  };
}

function stateOf(
  generation: number,
  from: OwnSide,
  to: OwnSide,
  { reqid }: Mark,
  key: Uint8Array,
): XfrmState {
  return {
    source: canonical(from.address),
    destination: canonical(to.address),
    spi: spiOf(generation, from.number),
    mode: 'transport',
    reqid,
    key,
    icvBits: 128,
    replayWindow: REPLAY_WINDOW,
    esn: true,
  };
}

function policyTo(own: OwnSide, remote: OwnSide, port: number, { reqid }: Mark, spi: number): XfrmPolicy {
  const [source, destination] = [canonical(own.address), canonical(remote.address)];
  return {
    direction: 'out',
    selector: {
      source: whole(source),
      destination: whole(destination),
      protocol: PROTOCOL_UDP,
      destinationPort: port,
    },
    priority: TO_HOST_PRIORITY,
    action: 'allow',
    template: { source, destination, mode: 'transport', reqid, spi },
  };
}

/**
 * What keeps the tunnels of a port shut: nothing goes out that no policy encrypts, and nothing comes in that was
 * not. They stand as long as the port is used, whoever is known.
 */
export function guardsOf(address: string, port: number, { reqid, priority }: Mark): XfrmPolicy[] {
  const everyone = EVERYONE[familyOf(address) ?? 'ipv4'];
  const udp = { protocol: PROTOCOL_UDP, destinationPort: port };
  const own = whole(canonical(address));
  const template = {
    source: everyone.address,
    destination: everyone.address,
    mode: 'transport',
    reqid,
  } as const;
  return [
    {
      direction: 'out',
      selector: { source: own, destination: everyone.prefix, ...udp },
      priority,
      action: 'block',
    },
    {
      direction: 'in',
      selector: { source: everyone.prefix, destination: own, ...udp },
      priority,
      action: 'allow',
      template,
    },
  ];
}

/** As the kernel tells it back. */
export function canonical(address: string): string {
  const parsed = parseAddress(address);
  return parsed ? formatAddress(parsed) : address;
}

function whole(address: string): string {
  return `${address}/${familyOf(address) === 'ipv6' ? 128 : 32}`;
}
