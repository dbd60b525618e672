/** What an encrypted overlay asks of IPsec: whose it is, in which order, and byte for byte. */
import { hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KeyringView, Member } from '../../../src/driverapi/keyring.ts';
import { innerMtu, parseConfig } from '../../../src/drivers/overlay/config.ts';
import {
  associationsOf,
  guardsOf,
  numberOf,
  remotesOf,
  spiOf,
} from '../../../src/drivers/overlay/encryption/associations.ts';
import { differenceOf, stateName } from '../../../src/drivers/overlay/encryption/changes.ts';
import { markOf } from '../../../src/drivers/overlay/encryption/encryption.ts';
import { xfrmRequests } from '../../../src/osl/linux/xfrm.ts';
import type { XfrmChange, XfrmPolicy } from '../../../src/osl/osl.ts';
import { networkOf } from '../../../src/testing/driver-fixtures.ts';

const mark = { reqid: 0x0102_0304, priority: 1_234 };
const derive = (generation: number, purpose: string, bytes: number) =>
  new Uint8Array(hkdfSync('sha256', `secret ${generation}`, '', purpose, bytes));
const member = (n: number, more: Partial<Member> = {}): Member => ({
  ...{ host: `h${n}`, address: `10.0.0.${n}`, number: n, accepts: 9, sends: 1 },
  ...more,
});
const view = (more: Partial<KeyringView> = {}): KeyringView => ({
  ...{ generations: [1], sending: 1, own: undefined, others: [], gone: [], lapses: 0 },
  ...more,
});
const parts = { ports: [4796], mark, derive };
const own = { address: '10.0.0.1', number: 1 };

describe('associations of an encrypted overlay', () => {
  it('have the same keys at both ends, and no key or name twice, whoever is there', () => {
    const cluster = fc
      .uniqueArray(fc.integer({ min: 1, max: 0xff_ffff }), { minLength: 2, maxLength: 6 })
      .map((numbers) => numbers.map((number, i) => member(i + 1, { number })));
    const generations = fc.integer({ min: 1, max: 1_000 }).map((first) => [first, first + 1, first + 2]);
    fc.assert(
      fc.property(cluster, generations, (members, living) => {
        const all = members.flatMap((self) => {
          const others = members.filter((each) => each !== self);
          const known = view({ generations: living, sending: living[0] ?? 0, others });
          const { states } = associationsOf(known, self, others, parts);
          expect(new Set(states.map(stateName)).size).toBe(states.length);
          expect(states).toHaveLength(2 * 3 * others.length);
          return states;
        });
        const keys = new Map<string, string>();
        for (const { source, destination, spi, key } of all) {
          const name = `${source} ${destination} ${spi}`;
          const text = Buffer.from(key).toString('hex');
          expect(keys.get(name) ?? text).toBe(text);
          keys.set(name, text);
        }
        // Each is at two hosts, and the same there; no two have the same key.
        expect(keys.size * 2).toBe(all.length);
        expect(new Set(keys.values()).size).toBe(keys.size);
      }),
      { numRuns: 50 },
    );
  });

  it('have an SPI that tells the sender, beyond the reserved ones and below those of key exchange daemons', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.integer({ min: 1, max: 0xff_ffff }), (generation, number) => {
        const spi = spiOf(generation, number);
        expect(spi).toBeGreaterThan(255);
        expect(spi).toBeLessThan(0xc000_0000);
        expect(numberOf(spi)).toBe(number);
      }),
    );
  });

  it('send with the newest key that the receiver accepts, and to nobody without one', () => {
    const others = [member(2, { accepts: 2 }), member(3, { accepts: 3 }), member(4, { accepts: 1 })];
    const { policies, sends, accepts } = associationsOf(
      view({ generations: [2, 3], sending: 3, others }),
      own,
      others,
      parts,
    );
    expect(policies.map(({ template }) => [template?.destination, template?.spi])).toEqual([
      ['10.0.0.2', spiOf(2, 1)],
      ['10.0.0.3', spiOf(3, 1)],
    ]);
    expect({ sends, accepts }).toEqual({ sends: 2, accepts: 3 });
  });

  it('are kept with hosts that are gone from the store as long as they have containers', () => {
    const known = view({ others: [member(2)], gone: [member(3), member(4)] });
    const remotes = remotesOf(known, own, (address) => address === '10.0.0.4');
    expect(remotes.map(({ host }) => host).sort()).toEqual(['h2', 'h4']);
  });

  it('are those of the latest of two lives at one address, and of hosts of the same family only', () => {
    const others = [member(2, { number: 7 }), member(9, { address: '10.0.0.2', number: 8 }), member(3)];
    const sixth = member(4, { address: 'fd00::4' });
    const itself = member(5, { address: own.address });
    const remotes = remotesOf(view({ others: [...others, sixth, itself] }), own, () => true);
    expect(remotes.map(({ host }) => host).sort()).toEqual(['h3', 'h9']);
  });
});

