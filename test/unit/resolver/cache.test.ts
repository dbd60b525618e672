import packet from 'dns-packet';
import { beforeEach, describe, expect, it } from 'vitest';
import { Cache, lifetime } from '../../../src/resolver/cache.ts';
import { Health } from '../../../src/resolver/health.ts';

let now = 0;
beforeEach(() => {
  now = 1_000_000;
});

const rcodes = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3 } as const;

function reply(parts: Partial<packet.Packet>, rcode: keyof typeof rcodes = 'NOERROR'): Buffer {
  const flags = rcodes[rcode] | (parts.flags ?? 0);
  const questions = [{ type: 'A', name: 'a.example' }] as const;
  return packet.encode({ type: 'response', id: 9, ...parts, questions: [...questions], flags });
}

const a = (ttl: number) => ({ type: 'A', name: 'a.example', ttl, data: '192.0.2.1' }) as const;
const soa = (ttl: number, minimum: number) =>
  ({ type: 'SOA', name: 'example', ttl, data: { mname: 'ns', rname: 'root', minimum } }) as const;

describe('the life of an answer', () => {
  it.each([
    ['the shortest of its records', reply({ answers: [a(300), a(60)] }), 60],
    ['records of other sections count too', reply({ answers: [a(300)], authorities: [soa(20, 900)] }), 20],
    ['no such name: the minimum of the zone', reply({ authorities: [soa(300, 30)] }, 'NXDOMAIN'), 30],
    ['no such name: the TTL of the SOA itself', reply({ authorities: [soa(10, 30)] }, 'NXDOMAIN'), 10],
    ['no such type', reply({ authorities: [soa(300, 30)] }), 30],
    ['no such name without a zone', reply({}, 'NXDOMAIN'), undefined],
    ['a failure', reply({ authorities: [soa(300, 30)] }, 'SERVFAIL'), undefined],
    ['a truncated answer', reply({ answers: [a(300)], flags: packet.TRUNCATED_RESPONSE }), undefined],
    ['a TTL with the top bit', reply({ answers: [a(0x80000001)] }), 0],
    ['rubbish', reply({ answers: [a(300)] }).subarray(0, 40), undefined],
  ])('is %s', (_what, message, expected) => {
    expect(lifetime(message)).toBe(expected);
  });
});

describe('the cache', () => {
  it('counts the time to live down, and forgets when it is over', () => {
    const cache = new Cache(10, () => now);
    cache.set('k', reply({ answers: [a(300), a(60)] }));
    now += 59_900;
    const kept = cache.get('k');
    expect(kept && packet.decode(kept).answers).toMatchObject([{ ttl: 241 }, { ttl: 1 }]);
    now += 100;
    expect(cache.get('k')).toBeUndefined();
  });

  it('does not count down what is no time to live in an OPT record', () => {
    const cache = new Cache(10, () => now);
    const opt = {
      type: 'OPT',
      name: '.',
      udpPayloadSize: 1232,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0x8000,
    };
    cache.set(
      'k',
      reply({ answers: [a(300)], additionals: [{ ...opt, options: [] } as unknown as packet.OptAnswer] }),
    );
    now += 5000;
    expect(packet.decode(cache.get('k') ?? Buffer.alloc(0)).additionals).toMatchObject([{ flags: 0x8000 }]);
  });

  it('gives copies', () => {
    const cache = new Cache(10, () => now);
    cache.set('k', reply({ answers: [a(300)] }));
    cache.get('k')?.fill(0);
    expect(packet.decode(cache.get('k') ?? Buffer.alloc(0)).answers).toHaveLength(1);
  });

  it('drops what was not used for longest', () => {
    const cache = new Cache(2, () => now);
    for (const key of ['one', 'two']) cache.set(key, reply({ answers: [a(300)] }));
    cache.get('one');
    cache.set('three', reply({ answers: [a(300)] }));
    expect(['one', 'two', 'three'].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true]);
  });

  it('keeps nothing by size 0', () => {
    const cache = new Cache(0, () => now);
    cache.set('k', reply({ answers: [a(300)] }));
    expect(cache.get('k')).toBeUndefined();
  });
});

describe('health', () => {
  const order = (health: Health) => health.order(['a', 'b', 'c'], (server) => server);

  it('asks a server last that missed three questions in a row, for half a minute', () => {
    const health = new Health(() => now);
    expect([health.missed('a'), health.missed('a')]).toEqual([false, false]);
    expect(order(health)).toEqual(['a', 'b', 'c']);
    expect(health.missed('a')).toBe(true);
    expect(order(health)).toEqual(['b', 'c', 'a']);
    now += 30_000;
    expect(order(health)).toEqual(['a', 'b', 'c']);
    expect(health.missed('a')).toBe(true);
    expect(order(health)).toEqual(['b', 'c', 'a']);
  });

  it('forgets misses at an answer', () => {
    const health = new Health(() => now);
    for (let i = 0; i < 3; i++) health.missed('a');
    health.answered('a');
    expect(order(health)).toEqual(['a', 'b', 'c']);
    expect(health.missed('a')).toBe(false);
  });

  it('keeps the order when all are dead', () => {
    const health = new Health(() => now);
    for (const key of ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']) health.missed(key);
    expect(order(health)).toEqual(['a', 'b', 'c']);
  });
});
