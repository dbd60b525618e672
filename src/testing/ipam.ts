import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LibnetworkError } from '../errors.ts';
import {
  contains,
  FAMILIES,
  type Family,
  formatAddress,
  lastOf,
  overlaps,
  type Prefix,
  parseAddress,
  parseCidr,
  parsePrefix,
} from '../ip.ts';
import type { AllocatedPool, Ipam, PoolRequest } from '../ipam/ipam.ts';

/** What an IPAM may say it does not do. The suite leaves those promises out. */
export type IpamDeviation =
  | 'no-ipv4'
  | 'no-ipv6'
  /** It takes no subnet: pools are always of its choosing. */
  | 'no-subnets'
  /** It chooses no subnet: pools must be named. */
  | 'no-default-pools'
  /** It takes no range within a subnet. */
  | 'no-ranges'
  /** It gives no addresses: their text is empty. */
  | 'no-addresses'
  /** Its 'in use' errors do not name the holder. */
  | 'no-holders'
  /** It can't be asked what it holds, and so not be repaired. */
  | 'no-repair'
  /** What it refuses, it refuses with codes of its own choosing: a plugin tells us text only. */
  | 'untyped-errors';

export interface IpamSubject {
  /** Shown in the tests' names. */
  readonly name: string;
  /** A new IPAM without pools. */
  readonly open: () => Promise<Ipam>;
  /** Called after each test. */
  readonly close?: (ipam: Ipam) => Promise<void>;
  /** Subnets that it takes: one of at least 256 addresses, and one with exactly two that can be given. */
  readonly subnets?: Readonly<Partial<Record<Family, { readonly wide: string; readonly two: string }>>>;
  readonly deviations?: readonly IpamDeviation[];
}

const SUBNETS = {
  ipv4: { wide: '10.91.0.0/22', two: '10.92.0.0/30' },
  // Three addresses after the anycast address; the suite takes the first itself.
  ipv6: { wide: 'fd91::/64', two: 'fd92::/126' },
} as const;

interface Current {
  readonly ipam: Ipam;
  readonly space: string;
  readonly family: Family;
  readonly wide: string;
  readonly two: string;
  /** Asks for a pool of the family under test. */
  request(more?: Partial<PoolRequest>): Promise<AllocatedPool>;
  /** The error that a call fails with, which must have one of the codes, where the subject has typed errors. */
  failsWith(codes: Codes, call: Promise<unknown>): Promise<LibnetworkError>;
}

type Codes = LibnetworkError['code'] | readonly LibnetworkError['code'][];

/** The promises of `Ipam`, as tests. Call it at the top of a vitest file. */
export function ipamContract(subject: IpamSubject): void {
  const deviates = (deviation: IpamDeviation) => subject.deviations?.includes(deviation) ?? false;
  const families = FAMILIES.filter((family) => !deviates(`no-${family}`));

  describe(`ipam contract: ${subject.name}`, () => {
    let ipam: Ipam;
    let space: string;
    beforeEach(async () => {
      ipam = await subject.open();
      space = (await ipam.defaultAddressSpaces()).local;
    });
    afterEach(() => subject.close?.(ipam));

    it('has a name and two address spaces whose names fit into pool ids', async () => {
      expect(ipam.name).not.toBe('');
      const { local, global } = await ipam.defaultAddressSpaces();
      for (const each of [local, global]) expect(each).toMatch(/^[^/]+$/);
    });

    describe.each(families)('%s', (family) => {
      const current = (): Current => ({
        ipam,
        space,
        family,
        ...(subject.subnets?.[family] ?? SUBNETS[family]),
        request: (more) => ipam.requestPool({ addressSpace: space, family, ...more }),
        failsWith: (codes, call) => failure(call, deviates('untyped-errors') ? undefined : codes),
      });
      describe('requests', () => requestPromises(current));
      describe.skipIf(deviates('no-default-pools'))('default pools', () => defaultPoolPromises(current));
      describe.skipIf(deviates('no-subnets'))('subnets', () => subnetPromises(current));
      describe.skipIf(deviates('no-subnets') || deviates('no-addresses'))('addresses', () => {
        addressPromises(current);
        it.skipIf(deviates('no-holders'))('names the holder of an address that is in use', () =>
          namesHolder(current()),
        );
      });
      describe.skipIf(deviates('no-ranges') || deviates('no-subnets'))('ranges', () =>
        rangePromises(current),
      );
      const unrepaired = deviates('no-subnets') || deviates('no-addresses') || deviates('no-repair');
      describe.skipIf(unrepaired)('usage and repair', () => repairPromises(current));
      it.runIf(deviates('no-addresses'))('answers an empty address', async () => {
        const pool = await current().request();
        expect(await ipam.requestAddress({ poolId: pool.id })).toEqual({ address: '', data: {} });
        await ipam.releaseAddress(pool.id, '');
      });
    });
  });
}

