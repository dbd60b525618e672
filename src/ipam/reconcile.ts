import { LibnetworkError } from '../errors.ts';
import { contains, formatAddress, formatPrefix, type Prefix, parseAddress } from '../ip.ts';
import type { HeldAddress, HeldPool, IpamReport, IpamWaits } from './ipam.ts';
import type { AddressPool } from './pool.ts';
import { formatPoolId, parsePoolId } from './poolid.ts';
import type { AddressSpace } from './space.ts';

export interface ReconcileOptions extends IpamWaits {
  /** Only tell what differs. */
  readonly dryRun?: boolean | undefined;
}

/** A subnet that records name, with everything that they name in it. */
interface Wanted {
  readonly subnet: Prefix;
  /** By range; the empty text stands for the subnet as a whole. */
  readonly parts: Map<string, { readonly range: Prefix | undefined; readonly held: HeldPool }>;
  readonly addresses: Map<string, HeldAddress>;
}

/**
 * Makes a space hold what records name, and nothing else. In a space that others share, what they hold is left to
 * them, unless their lease has gone.
 */
export async function reconcile(
  space: AddressSpace,
  held: readonly HeldPool[],
  options: ReconcileOptions,
): Promise<IpamReport> {
  const pass = new Pass(space, options.dryRun ?? false);
  const wanted = pass.collect(held);
  await space.change(options, async () => {
    if (space.members) await space.refresh();
    await pass.removePools(wanted);
    await pass.addPools(wanted);
  });
  for (const each of wanted.values()) await pass.repairAddresses(each);
  return { missing: [...pass.missing], orphaned: [...pass.orphaned] };
}

/** One run: what it found, and the repairs. Lines are sets, since a conflict with others makes it look twice. */
class Pass {
  readonly missing = new Set<string>();
  readonly orphaned = new Set<string>();
  readonly #space: AddressSpace;
  readonly #dryRun: boolean;

  constructor(space: AddressSpace, dryRun: boolean) {
    this.#space = space;
    this.#dryRun = dryRun;
  }

  collect(held: readonly HeldPool[]): Map<string, Wanted> {
    const wanted = new Map<string, Wanted>();
    for (const each of held) {
      const { subnet, range } = parsePoolId(each.pool.id);
      const key = formatPrefix(subnet);
      const entry: Wanted = wanted.get(key) ?? { subnet, parts: new Map(), addresses: new Map() };
      wanted.set(key, entry);
      entry.parts.set(range ? formatPrefix(range) : '', { range, held: each });
      for (const address of each.addresses) this.#collectAddress(entry, each, address);
    }
    return wanted;
  }

