import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { diff } from '../../../src/osl/firewall/diff.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import { decodeLink, encodeNewLink } from '../../../src/osl/linux/netlink/link.ts';
import * as tc from '../../../src/osl/linux/netlink/qdisc.ts';
import {
  decodeChain,
  decodeElements,
  decodeRule,
  decodeSet,
} from '../../../src/osl/linux/nftables/decode.ts';
import { encodeTransaction } from '../../../src/osl/linux/nftables/encode.ts';
import { SCENES } from '../firewall/intents.ts';

const TABLE = 'libnetwork-test';

/** Everything that a table of ours consists of, as messages. */
const rules = Object.values(SCENES)
  .flatMap((scene) => encodeTransaction(diff(TABLE, undefined, Ruleset.of(TABLE, scene).table())))
  .map(({ payload }) => payload);
const bandwidth = [
  tc.encodeBucket(3, { rate: 5e9, burst: 1e6, limit: 2e6 }),
  tc.encodeIngress(3),
  tc.encodeRedirection(3, 7),
  tc.encodeShares(3, 10),
  tc.encodeShare(3, { id: 10, rate: 1e6, ceiling: 5e9, burst: 1e5 }),
];
const links = [
  encodeNewLink({ name: 'vx' }, { kind: 'vxlan', id: 4097, port: 4789, local: Buffer.alloc(16, 1) }),
  encodeNewLink({ name: 'v' }, { kind: 'vlan', parent: 3, id: 7 }),
];

/** Messages that are cut off, have one byte changed, or are nothing but random. */
function broken(whole: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const damaged = fc
    .tuple(fc.constantFrom(...whole), fc.nat(600), fc.nat(599), fc.nat(255))
    .map(([message, cut, at, value]) => {
      const data = Buffer.from(message.subarray(0, cut));
      if (at < data.length) data[at] = value;
      return data;
    });
  return fc.oneof(
    damaged,
    fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
  );
}

const set = { name: 's', key: ['ipv4', 'protocol', 'port'], value: 'ipv4 . port' } as const;
const decoders: Readonly<
  Record<string, readonly [readonly Buffer[], readonly ((data: Buffer) => unknown)[]]>
> = {
  'of rules, chains and sets': [
    rules,
    [
      (data) => decodeChain(data, TABLE),
      decodeRule,
      decodeSet,
      (data) => decodeElements(data, set),
      (data) => decodeElements(data, { ...set, value: 'verdict' }),
    ],
  ],
  'of bandwidth limits': [bandwidth, [tc.decodeBucketRate, tc.decodeRedirection, tc.decodeShare]],
  'of links': [links, [decodeLink]],
};

describe('decoders', () => {
  it.each(Object.entries(decoders))(
    '%s answer broken messages with a value or a typed error',
    (_, [whole, all]) => {
      fc.assert(
        fc.property(broken(whole), (data) => {
          for (const decode of all) {
            try {
              decode(data);
            } catch (error) {
              expect(error).toBeInstanceOf(LibnetworkError);
            }
          }
        }),
        { numRuns: 2000 },
      );
    },
  );
});

describe('bandwidth limits', () => {
  const rates = fc.integer({ min: 1, max: 2 ** 40 });

  it('come back as they went', () => {
    fc.assert(
      fc.property(rates, rates, fc.integer({ min: 1, max: 65535 }), (rate, more, id) => {
        const bucket = { rate, burst: 65_536, limit: 100_000 };
        expect(tc.decodeBucketRate(tc.encodeBucket(3, bucket))).toBe(rate);
        const share = { id, rate, ceiling: rate + more };
        expect(tc.decodeShare(tc.encodeShare(3, { ...share, burst: 65_536 }))).toEqual(share);
        expect(tc.decodeRedirection(tc.encodeRedirection(3, id))).toBe(id);
      }),
    );
  });

  it('are told apart', () => {
    const [bucket, ingress, redirection, shares, share] = bandwidth;
    for (const each of [bucket, ingress, redirection, shares])
      expect(each && tc.decodeShare(each)).toBeUndefined();
    for (const each of [ingress, shares, share]) expect(each && tc.decodeBucketRate(each)).toBeUndefined();
  });
});