describe('changes of IPsec', () => {
  const known = view({ generations: [1, 2], others: [member(2)] });
  const { states, policies } = associationsOf(known, own, known.others, parts);
  const guards = guardsOf(own.address, 4796, mark);
  const wanted = { states, policies: [...guards, ...policies] };
  const nothing = { states: [], policies: [] };
  const operations = (changes: readonly XfrmChange[]) => changes.map(({ op }) => op);

  it('shut the port first, and add what a policy needs before the policy', () => {
    const { changes, missing, orphaned } = differenceOf(nothing, wanted, mark);
    expect(operations(changes)).toEqual([
      ...['setPolicy', 'setPolicy', 'addState', 'addState', 'addState', 'addState', 'setPolicy'],
    ]);
    expect(missing).toHaveLength(7);
    expect(orphaned).toEqual([]);
    expect(differenceOf(wanted, wanted, mark).changes).toEqual([]);
  });

  it('remove policies before what they need, and only ours', () => {
    const foreign = { ...policies[0], priority: 5, mark: { value: 1, mask: 1 } } as XfrmPolicy;
    const theirs = states.map((state) => ({ ...state, reqid: 5, spi: state.spi + 99 }));
    const found = {
      states: [...states, ...theirs],
      policies: [...wanted.policies, { ...foreign, template: undefined }],
    };
    const { changes } = differenceOf(found, nothing, mark);
    expect(operations(changes)).toEqual([
      ...['deletePolicy', 'deletePolicy', 'deletePolicy'],
      ...['deleteState', 'deleteState', 'deleteState', 'deleteState'],
    ]);
    expect(differenceOf(found, nothing, mark, true).changes).toEqual([]);
  });

  it('make an association anew whose other end is another life of its host', () => {
    const others = [member(2, { number: 77 })];
    const renewed = associationsOf(view({ generations: [1], others }), own, others, parts);
    const before = associationsOf(view({ others: [member(2)] }), own, [member(2)], parts);
    const { changes } = differenceOf(
      { states: before.states, policies: before.policies },
      { states: renewed.states, policies: renewed.policies },
      mark,
    );
    // What it sends keeps its name and gets another key; what it takes has another name.
    expect(operations(changes)).toEqual(['addState', 'deleteState', 'addState', 'deleteState']);
  });

  it('never take the place of an entry of somebody else, and say whose place it is', () => {
    const [guard] = guards;
    if (!guard) throw new Error('there are guards');
    const found = { states: [], policies: [{ ...guard, priority: 9_999 }] };
    expect(() => differenceOf(found, wanted, mark)).toThrow(/somebody else has an IPsec entry/);
    const state = { ...states[0], reqid: 1 } as (typeof states)[number];
    expect(() => differenceOf({ states: [state], policies: [] }, wanted, mark)).toThrow(stateName(state));
  });

  it('tell instances apart', () => {
    expect(markOf('a')).toEqual(markOf('a'));
    expect(markOf('a').reqid).not.toBe(markOf('b').reqid);
    expect(markOf('a').priority).toBeLessThan(100_000);
  });
});

const zeros = (count: number) => '00'.repeat(count);
const ones = (count: number) => 'ff'.repeat(count);
const counting = (_: number, __: string, bytes: number) =>
  Uint8Array.from({ length: bytes }, (_, i) => i + 1);
const KEY = '0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324';
const NAME = `${Buffer.from('rfc4106(gcm(aes))').toString('hex')}${zeros(47)}`;

/** As linux/xfrm.h lays them out, part by part. */
function stateBytes(family: string, destination: string, source: string, spi: string): string {
  return (
    // The selector of all packets: struct xfrm_selector.
    `${zeros(40)}${family}${zeros(14)}` +
    // struct xfrm_id: address, SPI, ESP. Then the source, no limits, and nothing counted.
    `${destination}${spi}32000000${source}${ones(32)}${zeros(32 + 32 + 12)}${zeros(4)}` +
    // The request id, family, transport mode, no short window, XFRM_STATE_ESN, and filling.
    `04030201${family}000080${zeros(7)}` +
    // XFRMA_ALG_AEAD: 76 and 36 bytes; the key's and the check value's bits.
    `70001200${NAME}2001000080000000${KEY}` +
    // XFRMA_REPLAY_ESN_VAL: 32 words of window for 1024 packets.
    `9c00170020000000${zeros(16)}00040000${zeros(128)}`
  );
}

function policyBytes(
  { family, source, destination, lengths }: Readonly<Record<string, string>>,
  rest: string,
): string {
  // struct xfrm_selector: port 4796 of UDP; then struct xfrm_lifetime_cfg and xfrm_lifetime_cur.
  return `${destination}${source}12bcffff00000000${family}${lengths}11${zeros(3 + 8)}${ones(32)}${zeros(64)}${rest}`;
}

