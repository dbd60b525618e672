import fc from 'fast-check';
import { rt } from 'netlink';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { plan } from '../../../src/osl/linux/changes.ts';
import { attributeMap } from '../../../src/osl/linux/netlink/attributes.ts';
import {
  type BridgeOptions,
  decodeBridgeOptions,
  decodeBridgeVlans,
  encodeBridgeVlan,
  encodeGetBridgeVlans,
} from '../../../src/osl/linux/netlink/bridge.ts';
import { encodeNewLink } from '../../../src/osl/linux/netlink/link.ts';
import type { Change } from '../../../src/osl/osl.ts';

const flags = fc.constantFrom(undefined, true, false);
const options: fc.Arbitrary<BridgeOptions> = fc.record({
  vlanFiltering: flags,
  stp: flags,
  forwardDelay: fc.option(
    fc.integer({ min: 200, max: 3000 }).map((ticks) => ticks / 100),
    { nil: undefined },
  ),
  multicastSnooping: flags,
});

describe("a bridge's settings", () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(options, (each) => {
        const decoded = decodeBridgeOptions(encodeNewLink({ name: 'br0' }, { kind: 'bridge', ...each }));
        expect({ ...decoded }).toEqual(each);
      }),
    );
  });

  it('are the attributes of linux/if_link.h', () => {
    const all = { vlanFiltering: true, stp: true, forwardDelay: 4.5, multicastSnooping: false };
    const written = encodeNewLink({}, { kind: 'bridge', ...all }).toString('hex', 16);
    const kind = '0b000100' + '62726964676500' + '00';
    const delay = '08000100' + 'c2010000';
    const stp = '08000500' + '01000000';
    const filtering = '05000700' + '01' + '000000';
    const snooping = '05001700' + '00' + '000000';
    expect(written).toBe(`34001200${kind}24000200${delay}${stp}${filtering}${snooping}`);
  });

  it('that are not named are not sent', () => {
    const plain = encodeNewLink({ name: 'br0' }, { kind: 'bridge' });
    const info = attributeMap(attributeMap(plain, 16).get(18) ?? Buffer.alloc(0));
    expect([...info.keys()]).toEqual([1]);
    expect(decodeBridgeOptions(encodeNewLink({ name: 'd0' }, { kind: 'dummy' }))).toBeUndefined();
  });

  it.each<[string, Change, string]>([
    ['a delay below two seconds with STP', bridge({ stp: true, forwardDelay: 1 }), 'forwardDelay'],
    ['a delay above thirty seconds', bridge({ forwardDelay: 31 }), 'forwardDelay'],
    ['a delay that is no number', bridge({ forwardDelay: Number.NaN }), 'forwardDelay'],
  ])('are refused: %s', (_, change, field) => {
    expect(() => plan(change, 'changes[0]')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: `changes[0].link.${field}` }),
    );
  });
});

describe('VLANs of bridge ports', () => {
  it('are the bytes of linux/if_bridge.h', () => {
    const head = (index: string) => `07000000${index}0000000000000000`;
    const port = encodeBridgeVlan(5, { id: 7, pvid: true, untagged: true }, 'port');
    expect(port.toString('hex')).toBe(
      `${head('05000000')}14001a80${'06000000'}01000000${'08000200'}06000700`,
    );
    const range = encodeBridgeVlan(9, { id: 10, end: 20 }, 'bridge');
    expect(range.toString('hex')).toBe(
      `${head('09000000')}1c001a80${'06000000'}02000000${'08000200'}08000a00${'08000200'}10001400`,
    );
    expect(rt.parseLink(port.subarray(0, 16))).toMatchObject({ family: 7, index: 5 });
    expect(encodeGetBridgeVlans().toString('hex')).toBe(`${head('00000000')}08001d0002000000`);
  });

  it('come back as they went', () => {
    const vlan = fc.record({
      id: fc.integer({ min: 1, max: 4094 }),
      pvid: fc.boolean(),
      untagged: fc.boolean(),
    });
    fc.assert(
      fc.property(vlan, fc.integer({ min: 1, max: 0x7fff_ffff }), (each, index) => {
        expect(decodeBridgeVlans(encodeBridgeVlan(index, each, 'port'))).toEqual({ index, vlans: [each] });
      }),
    );
  });

  it.each<[string, Change, string]>([
    ['the VLAN 0', { op: 'addBridgeVlan', link: 'p', id: 0 }, 'id'],
    ['the VLAN 4095', { op: 'deleteBridgeVlan', link: 'p', id: 4095 }, 'id'],
    ['a range that ends before it begins', { op: 'addBridgeVlan', link: 'p', id: 9, end: 8 }, 'end'],
    ['a range for untagged frames', { op: 'addBridgeVlan', link: 'p', id: 8, end: 9, pvid: true }, 'pvid'],
  ])('are refused: %s', (_, change, field) => {
    expect(() => plan(change, 'changes[3]')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: `changes[3].${field}` }),
    );
  });

  it('are read from random bytes with a value or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 10, maxLength: 120 }), (bytes) => {
        for (const decode of [decodeBridgeOptions, decodeBridgeVlans]) {
          try {
            decode(Buffer.from(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(LibnetworkError);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});

function bridge(spec: BridgeOptions): Change {
  return { op: 'createLink', name: 'br0', link: { kind: 'bridge', ...spec } };
}
