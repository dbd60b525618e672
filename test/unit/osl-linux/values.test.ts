import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { formatAddress, fromBytes } from '../../../src/ip.ts';
import { decodeConnection } from '../../../src/osl/linux/conntrack.ts';
import { Gate } from '../../../src/osl/linux/gate.ts';
import { decodeEvent } from '../../../src/osl/linux/monitor.ts';
import { echoRequest, internetChecksum, isReplyTo } from '../../../src/osl/linux/ping.ts';
import { decodeSocketAddress, encodeSocketAddress } from '../../../src/osl/linux/sockaddr.ts';
import { requireLinkName, requirePath, sysctlPath } from '../../../src/osl/linux/values.ts';

const addresses = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map(fromBytes),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map(fromBytes),
);
const packets = fc.uint8Array({ maxLength: 120 }).map((each) => Buffer.from(each));

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('socket addresses', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(addresses, fc.nat(65535), (address, port) => {
        const decoded = decodeSocketAddress(encodeSocketAddress(address, port));
        expect(decoded).toEqual({ address: formatAddress(address), port });
      }),
    );
  });

  it('of other families are refused', () => {
    fc.assert(
      fc.property(packets, (bytes) => {
        try {
          decodeSocketAddress(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(LibnetworkError);
        }
      }),
    );
  });
});

describe('an echo request', () => {
  it('has a checksum over which the sum is zero', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (rest) => {
        expect(internetChecksum(echoRequest('ipv4', Buffer.from(rest)))).toBe(0);
      }),
    );
  });

  it('is answered by its own identifier, number and data only', () => {
    const request = echoRequest('ipv4', Buffer.from('0123456789abcdef0123'));
    const reply = Buffer.from(request);
    reply[0] = 0;
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    expect(isReplyTo(request, 'ipv4', Buffer.concat([header, reply]))).toBe(true);
    expect(isReplyTo(request, 'ipv4', Buffer.concat([header, request]))).toBe(false);
    const other = Buffer.from(reply);
    other[6] = 1;
    expect(isReplyTo(request, 'ipv4', Buffer.concat([header, other]))).toBe(false);
  });

  it('is not answered by random bytes', () => {
    const request = echoRequest('ipv6', Buffer.from('0123456789abcdef0123'));
    fc.assert(
      fc.property(packets, fc.constantFrom('ipv4', 'ipv6'), (packet, family) => {
        expect(isReplyTo(request, family, packet)).toBe(false);
      }),
    );
  });
});

describe('decoders of connections and events', () => {
  it('answer random bytes with a value or a typed error', () => {
    fc.assert(
      fc.property(packets, fc.nat(30), (payload, type) => {
        for (const decode of [
          () => decodeConnection(payload),
          () => decodeEvent({ type, flags: 0, sequence: 0, payload }),
        ]) {
          try {
            decode();
          } catch (error) {
            expect(error).toBeInstanceOf(LibnetworkError);
          }
        }
      }),
    );
  });
});

describe('values from outside', () => {
  it.each(['eth0', 'v0123456789abcd', 'a'])('may name a link %j', (name) => {
    expect(() => requireLinkName(name, 'name')).not.toThrow();
  });

  it.each(['', 'v0123456789abcde', '.', '..', 'a/b', 'a b', 'a:b', 'a\n', 'éééééééé', 7, undefined])(
    'may not name a link %j',
    (name) => {
      expect(() => requireLinkName(name, 'name')).toThrow(LibnetworkError);
    },
  );

  it('stay below /proc/sys/net, whatever the key', () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        for (const tried of [key, `net/${key}`, `net/ipv4/../${key}`]) {
          try {
            const path = sysctlPath(tried);
            expect(
              new URL(`file://${path.replaceAll('%', '%25')}`).pathname.startsWith('/proc/sys/net/'),
            ).toBe(true);
            expect(path).not.toMatch(/\/\.\.?(\/|$)/);
          } catch (error) {
            expect(error).toBeInstanceOf(LibnetworkError);
          }
        }
      }),
    );
  });

  it.each(['a', './a', '/a/./b', '/a/..', '/', '/a\0'])('are no path of a namespace: %j', (path) => {
    expect(() => requirePath(path, 'path')).toThrow(LibnetworkError);
  });
});

describe('a gate', () => {
  it('lets so many in at once, the others in their order, and goes on after a failure', async () => {
    const gate = new Gate(2);
    const order: number[] = [];
    let inside = 0;
    let most = 0;
    const work = Array.from({ length: 10 }, (_, i) =>
      gate.run(async () => {
        order.push(i);
        most = Math.max(most, ++inside);
        await pause();
        inside--;
        if (i === 3) throw new Error('three');
        return i;
      }),
    );
    const results = await Promise.allSettled(work);
    expect(most).toBe(2);
    expect(order).toEqual([...work.keys()]);
    expect(results.map(({ status }) => status === 'rejected')).toEqual(order.map((i) => i === 3));
    expect(gate.busy).toBe(false);
  });

  it('starts what finds room within the same tick', () => {
    let started = false;
    void new Gate(1).run(() => {
      started = true;
    });
    expect(started).toBe(true);
  });
});
