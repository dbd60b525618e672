import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../../src/ip.ts';
import type { KeyType } from '../../../src/osl/firewall/model.ts';
import { encodeTransaction } from '../../../src/osl/linux/nftables/encode.ts';
import { decodeUserdata, encodeUserdata } from '../../../src/osl/linux/nftables/userdata.ts';
import { decodeValue, encodeValue, typeNumber, typesOf } from '../../../src/osl/linux/nftables/values.ts';

const texts: Readonly<Record<KeyType, fc.Arbitrary<string>>> = {
  ipv4: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => formatAddress({ family: 'ipv4', value })),
  ipv6: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => formatAddress({ family: 'ipv6', value })),
  ifname: fc.stringMatching(/^[a-z0-9.-]{1,15}$/),
  protocol: fc.constantFrom('tcp', 'udp', 'sctp', 'icmp', 'icmpv6'),
  port: fc.integer({ min: 0, max: 65535 }).map(String),
  slot: fc.integer({ min: 0, max: 2 ** 31 - 1 }).map(String),
};
const types = fc.array(fc.constantFrom(...(Object.keys(texts) as KeyType[])), { minLength: 1, maxLength: 5 });

describe('values of nf_tables', () => {
  it('come back as they were, whatever they are put together of', () => {
    const value = types.chain((list) =>
      fc.tuple(fc.constant(list), fc.tuple(...list.map((type) => texts[type]))),
    );
    fc.assert(
      fc.property(value, ([list, parts]) => {
        expect(decodeValue(list, encodeValue(list, parts))).toEqual(parts);
      }),
    );
  });

  it('have types that come back from their number', () => {
    fc.assert(
      fc.property(types, (list) => {
        expect(typesOf(typeNumber(list))).toEqual(list);
      }),
    );
  });

  it('start each part in a register of its own', () => {
    const bytes = encodeValue(['ipv4', 'protocol', 'port'], ['10.9.0.2', 'tcp', '80']);
    expect(bytes.toString('hex')).toBe('0a090002' + '06000000' + '00500000');
  });
});

describe('the userdata of a rule', () => {
  it('gives comment and mark back', () => {
    const comment = fc.string({ maxLength: 60 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(comment, fc.stringMatching(/^[0-9a-f]{16}$/), (text, mark) => {
        expect(decodeUserdata(encodeUserdata(text, mark))).toEqual({ comment: text, mark });
      }),
    );
  });

  it('of somebody else has no mark', () => {
    expect(decodeUserdata(Buffer.from('\x00\x03hi\0'))).toEqual({ comment: 'hi', mark: '' });
    expect(decodeUserdata(Buffer.alloc(0))).toEqual({ comment: '', mark: '' });
  });

  it('fits what the kernel keeps, however long the comment', () => {
    expect(encodeUserdata('x'.repeat(1000), '0'.repeat(16)).length).toBeLessThanOrEqual(256);
  });
});

describe('a transaction as messages', () => {
  const set = { name: 'open4', key: ['ipv4', 'protocol', 'port'], value: 'none' } as const;

  it('is what nft sends for an element', () => {
    const [request] = encodeTransaction({
      table: 't',
      operations: [{ op: 'addElements', set, elements: [{ key: ['10.0.0.1', 'tcp', '80'] }] }],
    });
    const expected = [
      '01000000', // nfgenmsg: family inet
      '0600010074000000', // NFTA_SET_ELEM_LIST_TABLE "t"
      '0a0002006f70656e34000000', // NFTA_SET_ELEM_LIST_SET "open4"
      '1c000380' + '18000180', // NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM
      '14000180' + '10000100', // NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
      '0a000001' + '06000000' + '00500000',
    ];
    expect(request?.payload.toString('hex')).toBe(expected.join(''));
  });

  it('splits many elements, as an attribute ends at 64 KiB', () => {
    const elements = Array.from({ length: 10_000 }, (_, index) => ({
      key: ['10.0.0.1', 'tcp', String(index + 1)],
    }));
    const requests = encodeTransaction({ table: 't', operations: [{ op: 'addElements', set, elements }] });
    expect(requests.length).toBe(40);
    expect(Math.max(...requests.map(({ payload }) => payload.length))).toBeLessThan(65_535);
  });
});