function requestPromises(current: () => Current): void {
  it('refuses an address space that it does not have', async () => {
    const { request, failsWith } = current();
    await failsWith('INVALID_ARGUMENT', request({ addressSpace: 'no such space' }));
  });

  it('refuses a pool id that it did not give', async () => {
    const { ipam, failsWith } = current();
    const unknown = 'LocalDefault/203.0.113.0/24';
    await failsWith(['NOT_FOUND', 'INVALID_ARGUMENT'], ipam.releasePool(unknown));
    await failsWith(['NOT_FOUND', 'INVALID_ARGUMENT'], ipam.requestAddress({ poolId: unknown }));
    await failsWith(['NOT_FOUND', 'INVALID_ARGUMENT'], ipam.releaseAddress(unknown, '203.0.113.1'));
  });

  it('refuses a range without a subnet, and a subnet that is none', async () => {
    const { request, two, failsWith } = current();
    await failsWith('INVALID_ARGUMENT', request({ ipRange: two }));
    for (const subnet of ['/24', 'nonsense', '10.0.0.0/33', '10.0.0/8'])
      await failsWith('INVALID_ARGUMENT', request({ subnet }));
  });

  it('does nothing for a caller whose signal has fired', async () => {
    const { ipam, space, family, failsWith } = current();
    const { signal } = abortedController();
    await failsWith('ABORTED', ipam.requestPool({ addressSpace: space, family }, { signal }));
  });
}

function defaultPoolPromises(current: () => Current): void {
  it('gives a pool of the family, in the form of a prefix', async () => {
    const { request, family } = current();
    const pool = await request();
    expect(prefix(pool.subnet).family).toBe(family);
    expect(pool.meta).toBeTypeOf('object');
  });

  it('gives a pool that was released', async () => {
    const { request, ipam } = current();
    const pool = await request();
    await ipam.releasePool(pool.id);
    await expect(request()).resolves.toBeDefined();
  });

  it('gives pools that do not overlap, also when asked all at once', async (context) => {
    const { request } = current();
    const first = await request();
    context.skip(prefix(first.subnet).length === 0, 'its pools hold everything');
    const pools = [first, ...(await Promise.all(Array.from({ length: 5 }, () => request())))];
    for (const a of pools)
      for (const b of pools) expect(a === b || !overlaps(prefix(a.subnet), prefix(b.subnet))).toBe(true);
  });

  it('gives no pool that overlaps what is excluded', async (context) => {
    const { request, ipam } = current();
    const first = await request();
    context.skip(prefix(first.subnet).length === 0, 'its pools hold everything');
    await ipam.releasePool(first.id);
    const pool = await request({ exclude: [{ prefix: first.subnet, reason: 'a route' }] });
    expect(overlaps(prefix(pool.subnet), prefix(first.subnet))).toBe(false);
  });
}

function subnetPromises(current: () => Current): void {
  it('gives the subnet that was asked for', async () => {
    const { request, wide } = current();
    expect((await request({ subnet: wide })).subnet).toBe(wide);
  });

  it('refuses a subnet of the other family', async () => {
    const { request, family, failsWith } = current();
    await failsWith(
      'INVALID_ARGUMENT',
      request({ subnet: SUBNETS[family === 'ipv4' ? 'ipv6' : 'ipv4'].wide }),
    );
  });

  it('refuses a subnet that overlaps a pool, and gives it once that is released', async () => {
    const { request, wide, ipam, failsWith } = current();
    const pool = await request({ subnet: wide });
    const { family, value, length } = prefix(wide);
    const half = `${wide.split('/')[0]}/${length + 1}`;
    expect(contains({ family, value, length }, prefix(half))).toBe(true);
    await failsWith('FORBIDDEN', request({ subnet: wide }));
    await failsWith('FORBIDDEN', request({ subnet: half }));
    await ipam.releasePool(pool.id);
    await request({ subnet: half });
    await failsWith('FORBIDDEN', request({ subnet: wide }));
  });

  it('refuses to release a pool twice', async () => {
    const { request, wide, ipam, failsWith } = current();
    const pool = await request({ subnet: wide });
    await ipam.releasePool(pool.id);
    await failsWith('NOT_FOUND', ipam.releasePool(pool.id));
    await failsWith('NOT_FOUND', ipam.requestAddress({ poolId: pool.id }));
  });
}