function templateBytes(family: string, destination: string, source: string, spi: string): string {
  // XFRMA_TMPL, struct xfrm_user_tmpl: transport mode, every algorithm.
  return `44000500${destination}${spi}32000000${family}0000${source}04030201000000${zeros(1)}${ones(12)}`;
}

const families = [
  {
    family: '0200',
    one: '10.0.0.1',
    two: '10.0.0.2',
    bytes: [`0a000001${zeros(12)}`, `0a000002${zeros(12)}`] as const,
    whole: '20',
  },
  {
    family: '0a00',
    one: 'fd00::1',
    two: 'fd00::2',
    bytes: [`fd${zeros(14)}01`, `fd${zeros(14)}02`] as const,
    whole: '80',
  },
] as const;

describe.each(families)(
  'messages of an encrypted overlay over $one',
  ({ family, one, two, bytes, whole }) => {
    const [near, far] = bytes;
    const self = { address: one, number: 0x0a };
    const others = [member(2, { address: two, number: 0x0b })];
    const wanted = associationsOf(view({ others }), self, others, { ports: [4796], mark, derive: counting });
    const guards = guardsOf(one, 4796, mark);
    const sent = (changes: readonly XfrmChange[]) =>
      xfrmRequests(changes).map(({ type, flags, payload }) => [type, flags, payload.toString('hex')]);
    // NLM_F_CREATE, and NLM_F_EXCL for states.
    const [create, exclusive] = [0x400, 0x600];

    it('add an association each way', () => {
      expect(sent(wanted.states.map((state) => ({ op: 'addState', state })))).toEqual([
        [0x10, exclusive, stateBytes(family, near, far, '1100000b')],
        [0x10, exclusive, stateBytes(family, far, near, '1100000a')],
      ]);
    });

    it('set the policy to another host, and the two that keep the port shut', () => {
      const any = zeros(16);
      const policies = [...wanted.policies, ...guards];
      expect(sent(policies.map((policy) => ({ op: 'setPolicy', policy })))).toEqual([
        [
          0x19,
          create,
          policyBytes(
            { family, source: near, destination: far, lengths: `${whole}${whole}` },
            // Priority 1000, no index; out, allowed.
            `e8030000${zeros(4)}0100${zeros(6)}${templateBytes(family, far, near, '1100000a')}`,
          ),
        ],
        [
          0x19,
          create,
          policyBytes(
            { family, source: near, destination: any, lengths: `00${whole}` },
            // Priority 1234; out, blocked.
            `d2040000${zeros(4)}0101${zeros(6)}`,
          ),
        ],
        [
          0x19,
          create,
          policyBytes(
            { family, source: any, destination: near, lengths: `${whole}00` },
            `d2040000${zeros(4)}0000${zeros(6)}${templateBytes(family, any, any, '00000000')}`,
          ),
        ],
      ]);
    });

    it('delete both', () => {
      const [state] = wanted.states;
      const [policy] = wanted.policies;
      if (!state || !policy) throw new Error('there are both');
      expect(
        sent([
          { op: 'deleteState', state },
          { op: 'deletePolicy', policy },
        ]),
      ).toEqual([
        [0x11, 0, `${near}1100000b${family}3200`],
        [
          0x14,
          0,
          `${far}${near}12bcffff00000000${family}${whole}${whole}11${zeros(3 + 8)}${zeros(4)}01000000`,
        ],
      ]);
    });
  },
);

describe('the MTU of an encrypted overlay', () => {
  const subject = {
    name: 'overlay',
    factory: () => Promise.reject(new Error('unused')),
    open: () => Promise.reject(new Error('unused')),
  };
  const config = (encrypted: boolean) =>
    parseConfig(networkOf(subject, 1, { options: encrypted ? { encrypted: '' } : {} }));

  it('is the largest whose packets ESP makes no larger than the hosts allow', () => {
    for (const [family, header] of [
      ['ipv4', 20],
      ['ipv6', 40],
    ] as const)
      fc.assert(
        fc.property(fc.integer({ min: 1_500, max: 65_535 }), (mtu) => {
          const inner = innerMtu(config(true), { family, mtu });
          /** RFC 4303, 2: what is encrypted is filled up to words, with two bytes at its end. */
          const outer = (size: number) => header + 16 + Math.ceil((size + 30 + 2) / 4) * 4 + 16;
          expect(outer(inner)).toBeLessThanOrEqual(mtu);
          expect(outer(inner + 1)).toBeGreaterThan(mtu);
          expect(innerMtu(config(false), { family, mtu })).toBe(mtu - header - 30);
        }),
      );
  });

  it('comes with a port of its own', () => {
    expect(config(true)).toMatchObject({ encrypted: true, port: 4796 });
    expect(config(false)).toMatchObject({ encrypted: false, port: 4789 });
  });
});
