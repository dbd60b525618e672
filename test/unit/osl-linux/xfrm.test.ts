import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { type Address, fromBytes, parseAddress, prefixOf } from '../../../src/ip.ts';
import { decodeRule, encodeRule, formatRule, type RuleFields } from '../../../src/osl/linux/netlink/rule.ts';
import { decodePolicy, encodePolicy, encodePolicyId } from '../../../src/osl/linux/netlink/xfrm-policy.ts';
import { decodeState, encodeState, encodeStateId } from '../../../src/osl/linux/netlink/xfrm-state.ts';
import { applyXfrm } from '../../../src/osl/linux/xfrm.ts';
import type { XfrmChange } from '../../../src/osl/osl.ts';

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

const host = (text: string) => prefixOf(address(text), text.includes(':') ? 128 : 32);
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i + 1);
const zeros = (count: number) => '00'.repeat(count);
const ones = (count: number) => 'ff'.repeat(count);

/** The mark and the request id are the ones that Docker's encrypted overlays use. */
const mark = { value: 0xd0c4e3, mask: 0xffff_ffff };
const state = {
  source: address('10.9.0.1'),
  destination: address('10.9.0.2'),
  spi: 0xabcdef01,
  reqid: 13681891,
  mode: 'transport',
  key: counting(20),
  icvBits: 64,
  replayWindow: 32,
  esn: false,
  mark,
} as const;
const state6 = {
  source: address('fd00::1'),
  destination: address('fd00::2'),
  spi: 4096,
  reqid: 7,
  mode: 'tunnel',
  key: counting(36),
  icvBits: 128,
  replayWindow: 50,
  esn: true,
  mark: undefined,
} as const;
const selector = {
  source: host('10.9.0.1'),
  destination: host('10.9.0.2'),
  protocol: 17,
  sourcePort: undefined,
  destinationPort: 4789,
};
const template = {
  source: state.source,
  destination: state.destination,
  spi: state.spi,
  reqid: state.reqid,
  mode: 'transport',
  optional: false,
} as const;
const policy = { direction: 'out', selector, priority: 100, action: 'allow', template, mark } as const;
const rule: RuleFields = {
  family: 'ipv4',
  priority: 1000,
  action: 'lookup',
  table: 100,
  from: prefixOf(address('10.9.0.0'), 24),
  inLink: 'eth0',
  mark: { value: 0x10, mask: 0xff },
  suppressPrefixLength: 0,
  not: true,
};

