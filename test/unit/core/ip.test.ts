import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import {
  contains,
  formatAddress,
  formatPrefix,
  fromBytes,
  lastOf,
  overlaps,
  parseAddress,
  parseCidr,
  parsePrefix,
  prefixOf,
  reverseName,
  sizeOf,
  toBytes,
} from '../../../src/ip.ts';

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);

describe('addresses', () => {
  it('reads back what it writes, for every address of both families', () => {
    fc.assert(
      fc.property(bytes, (raw) => {
        const address = fromBytes(raw);
        expect(parseAddress(formatAddress(address))).toEqual(address);
        expect([...toBytes(address)]).toEqual([...raw]);
      }),
    );
  });

  it('writes the same canonical text as a second library', () => {
    fc.assert(
      fc.property(bytes, (raw) => {
        const other = ipaddr.fromByteArray([...raw]);
        const mapped = other.kind() === 'ipv6' && (other as ipaddr.IPv6).isIPv4MappedAddress();
        fc.pre(!mapped);
        const text = other.kind() === 'ipv6' ? (other as ipaddr.IPv6).toRFC5952String() : other.toString();
        expect(formatAddress(fromBytes(raw))).toBe(text);
      }),
    );
  });

  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'],
  ])('writes %s as %s', (text, canonical) => {
    const address = parseAddress(text);
    expect(address && formatAddress(address)).toBe(canonical);
  });

  it.each(['', 'a', '1.2.3', '1.2.3.4.5', '::1%lo', '1::2::3', '01.2.3.4', '1.2.3.4 '])(
    'refuses %j',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  it('names the reverse zone of both families', () => {
    const name = (text: string) => {
      const address = parseAddress(text);
      return address && reverseName(address);
    };
    expect(name('10.9.0.5')).toBe('5.0.9.10.in-addr.arpa');
    expect(name('fd00::1')).toBe(`1.${'0.'.repeat(29)}d.f.ip6.arpa`);
  });
});

describe('prefixes', () => {
  const cidr = fc.tuple(bytes, fc.nat(128)).map(([raw, n]) => {
    const address = fromBytes(raw);
    return { address, prefix: prefixOf(address, n % (raw.length * 8 + 1)) };
  });

  it('holds its first and its last address and nothing beyond', () => {
    fc.assert(
      fc.property(cidr, ({ address, prefix }) => {
        expect(contains(prefix, address)).toBe(true);
        expect(contains(prefix, lastOf(prefix))).toBe(true);
        expect(contains(prefix, { family: prefix.family, value: prefix.value + sizeOf(prefix) })).toBe(false);
        expect(parsePrefix(formatPrefix(prefix))).toEqual(prefix);
      }),
    );
  });

  it('overlaps exactly where one holds the first address of the other', () => {
    fc.assert(
      fc.property(cidr, cidr, ({ prefix: a }, { prefix: b }) => {
        const expected =
          contains(a, { family: b.family, value: b.value }) ||
          contains(b, { family: a.family, value: a.value });
        expect(overlaps(a, b)).toBe(expected);
      }),
    );
  });

  it('tells an address with its length from a prefix', () => {
    expect(parseCidr('10.9.0.5/24')?.prefix).toEqual(parsePrefix('10.9.0.0/24'));
    expect(parsePrefix('10.9.0.5/24')).toBeUndefined();
    expect(parseCidr('10.9.0.5/33')).toBeUndefined();
  });
});
