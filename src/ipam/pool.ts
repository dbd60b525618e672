import type { Datastore } from '../datastore/datastore.ts';
import { invalid, LibnetworkError } from '../errors.ts';
import {
  type Address,
  formatAddress,
  formatCidr,
  formatPrefix,
  lastOf,
  type Prefix,
  parseAddress,
  sizeOf,
} from '../ip.ts';
import { max, min } from './bigint.ts';
import type { AddressRequest, PoolUsage } from './ipam.ts';
import { Ledger } from './ledger/ledger.ts';
import { addressFromMac } from './mac.ts';
import {
  IPV6_FROM_MAC,
  MAC_ADDRESS,
  type Options,
  REQUEST_ADDRESS_TYPE,
  reservedRanges,
  reuseDelay,
  SERIAL,
} from './options.ts';
import { type Range, Ranges } from './ranges.ts';

export interface AddressPoolOptions {
  readonly prefix: Prefix;
  readonly options: Options;
  readonly holder: string | undefined;
  /** The name of the controller that made it, where several share the store. */
  readonly owner: string | undefined;
  readonly store: Datastore | undefined;
  /** The start of its pages' keys. */
  readonly pagesPrefix: string;
  readonly reuseDelayMs: number;
  readonly clock: () => number;
  readonly onExhausted: (() => Promise<void>) | undefined;
}

/** A subnet that addresses are given from, and the ranges of it that were asked for as pools of their own. */
export class AddressPool {
  readonly prefix: Prefix;
  readonly ledger: Ledger;
  /** The version of its record in the store. */
  version = 0;
  /** The subnet as a whole was asked for, not only ranges of it. */
  whole = false;
  readonly ranges = new Map<string, Prefix>();
  /** The name of the controller that made it, where several share the store. */
  readonly owner: string | undefined;
  readonly #edges: Ranges;
  readonly #reuseDelayMs: number;
  #options: Options;
  #holder: string | undefined;
  #reserved: Ranges;
  readonly #holders = new Map<bigint, string>();
  /** Held by a gateway or as an auxiliary address. */
  readonly #fixed = new Set<bigint>();