describe('messages of xfrm and of rules', () => {
  // As a C compiler lays out the structures of linux/xfrm.h and linux/fib_rules.h.
  it.each([
    [
      'a state',
      encodeState(state),
      zeros(40) +
        '02' +
        zeros(15) +
        '0a090002' +
        zeros(12) +
        'abcdef01320000000a090001' +
        zeros(12) +
        ones(32) +
        zeros(80) +
        'e3c4d00002000020' +
        zeros(8) +
        '60001200726663343130362867636d286165732929' +
        zeros(47) +
        'a0000000400000000102030405060708090a0b0c0d0e0f10111213140c001500e3c4d000ffffffff',
    ],
    [
      'a state with long sequence numbers',
      encodeState(state6),
      zeros(40) +
        '0a' +
        zeros(15) +
        'fd' +
        zeros(14) +
        '020000100032000000fd' +
        zeros(14) +
        '01' +
        ones(32) +
        zeros(80) +
        '070000000a000100800000000000000070001200726663343130362867636d286165732929' +
        zeros(47) +
        '20010000800000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242400170002' +
        zeros(19) +
        '32' +
        zeros(11),
    ],
    [
      "a state's identity",
      encodeStateId(state),
      `0a090002${zeros(12)}abcdef01020032000c001500e3c4d000ffffffff`,
    ],
    [
      'a policy',
      encodePolicy(policy),
      '0a090002' +
        zeros(12) +
        '0a090001' +
        zeros(12) +
        '12b5ffff000000000200202011' +
        zeros(11) +
        ones(32) +
        zeros(64) +
        '64000000000000000100000000000000440005000a090002' +
        zeros(12) +
        'abcdef0132000000020000000a090001' +
        zeros(12) +
        'e3c4d00000000000' +
        ones(12) +
        '0c001500e3c4d000ffffffff',
    ],
    [
      "a policy's identity",
      encodePolicyId({ direction: 'out', selector }),
      `0a090002${zeros(12)}0a090001${zeros(12)}12b5ffff000000000200202011${zeros(15)}01000000`,
    ],
    [
      'a rule',
      encodeRule(rule),
      '02001800640000010200000008000600e8030000080002000a09000009000300657468300000000008000a001000000008001000ff00000008000f006400000008000e0000000000',
    ],
  ])('are the bytes of the kernel’s headers: %s', (_, written, expected) => {
    expect(written.toString('hex')).toBe(expected);
  });

  it('come back as they went', () => {
    expect(decodeState(encodeState(state))).toEqual({ ...asRead(state), statistics });
    expect(decodeState(encodeState(state6))).toEqual({ ...asRead(state6), statistics });
    expect(decodePolicy(encodePolicy(policy))).toEqual(policy);
    expect(decodeRule(encodeRule(rule))).toEqual(rule);
    fc.assert(
      fc.property(states, (each) => {
        expect(decodeState(encodeState(each))).toEqual({ ...asRead(each), statistics });
      }),
    );
    fc.assert(
      fc.property(rules, (each) => {
        expect(decodeRule(encodeRule(each))).toEqual(each);
      }),
    );
  });

  it('answer random bytes with a value or a typed error', () => {
    const whole = [encodeState(state), encodePolicy(policy), encodeRule(rule)];
    const broken = fc
      .tuple(fc.constantFrom(...whole), fc.nat(400), fc.nat(223), fc.nat(255))
      .map(([message, cut, at, value]) => {
        const data = Buffer.from(message.subarray(0, cut));
        if (at < data.length) data[at] = value;
        return data;
      });
    const random = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
    fc.assert(
      fc.property(fc.oneof(broken, random), (data) => {
        for (const decode of [decodeState, decodePolicy, decodeRule]) {
          try {
            decode(data);
          } catch (error) {
            expect(error).toBeInstanceOf(LibnetworkError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('are told in the words of `ip rule`', () => {
    expect(formatRule(rule)).toBe('1000: not from 10.9.0.0/24 fwmark 0x10/0xff iif eth0 lookup 100');
    expect(formatRule({ family: 'ipv6', priority: 5, action: 'prohibit', to: host('fd00::1') })).toBe(
      '5: from all to fd00::1/128 prohibit',
    );
  });
});

describe('changes of xfrm', () => {
  const state = {
    source: '10.9.0.1',
    destination: '10.9.0.2',
    spi: 4096,
    reqid: 7,
    mode: 'transport',
    key: counting(20),
    icvBits: 64,
    replayWindow: 32,
    esn: false,
  } as const;
  const selector = { source: '10.9.0.1/32', destination: '10.9.0.2/32' } as const;
  const policy = { direction: 'out', selector, priority: 100, action: 'allow' } as const;

  it.each<[string, XfrmChange, string]>([
    ['a reserved SPI', { op: 'addState', state: { ...state, spi: 255 } }, 'xfrm[0].state.spi'],
    ['a key without salt', { op: 'addState', state: { ...state, key: counting(16) } }, 'xfrm[0].state.key'],
    ['a strange check value', { op: 'addState', state: { ...state, icvBits: 32 } }, 'xfrm[0].state.icvBits'],
    [
      'a wide window',
      { op: 'addState', state: { ...state, replayWindow: 64 } },
      'xfrm[0].state.replayWindow',
    ],
    ['two families', { op: 'addState', state: { ...state, source: 'fd00::1' } }, 'xfrm[0].state.source'],
    [
      'a port beyond ports',
      { op: 'setPolicy', policy: { ...policy, selector: { ...selector, sourcePort: 70_000 } } },
      'xfrm[0].policy.selector.sourcePort',
    ],
  ])('are refused before anything is sent: %s', async (_, change, field) => {
    await expect(applyXfrm(undefined, [change])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('show no key in an error', async () => {
    const refused = applyXfrm(undefined, [{ op: 'addState', state: { ...state, key: counting(5) } }]);
    await expect(refused).rejects.toMatchObject({ value: '5 bytes' });
  });
});

const statistics = { bytes: 0, packets: 0, replayed: 0, forged: 0 };

function asRead<T extends { readonly key: Uint8Array }>(each: T): T {
  return { ...each, key: Buffer.from(each.key) };
}

const addresses = {
  ipv4: fc.uint8Array({ minLength: 4, maxLength: 4 }).map(fromBytes),
  ipv6: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(fromBytes),
};
const families = fc.constantFrom('ipv4', 'ipv6');
const marks = fc.record({ value: fc.nat(), mask: fc.integer({ min: 1, max: 0xffff_ffff }) });
const states = families.chain((family) =>
  fc.record({
    source: addresses[family],
    destination: addresses[family],
    spi: fc.integer({ min: 256, max: 0xffff_ffff }),
    reqid: fc.nat(),
    mode: fc.constantFrom('transport', 'tunnel'),
    key: fc
      .constantFrom(20, 28, 36)
      .chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
    icvBits: fc.constantFrom(64, 96, 128),
    replayWindow: fc.integer({ min: 1, max: 32 }),
    esn: fc.boolean(),
    mark: fc.option(marks, { nil: undefined }),
  }),
);
const names = fc.stringMatching(/^[a-z0-9]{1,15}$/);
const rules: fc.Arbitrary<RuleFields> = families.chain((family) => {
  const prefixes = fc
    .tuple(addresses[family], fc.integer({ min: 1, max: 32 }))
    .map(([each, length]) => prefixOf(each, length));
  const optional = {
    from: prefixes,
    to: prefixes,
    inLink: names,
    outLink: names,
    mark: marks,
    suppressPrefixLength: fc.nat(32),
    not: fc.constant(true as const),
  };
  const lookup = { action: fc.constant('lookup' as const), table: fc.integer({ min: 1, max: 0xffff_ffff }) };
  const other = { action: fc.constantFrom('blackhole', 'unreachable', 'prohibit') };
  const always = { family: fc.constant(family), priority: fc.integer({ min: 0, max: 0xffff_ffff }) };
  const required = ['family', 'priority', 'action'] as const;
  return fc.oneof(
    fc.record({ ...always, ...lookup, ...optional }, { requiredKeys: [...required, 'table'] }),
    fc.record({ ...always, ...other, ...optional }, { requiredKeys: [...required] }),
  );
});
