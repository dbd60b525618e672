import fc from 'fast-check';
import { AttrStream, ifla, rt, type StreamData } from 'netlink';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { formatAddress, fromBytes, parseAddress, parseCidr, parsePrefix, toBytes } from '../../../src/ip.ts';
import { decodeAddress, encodeAddress } from '../../../src/osl/linux/netlink/address.ts';
import { attributeMap } from '../../../src/osl/linux/netlink/attributes.ts';
import {
  decodeLink,
  encodeDeleteLink,
  encodeGetLink,
  encodeNewLink,
  encodeSetLink,
} from '../../../src/osl/linux/netlink/link.ts';
import { decodeNeighbour, encodeNeighbour } from '../../../src/osl/linux/netlink/neighbour.ts';
import { decodeRoutes, encodeDeleteRoute, encodeNewRoute } from '../../../src/osl/linux/netlink/route.ts';

/** What the oracle writes, as bytes. */
function bytes(...parts: readonly StreamData[]): Buffer {
  const stream = new AttrStream();
  for (const part of parts) stream.emit(part);
  return Buffer.concat(stream.bufs);
}

/** A message's header and its attributes, whose order says nothing. */
function sorted(message: Buffer, header: number): readonly string[] {
  const attributes = [...attributeMap(message, header)].map(
    ([type, value]) => `${type} ${value.toString('hex')}`,
  );
  return [message.toString('hex', 0, header), ...attributes.sort()];
}