  /** @throws INVALID_ARGUMENT for an option that can't be read */
  constructor(options: AddressPoolOptions) {
    this.prefix = options.prefix;
    this.owner = options.owner;
    this.#options = options.options;
    this.#holder = options.holder;
    this.#reuseDelayMs = options.reuseDelayMs;
    this.#edges = new Ranges(edges(options.prefix));
    this.#reserved = new Ranges(reservedRanges(options.options, options.prefix));
    this.ledger = new Ledger({
      size: sizeOf(options.prefix),
      store: options.store,
      prefix: options.pagesPrefix,
      withheld: new Ranges([...this.#edges, ...this.#reserved]),
      restMs: reuseDelay(options.options, options.reuseDelayMs),
      clock: options.clock,
      onExhausted: options.onExhausted,
    });
  }

  /** The options that it was made with and that matter later. */
  get options(): Options {
    return this.#options;
  }

  /** Who it was made for, for error messages. */
  get holder(): string | undefined {
    return this.#holder;
  }

  /** Takes over options that another controller has given it. @throws INVALID_ARGUMENT */
  configure(options: Options, holder: string | undefined): void {
    const restMs = reuseDelay(options, this.#reuseDelayMs);
    this.#reserved = new Ranges(reservedRanges(options, this.prefix));
    this.#options = options;
    this.#holder = holder;
    this.ledger.configure({ restMs, withheld: new Ranges([...this.#edges, ...this.#reserved]) });
  }

  /** Whether the subnet as a whole, or the range, was asked for. */
  has(range: Prefix | undefined): boolean {
    return range ? this.ranges.has(formatPrefix(range)) : this.whole;
  }

  /** Notes that the subnet as a whole, or a range of it, was asked for, or is not any more. */
  mark(range: Prefix | undefined, there: boolean): void {
    if (!range) this.whole = there;
    else if (there) this.ranges.set(formatPrefix(range), range);
    else this.ranges.delete(formatPrefix(range));
  }

  /** Neither the subnet as a whole nor a range of it was asked for. */
  get isEmpty(): boolean {
    return !this.whole && this.ranges.size === 0;
  }

  get subnet(): string {
    return formatPrefix(this.prefix);
  }

  /** In words, for errors: `pool 10.9.0.0/24 (network front)`. */
  get title(): string {
    return `pool ${this.subnet}${this.holder === undefined ? '' : ` (${this.holder})`}`;
  }

  /** Takes an address for an owner; in CIDR form. */
  async request(range: Prefix | undefined, request: AddressRequest, owner: string): Promise<string> {
    const wanted = this.#wanted(request);
    const ordinal =
      wanted === undefined ? await this.#any(range, request, owner) : await this.#specific(wanted, owner);
    this.note(ordinal, request.holder, request.options?.[REQUEST_ADDRESS_TYPE] !== undefined);
    return formatCidr({ address: this.#address(ordinal), prefix: this.prefix });
  }

  /** Frees an address that the owner holds; false when it does not. */
  async release(ordinal: bigint, owner: string): Promise<boolean> {
    const released = await this.ledger.release(ordinal, owner);
    // Whoever took it in the same moment has noted itself already.
    if (this.ledger.ownerOf(ordinal) === undefined) this.note(ordinal, undefined, false);
    return released;
  }

  /** The ordinal of an address, given plain or in CIDR form. @throws INVALID_ARGUMENT when the pool has it not */
  ordinalOf(text: string): bigint {
    const address = parseAddress(text.split('/')[0] ?? '');
    if (address === undefined) throw invalid('address', text, 'must be an IP address');
    const ordinal = address.value - this.prefix.value;
    if (address.family !== this.prefix.family || ordinal < 0n || ordinal >= sizeOf(this.prefix))
      throw invalid('address', text, `is out of range: it must lie in ${this.subnet}`);
    return ordinal;
  }

  textOf(ordinal: bigint): string {
    return formatAddress(this.#address(ordinal));
  }

  /** Remembers who holds an address, for errors, and whether it counts as reserved. */
  note(ordinal: bigint, holder: string | undefined, fixed: boolean): void {
    if (holder === undefined) this.#holders.delete(ordinal);
    else this.#holders.set(ordinal, holder);
    if (fixed) this.#fixed.add(ordinal);
    else this.#fixed.delete(ordinal);
  }

  holderOf(ordinal: bigint): string | undefined {
    return this.#holders.get(ordinal);
  }

  usage(range: Prefix | undefined): PoolUsage {
    const [from, to] = this.#bounds(range);
    const edgeCount = this.#edges.countIn(from, to);
    let fixed = 0n;
    for (const ordinal of this.#fixed) if (ordinal >= from && ordinal <= to) fixed++;
    let waiting = 0n;
    for (const [start, end] of this.#reserved) {
      const [low, high] = [max(start, from), min(end, to)];
      if (low <= high)
        waiting += high - low + 1n - this.#edges.countIn(low, high) - this.ledger.countHeld(low, high);
    }
    return {
      capacity: to - from + 1n - edgeCount,
      used: this.ledger.countHeld(from, to) - fixed,
      reserved: edgeCount + fixed + waiting,
    };
  }

  /** The ordinal that a request names, by its address or by its MAC address. */
  #wanted(request: AddressRequest): bigint | undefined {
    if (request.address !== undefined) return this.ordinalOf(request.address);
    const fromMac = request.options?.[IPV6_FROM_MAC] ?? this.options[IPV6_FROM_MAC];
    const forEndpoint = request.options?.[REQUEST_ADDRESS_TYPE] === undefined;
    if (fromMac !== 'true' || this.prefix.family !== 'ipv6' || !forEndpoint) return undefined;
    return addressFromMac(this.prefix, request.options?.[MAC_ADDRESS]).value - this.prefix.value;
  }

  async #specific(ordinal: bigint, owner: string): Promise<bigint> {
    if (this.#edges.find(ordinal)) throw this.#inUse(ordinal, edgeName(this.prefix, ordinal));
    const other = await this.ledger.take(ordinal, owner);
    if (other === undefined) return ordinal;
    throw this.#inUse(
      ordinal,
      this.holderOf(ordinal) ?? (other === owner ? undefined : `controller ${other}`),
    );
  }

  async #any(range: Prefix | undefined, request: AddressRequest, owner: string): Promise<bigint> {
    const [from, to] = this.#bounds(range);
    const serial = (request.options?.[SERIAL] ?? this.options[SERIAL]) === 'true';
    const ordinal = await this.ledger.takeAny(from, to, { owner, serial });
    if (ordinal !== undefined) return ordinal;
    const { capacity, used, reserved } = this.usage(range);
    throw new LibnetworkError(
      'UNAVAILABLE',
      `no address is free in ${formatPrefix(range ?? this.prefix)}: of ${capacity}, ${used} are used and ${reserved} reserved; ` +
        'delete endpoints or give the network another pool',
      { field: 'poolId', value: request.poolId, limit: 'capacity' },
    );
  }

  #inUse(ordinal: bigint, holder: string | undefined): LibnetworkError {
    const address = this.textOf(ordinal);
    return new LibnetworkError('FORBIDDEN', `address ${address} is in use${holder ? ` by ${holder}` : ''}`, {
      field: 'address',
      value: address,
      ...(holder !== undefined && { holder }),
    });
  }

  #bounds(range: Prefix | undefined): Range {
    if (range === undefined) return [0n, sizeOf(this.prefix) - 1n];
    return [range.value - this.prefix.value, lastOf(range).value - this.prefix.value];
  }

  #address(ordinal: bigint): Address {
    return { family: this.prefix.family, value: this.prefix.value + ordinal };
  }
}

/**
 * The ordinals that are never given. IPv4: the network and the broadcast address, but none of a /31 (RFC 3021) or a
 * /32. IPv6: the first one of every size, the subnet-router anycast address (RFC 4291, 2.6.1).
 */
function edges(prefix: Prefix): Range[] {
  if (prefix.family === 'ipv6') return [[0n, 0n]];
  const last = sizeOf(prefix) - 1n;
  return prefix.length >= 31
    ? []
    : [
        [0n, 0n],
        [last, last],
      ];
}

function edgeName(prefix: Prefix, ordinal: bigint): string {
  if (prefix.family === 'ipv6') return `the subnet-router anycast address of ${formatPrefix(prefix)}`;
  return `${ordinal === 0n ? 'the network' : 'the broadcast'} address of ${formatPrefix(prefix)}`;
}