  /** Pools and ranges that no record names, and that are ours to drop. */
  async removePools(wanted: ReadonlyMap<string, Wanted>): Promise<void> {
    const strangers = await this.#strangers();
    for (const pool of [...this.#space.pools()]) {
      const parts = wanted.get(pool.subnet)?.parts;
      if (pool.owner !== undefined && strangers.has(pool.owner)) continue;
      if (!parts && (await this.#usedByOthers(pool))) continue;
      const there = [...(pool.whole ? [undefined] : []), ...pool.ranges.values()];
      for (const range of there) {
        if (parts?.has(range ? formatPrefix(range) : '')) continue;
        this.orphaned.add(`pool ${formatPoolId({ space: this.#space.name, subnet: pool.prefix, range })}`);
        if (!this.#dryRun) await this.#space.drop({ pool, range });
      }
    }
  }

  async addPools(wanted: ReadonlyMap<string, Wanted>): Promise<void> {
    for (const { subnet, parts } of wanted.values()) {
      const pool = this.#space.poolOf(subnet);
      for (const [text, { range, held }] of parts) {
        if (range ? pool?.ranges.has(text) : pool?.whole) continue;
        const refusal = this.#dryRun ? undefined : await this.#add(subnet, range, held);
        this.missing.add(`pool ${held.pool.id}${refusal === undefined ? '' : `: ${refusal}`}`);
      }
    }
  }

  async repairAddresses(wanted: Wanted): Promise<void> {
    const pool = this.#space.poolOf(wanted.subnet);
    const ordinals = new Map<bigint, HeldAddress>();
    for (const [address, held] of wanted.addresses) {
      if (pool) ordinals.set(pool.ordinalOf(address), held);
      else this.missing.add(this.#line(address, wanted.subnet, held.holder));
    }
    if (!pool) return;
    await pool.ledger.refresh();
    await this.#releaseOrphans(pool, ordinals);
    const label = await this.#space.label();
    await Promise.all([...ordinals].map(([ordinal, held]) => this.#restore(pool, ordinal, held, label)));
  }

  #collectAddress(wanted: Wanted, { pool }: HeldPool, held: HeldAddress): void {
    const parsed = parseAddress(held.address.split('/')[0] ?? '');
    if (!parsed || !contains(wanted.subnet, parsed)) {
      this.missing.add(`${held.address} of ${pool.id} (${held.holder}): it is not in the subnet`);
      return;
    }
    const address = formatAddress(parsed);
    const other = wanted.addresses.get(address);
    if (other && other.holder !== held.holder)
      this.missing.add(`${address} of ${pool.id} (${held.holder}): ${other.holder} holds it, too`);
    else wanted.addresses.set(address, held);
  }

  async #add(subnet: Prefix, range: Prefix | undefined, held: HeldPool): Promise<string | undefined> {
    try {
      await this.#space.add(subnet, range, held);
      return undefined;
    } catch (error) {
      // Two records overlap, or a record and another controller's pool: nothing that we could decide.
      if (LibnetworkError.is(error, 'FORBIDDEN')) return error.message;
      throw error;
    }
  }

  async #releaseOrphans(pool: AddressPool, wanted: ReadonlyMap<bigint, HeldAddress>): Promise<void> {
    const orphans = [...pool.ledger.held()].filter(({ ordinal }) => !wanted.has(ordinal));
    const mine = await this.#mine(orphans.map(({ owner }) => owner));
    await Promise.all(
      orphans.map(async ({ ordinal, owner }) => {
        if (!mine.has(owner)) return;
        this.orphaned.add(this.#line(pool.textOf(ordinal), pool.prefix, pool.holderOf(ordinal)));
        if (!this.#dryRun) await pool.release(ordinal, owner);
      }),
    );
  }

  async #restore(
    pool: AddressPool,
    ordinal: bigint,
    { holder, reserved, shared }: HeldAddress,
    label: string,
  ): Promise<void> {
    const owner = pool.ledger.ownerOf(ordinal);
    if (owner === undefined) {
      const other = this.#dryRun ? undefined : await pool.ledger.take(ordinal, label);
      const line = this.#line(pool.textOf(ordinal), pool.prefix, holder);
      this.missing.add(other === undefined ? line : `${line}: controller ${other} holds it`);
    } else if (owner !== label && !(await this.#mine([owner])).has(owner)) {
      if (shared) return;
      this.missing.add(
        `${this.#line(pool.textOf(ordinal), pool.prefix, holder)}: controller ${owner} holds it`,
      );
      return;
    } else if (owner !== label && !this.#dryRun) await pool.ledger.relabel(ordinal, owner, label);
    if (!this.#dryRun) pool.note(ordinal, holder, reserved ?? false);
  }

  /** Which of these labels are this controller's, or nobody's any more. */
  async #mine(labels: readonly string[]): Promise<ReadonlySet<string>> {
    const { members } = this.#space;
    const different = new Set(labels);
    if (!members) return different;
    const mine = new Set(await members.gone(different));
    for (const label of different) if (await members.isMine(label)) mine.add(label);
    return mine;
  }

  async #usedByOthers(pool: AddressPool): Promise<boolean> {
    const labels = new Set([...pool.ledger.held()].map(({ owner }) => owner));
    return (await this.#mine([...labels])).size < labels.size;
  }

  /** The owners of pools that are other controllers and still there. */
  async #strangers(): Promise<ReadonlySet<string>> {
    const { members } = this.#space;
    const owners = new Set([...this.#space.pools()].flatMap(({ owner }) => owner ?? []));
    const gone = (await members?.without(owners)) ?? owners;
    const label = await this.#space.label();
    return new Set([...owners].filter((owner) => !gone.has(owner) && !label.startsWith(`${owner}/`)));
  }

  #line(address: string, subnet: Prefix, holder: string | undefined): string {
    const id = formatPoolId({ space: this.#space.name, subnet, range: undefined });
    return `${address} of ${id}${holder === undefined ? '' : ` (${holder})`}`;
  }
}