function addressPromises(current: () => Current): void {
  it("gives different addresses of the subnet, with the subnet's length, also when asked all at once", async () => {
    const { request, wide, ipam } = current();
    const { id } = await request({ subnet: wide });
    const got = await Promise.all(Array.from({ length: 64 }, () => ipam.requestAddress({ poolId: id })));
    expect(new Set(got.map(({ address }) => address)).size).toBe(64);
    for (const { address } of got) expect(parseCidr(address)?.prefix).toEqual(prefix(wide));
  });

  it('gives the address that was asked for, once', async () => {
    const { request, wide, ipam, failsWith } = current();
    const { id } = await request({ subnet: wide });
    const { address } = await ipam.requestAddress({ poolId: id });
    await failsWith('FORBIDDEN', ipam.requestAddress({ poolId: id, address: plain(address) }));
    await ipam.releaseAddress(id, plain(address));
    expect((await ipam.requestAddress({ poolId: id, address: plain(address) })).address).toBe(address);
  });

  it('refuses an address outside the subnet', async () => {
    const { request, wide, two, ipam, failsWith } = current();
    const { id } = await request({ subnet: wide });
    await failsWith('INVALID_ARGUMENT', ipam.requestAddress({ poolId: id, address: plain(two) }));
    await failsWith('INVALID_ARGUMENT', ipam.requestAddress({ poolId: id, address: 'nonsense' }));
  });

  it('takes the release of an address that nobody holds', async () => {
    const { request, wide, ipam } = current();
    const { id } = await request({ subnet: wide });
    const { address } = await ipam.requestAddress({ poolId: id });
    await ipam.releaseAddress(id, plain(address));
    await ipam.releaseAddress(id, plain(address));
  });

  it('gives neither the first address nor the broadcast address, and says when nothing is left', async () => {
    const { request, two, ipam, family, failsWith } = current();
    const { id } = await request({ subnet: two });
    const count = family === 'ipv4' ? 2 : 3;
    const got: string[] = [];
    for (let i = 0; i < count; i++) got.push(plain((await ipam.requestAddress({ poolId: id })).address));
    const { value } = prefix(two);
    expect(got.map((text) => (parseAddress(text)?.value ?? 0n) - value)).toEqual(
      Array.from({ length: count }, (_, i) => BigInt(i + 1)),
    );
    await failsWith('UNAVAILABLE', ipam.requestAddress({ poolId: id }));
    await ipam.releaseAddress(id, got[0] ?? '');
    expect(plain((await ipam.requestAddress({ poolId: id })).address)).toBe(got[0]);
  });

  it('gives nothing to a caller whose signal has fired', async () => {
    const { request, two, ipam, family, failsWith } = current();
    const { id } = await request({ subnet: two });
    const { signal } = abortedController();
    await failsWith('ABORTED', ipam.requestAddress({ poolId: id }, { signal }));
    for (let i = 0; i < (family === 'ipv4' ? 2 : 3); i++) await ipam.requestAddress({ poolId: id });
  });
}

async function namesHolder({ request, wide, ipam, failsWith }: Current): Promise<void> {
  const { id } = await request({ subnet: wide });
  const { address } = await ipam.requestAddress({ poolId: id, holder: 'endpoint web' });
  const error = await failsWith('FORBIDDEN', ipam.requestAddress({ poolId: id, address: plain(address) }));
  expect(error.holder).toBe('endpoint web');
  expect(error.message).toContain('endpoint web');
}

function rangePromises(current: () => Current): void {
  const lower = (wide: string) => {
    const { length } = prefix(wide);
    return `${plain(wide)}/${length + 1}`;
  };

  it("gives addresses of the range, with the subnet's length", async () => {
    const { request, wide, ipam } = current();
    const ipRange = lower(wide);
    const pool = await request({ subnet: wide, ipRange });
    expect(pool.subnet).toBe(wide);
    const { address } = await ipam.requestAddress({ poolId: pool.id });
    expect(parseCidr(address)?.prefix).toEqual(prefix(wide));
    expect(contains(prefix(ipRange), { ...prefix(address, true) })).toBe(true);
  });

  it('gives an address outside the range, but in the subnet, to who asks for it', async () => {
    const { request, wide, ipam } = current();
    const pool = await request({ subnet: wide, ipRange: lower(wide) });
    const above = lastOf(prefix(lower(wide))).value + 2n;
    const wanted = plain(formatOf(prefix(wide), above));
    expect(plain((await ipam.requestAddress({ poolId: pool.id, address: wanted })).address)).toBe(wanted);
  });

  it('refuses a range outside the subnet', async () => {
    const { request, wide, two, failsWith } = current();
    await failsWith('INVALID_ARGUMENT', request({ subnet: wide, ipRange: two }));
  });
}