function cidr(text: string) {
  const parsed = parseCidr(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

function address(text: string) {
  const parsed = parseAddress(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

const addresses = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map(fromBytes),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map(fromBytes),
);
const macs = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((each) => Buffer.from(each));
const names = fc.stringMatching(/^[a-z0-9-]{1,15}$/);

describe('address messages', () => {
  it('are the bytes of an independent codec', () => {
    const data = { family: 2, prefixlen: 24, flags: { nodad: true as const }, scope: 0, index: 7 };
    const local = Buffer.from([10, 9, 0, 5]);
    const attrs = { address: local, local, broadcast: Buffer.from([10, 9, 0, 255]) };
    const written = encodeAddress(7, cidr('10.9.0.5/24'), true);
    expect(rt.parseAddress(written.subarray(0, 8))).toEqual(data);
    expect(rt.parseAddressAttrs(written.subarray(8))).toEqual(attrs);
    expect(sorted(written, 8)).toEqual(
      sorted(bytes(rt.formatAddress(data), rt.formatAddressAttrs(attrs)), 8),
    );
  });

  it('come back as they went', () => {
    fc.assert(
      fc.property(addresses, fc.nat(32), fc.integer({ min: 1, max: 0xffff_ffff }), (each, length, index) => {
        const text = `${formatAddress(each)}/${length}`;
        const decoded = decodeAddress(encodeAddress(index, cidr(text)));
        expect(decoded).toMatchObject({ index, family: each.family, address: text });
      }),
    );
  });

  it('name no broadcast address where there is none, and put loopback addresses on the host', () => {
    expect(rt.parseAddressAttrs(encodeAddress(1, cidr('10.9.0.5/31')).subarray(8)).broadcast).toBeUndefined();
    expect(rt.parseAddressAttrs(encodeAddress(1, cidr('fd00::1/64')).subarray(8)).broadcast).toBeUndefined();
    expect(decodeAddress(encodeAddress(1, cidr('127.0.0.11/8')))?.scope).toBe('host');
  });
});

describe('route messages', () => {
  it('are what an independent codec reads', () => {
    const destination = parsePrefix('10.8.0.0/16');
    const gateway = address('10.9.0.1');
    const written = encodeNewRoute({ family: 'ipv4', destination, gateway, index: 3, metric: 20 });
    expect(rt.parseRoute(written.subarray(0, 12))).toMatchObject({
      family: 2,
      dstLen: 16,
      table: 254,
      protocol: 'BOOT',
      scope: 'UNIVERSE',
      type: 'UNICAST',
    });
    expect(rt.parseRouteAttrs(written.subarray(12))).toMatchObject({
      dst: Buffer.from([10, 8, 0, 0]),
      gateway: Buffer.from([10, 9, 0, 1]),
      oif: 3,
      priority: 20,
    });
  });

  it('have the scope of the link without a gateway, and of anything when they delete', () => {
    const route = { family: 'ipv4', destination: parsePrefix('10.8.0.0/16'), index: 3 } as const;
    expect(rt.parseRoute(encodeNewRoute(route).subarray(0, 12)).scope).toBe('LINK');
    expect(rt.parseRoute(encodeDeleteRoute(route).subarray(0, 12)).scope).toBe('NOWHERE');
  });

  it('come back as they went', () => {
    fc.assert(
      fc.property(addresses, fc.option(addresses, { nil: undefined }), fc.nat(5000), (net, hop, metric) => {
        const length = net.family === 'ipv4' ? 32 : 128;
        const gateway = hop?.family === net.family ? hop : undefined;
        const written = encodeNewRoute({
          family: net.family,
          destination: { ...net, length },
          gateway,
          index: 9,
          metric,
        });
        expect(decodeRoutes(written)).toMatchObject([
          {
            family: net.family,
            destination: `${formatAddress(net)}/${length}`,
            gateway: gateway && formatAddress(gateway),
            index: 9,
            metric,
          },
        ]);
      }),
    );
  });
});

/** What spares the kernel the queues that a veth never uses. */
const ONE_QUEUE = { numTxQueues: 1, numRxQueues: 1 };

describe('link messages', () => {
  it('put the peer of a veth into its namespace, named, with its own MAC and MTU', () => {
    const macAddress = Buffer.from('024200000005', 'hex');
    const peer = { name: 'eth0', macAddress, mtu: 1400, namespaceFd: 21 };
    const written = encodeNewLink(
      { name: 'v1', mtu: 1400, master: 4, group: 7, up: true },
      { kind: 'veth', peer },
    );
    const outer = ifla.parseLinkAttrs(written.subarray(16));
    expect(rt.parseLink(written.subarray(0, 16))).toMatchObject({ index: 0, flags: { up: true } });
    expect(outer).toMatchObject({ ifname: 'v1', mtu: 1400, master: 4, group: 7, ...ONE_QUEUE });
    const info = ifla.parseInfo(outer.linkinfo ?? Buffer.alloc(0));
    expect(info.kind).toBe('veth');
    // The peer is VETH_INFO_PEER, whose value is a link message of its own.
    const nested = (info.data ?? Buffer.alloc(0)).subarray(4 + 16);
    expect(ifla.parseLinkAttrs(nested)).toMatchObject({
      ifname: 'eth0',
      address: macAddress,
      mtu: 1400,
      netNsFd: 21,
      ...ONE_QUEUE,
    });
  });

  it('are read as an independent codec writes them', () => {
    const head = rt.formatLink({
      family: 0,
      type: 1,
      index: 12,
      flags: { up: true, lowerUp: true },
    });
    const stream = ifla.formatLinkAttrs({
      ifname: 'v1',
      mtu: 1500,
      address: Buffer.from('024200000001', 'hex'),
      ifalias: 'libnetwork:default:1',
      master: 4,
      group: 7,
    });
    expect(decodeLink(bytes(head, stream))).toMatchObject({
      index: 12,
      name: 'v1',
      mtu: 1500,
      macAddress: '02:42:00:00:00:01',
      alias: 'libnetwork:default:1',
      master: 4,
      group: 7,
      up: true,
      running: true,
      kind: 'other',
    });
  });

  it('come back as they went', () => {
    fc.assert(
      fc.property(names, macs, fc.integer({ min: 68, max: 65535 }), fc.nat(1000), (name, mac, mtu, group) => {
        const fields = { name, macAddress: mac, mtu, group, up: true };
        for (const kind of ['bridge', 'dummy', 'ifb'] as const) {
          const decoded = decodeLink(encodeNewLink(fields, { kind }));
          expect(decoded).toMatchObject({ name, mtu, group, kind, up: true });
          expect(decoded.macAddress?.replaceAll(':', '')).toBe(mac.toString('hex'));
        }
      }),
    );
  });

  it('name their kind', () => {
    const parent = 3;
    const kinds = [
      encodeNewLink({ name: 'a' }, { kind: 'vlan', parent, id: 100 }),
      encodeNewLink({ name: 'a' }, { kind: 'macvlan', parent, mode: 4 }),
      encodeNewLink({ name: 'a' }, { kind: 'ipvlan', parent, mode: 1, flag: 0 }),
    ].map(decodeLink);
    expect(kinds.map(({ kind, peerIndex }) => [kind, peerIndex])).toEqual([
      ['vlan', 3],
      ['macvlan', 3],
      ['ipvlan', 3],
    ]);
  });

  it('give a vxlan its id, its port in network order, and only the settings asked for', () => {
    const local = toBytes(address('192.0.2.1'));
    const written = encodeNewLink(
      { name: 'vx' },
      { kind: 'vxlan', id: 4097, port: 4789, local, proxy: true },
    );
    const info = ifla.parseInfo(ifla.parseLinkAttrs(written.subarray(16)).linkinfo ?? Buffer.alloc(0));
    expect(ifla.parseVxlan(info.data ?? Buffer.alloc(0))).toEqual({
      id: 4097,
      local: Buffer.from([192, 0, 2, 1]),
      proxy: 1,
      port: Buffer.from([0x12, 0xb5]),
    });
  });

  it('give a vxlan all its settings, over either family, and tell its number again', () => {
    for (const [local, group] of [
      ['192.0.2.1', '239.1.1.1'],
      ['fd00::1', 'ff02::7'],
    ] as const) {
      const written = encodeNewLink(
        { name: 'vx' },
        {
          kind: 'vxlan',
          id: 0xfffffe,
          port: 8472,
          local: toBytes(address(local)),
          group: toBytes(address(group)),
          parent: 7,
          ttl: 9,
          learning: false,
          ageing: 60,
          limit: 1000,
          sourcePorts: { first: 0x1234, last: 0x5678 },
          shortCircuit: true,
          l2miss: true,
          l3miss: false,
          udpChecksum: false,
          udp6ZeroChecksum: { send: true, receive: false },
        },
      );
      const info = ifla.parseInfo(ifla.parseLinkAttrs(written.subarray(16)).linkinfo ?? Buffer.alloc(0));
      const six = local.includes(':') ? '6' : '';
      expect(ifla.parseVxlan(info.data ?? Buffer.alloc(0))).toEqual({
        id: 0xfffffe,
        [`group${six}`]: toBytes(address(group)),
        link: 7,
        [`local${six}`]: toBytes(address(local)),
        ttl: 9,
        learning: 0,
        ageing: 60,
        limit: 1000,
        portRange: expect.anything(),
        rsc: 1,
        l2miss: 1,
        l3miss: 0,
        port: Buffer.from([0x21, 0x18]),
        udpCsum: 0,
        udpZeroCsum6Tx: 1,
        udpZeroCsum6Rx: 0,
      });
      expect(decodeLink(written)).toMatchObject({ kind: 'vxlan', id: 0xfffffe });
    }
    expect(decodeLink(encodeNewLink({ name: 'a' }, { kind: 'vlan', parent: 3, id: 100 })).id).toBe(100);
  });

  it('find and delete by name, by index and by group', () => {
    expect(ifla.parseLinkAttrs(encodeGetLink({ name: 'v1' }, true).subarray(16))).toEqual({ ifname: 'v1' });
    expect(rt.parseLink(encodeGetLink({ index: 5 }, true).subarray(0, 16)).index).toBe(5);
    expect(ifla.parseLinkAttrs(encodeDeleteLink({ group: 77 }).subarray(16))).toEqual({ group: 77 });
    expect(ifla.parseLinkAttrs(encodeDeleteLink({ name: 'v1' }).subarray(16))).toEqual({ ifname: 'v1' });
  });

  it('change only what is named', () => {
    const written = encodeSetLink(5, { mtu: 1400 });
    expect(rt.parseLink(written.subarray(0, 16))).toMatchObject({ index: 5, flags: {}, change: {} });
    expect(ifla.parseLinkAttrs(written.subarray(16))).toEqual({ mtu: 1400 });
    expect(rt.parseLink(encodeSetLink(5, { up: false }).subarray(0, 16))).toMatchObject({
      flags: {},
      change: { up: true },
    });
  });
});

describe('neighbour messages', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(addresses, macs, fc.constantFrom(undefined, 'self', 'master'), (to, macAddress, fdb) => {
        const decoded = decodeNeighbour(encodeNeighbour({ index: 3, address: to, macAddress, fdb }));
        expect(decoded).toEqual({
          index: 3,
          family: fdb ? 'bridge' : to.family,
          address: formatAddress(to),
          macAddress: macAddress.toString('hex').match(/../g)?.join(':'),
          permanent: true,
        });
      }),
    );
  });
});

describe('decoders', () => {
  it('answer random bytes with a value or a typed error, never with anything else', () => {
    const decoders = [decodeLink, decodeAddress, decodeRoutes, decodeNeighbour];
    const wellFormedHead = fc
      .tuple(fc.constantFrom(0, 2, 7, 10), fc.uint8Array({ minLength: 15, maxLength: 300 }))
      .map(([family, rest]) => Buffer.concat([Buffer.from([family]), rest]));
    fc.assert(
      fc.property(
        fc.oneof(
          wellFormedHead,
          fc.uint8Array({ maxLength: 64 }).map((each) => Buffer.from(each)),
        ),
        (data) => {
          for (const decode of decoders) {
            try {
              decode(data);
            } catch (error) {
              expect(error).toBeInstanceOf(LibnetworkError);
            }
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('survive a message cut off anywhere, and any of its bytes changed', () => {
    const whole = encodeNewLink(
      { name: 'v1', mtu: 1400, group: 7 },
      { kind: 'veth', peer: { name: 'eth0', macAddress: Buffer.alloc(6) } },
    );
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (cut, at, value) => {
        const data = Buffer.from(whole);
        data[at] = value;
        for (const each of [whole.subarray(0, cut), data]) {
          try {
            expect(decodeLink(each).index).toBeTypeOf('number');
          } catch (error) {
            expect(error).toBeInstanceOf(LibnetworkError);
          }
        }
      }),
    );
  });
});