function repairPromises(current: () => Current): void {
  it('counts what is used', async (context) => {
    const { request, wide, ipam } = current();
    const { id } = await request({ subnet: wide });
    const before = await ipam.usage?.(id);
    if (before === undefined) return context.skip('it can not tell');
    const { address } = await ipam.requestAddress({ poolId: id });
    expect(await ipam.usage?.(id)).toEqual({ ...before, used: before.used + 1n });
    await ipam.releaseAddress(id, plain(address));
    expect(await ipam.usage?.(id)).toEqual(before);
  });

  it('takes what records hold, releases what they do not, and finds nothing the second time', async (context) => {
    const { request, wide, ipam, space, failsWith } = current();
    const pool = await request({ subnet: wide });
    if (ipam.reconcile === undefined) return context.skip('it keeps no state');
    const [kept, lost] = [
      await ipam.requestAddress({ poolId: pool.id }),
      await ipam.requestAddress({ poolId: pool.id }),
    ];
    const absent = plain(formatOf(prefix(wide), prefix(wide).value + 77n));
    const addresses = [
      { address: kept.address, holder: 'endpoint kept' },
      { address: absent, holder: 'endpoint absent' },
    ];
    const held = [{ pool, addressSpace: space, addresses }];

    const plan = await ipam.reconcile(held, { dryRun: true });
    expect(await ipam.reconcile(held)).toEqual(plan);
    expect(plan.missing).toHaveLength(1);
    expect(plan.missing[0]).toContain(absent);
    expect(plan.missing[0]).toContain('endpoint absent');
    expect(plan.orphaned).toHaveLength(1);
    expect(plan.orphaned[0]).toContain(plain(lost.address));
    expect(await ipam.reconcile(held)).toEqual({ missing: [], orphaned: [] });

    const error = await failsWith('FORBIDDEN', ipam.requestAddress({ poolId: pool.id, address: absent }));
    expect(error.holder).toBe('endpoint absent');
    await ipam.requestAddress({ poolId: pool.id, address: plain(lost.address) });
  });

  it('releases a pool that no record names, and restores one that it lost', async (context) => {
    const { request, wide, two, ipam, space, failsWith } = current();
    const pool = await request({ subnet: wide });
    if (ipam.reconcile === undefined) return context.skip('it keeps no state');
    await request({ subnet: two });
    await ipam.releasePool(pool.id);
    const report = await ipam.reconcile([{ pool, addressSpace: space, addresses: [] }]);
    expect(report.missing).toEqual([expect.stringContaining(pool.id)]);
    expect(report.orphaned).toEqual([expect.stringContaining(two)]);
    await failsWith('FORBIDDEN', request({ subnet: wide }));
    await request({ subnet: two });
  });
}

async function failure(call: Promise<unknown>, codes: Codes | undefined): Promise<LibnetworkError> {
  const error: unknown = await call.then(
    () => expect.unreachable('it should have failed'),
    (reason: unknown) => reason,
  );
  if (!LibnetworkError.is(error)) throw error;
  if (codes !== undefined) expect([codes].flat()).toContain(error.code);
  return error;
}

function abortedController(): AbortController {
  const controller = new AbortController();
  controller.abort(new Error('the caller has gone'));
  return controller;
}

function plain(cidr: string): string {
  return cidr.split('/')[0] ?? cidr;
}

/** The prefix of a text; of an address in CIDR form, with `host` the address itself. */
function prefix(text: string, host = false): Prefix {
  const parsed = host
    ? parseCidr(`${plain(text)}/${text.includes(':') ? 128 : 32}`)?.prefix
    : parsePrefix(text);
  if (parsed === undefined) return expect.unreachable(`${text} is not a prefix`);
  return parsed;
}

function formatOf({ family, length }: Prefix, value: bigint): string {
  return `${formatAddress({ family, value })}/${length}`;
}
