import packet from 'dns-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { NameTable } from '../../../src/resolver/names.ts';
import type { ResolverOptions, Upstream } from '../../../src/resolver/options.ts';
import { type Resolver, startResolver } from '../../../src/resolver/resolver.ts';
import { ask, askTcp, query } from './ask.ts';
import { Net, serve } from './net.ts';

const sandbox = { address: '10.0.0.1', from: 'sandbox' } as const;
const second = { address: '10.0.0.2', from: 'sandbox' } as const;
const third = { address: '10.0.0.3', from: 'sandbox' } as const;
const host = { address: '10.0.0.1', from: 'host' } as const;

let net: Net;
let hostNet: Net;
let names: NameTable;
let upstreams: Upstream[];
const running: Resolver[] = [];

beforeEach(() => {
  net = new Net();
  hostNet = new Net();
  upstreams = [];
  names = new NameTable();
  names.setSandbox({ id: 's1', networks: ['n1'] });
  const services = [{ name: 'http', protocol: 'tcp', port: 80 }] as const;
  names.setEndpoint({
    id: 'e1',
    networkId: 'n1',
    networkName: 'front',
    names: ['web'],
    ipv4: '10.9.0.5',
    services,
  });
});

afterEach(async () => {
  for (const resolver of running.splice(0)) await resolver.close();
});

/** Nothing is asked a second time because this machine is slow. */
const PATIENT = { retryMs: 60_000, timeoutMs: 60_000 };
/** For servers that stay silent. */
const QUICK = { retryMs: 20, timeoutMs: 100 };

async function start(options: Partial<ResolverOptions> = {}): Promise<Resolver> {
  const resolver = await startResolver({
    namespace: net,
    dial: hostNet,
    sandboxId: 's1',
    names,
    upstreams: () => upstreams,
    firewallTable: 'libnetwork-test',
    ...options,
    limits: { ...PATIENT, ...options.limits },
  });
  running.push(resolver);
  return resolver;
}

const record = (name: string, data = '192.0.2.1', ttl = 60) => ({ type: 'A', name, ttl, data }) as const;

describe('the server', () => {
  it('listens on 127.0.0.11 at ports of its own and has port 53 led there', async () => {
    await start();
    expect(net.intents).toEqual([
      {
        kind: 'resolver',
        id: 's1',
        address: '127.0.0.11',
        udpPort: expect.any(Number),
        tcpPort: expect.any(Number),
      },
    ]);
  });

  it('binds port 53 itself where there is no firewall', async () => {
    await start({ firewallEngine: 'none' });
    expect(net.intents).toEqual([]);
    await expect(net.bindUdp('127.0.0.11', 53)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'NOERROR' });
  });

  it('binds port 53 itself where the kernel has no nftables', async () => {
    const make = net.firewall.bind(net);
    net.firewall = async () => {
      const firewall = await make();
      firewall.sync = () => Promise.reject(new LibnetworkError('NOT_IMPLEMENTED', 'no tables'));
      return firewall;
    };
    const resolver = await start();
    expect(resolver.ports).toEqual({ udpPort: 53, tcpPort: 53 });
    expect(net.openSockets).toBe(2);
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'NOERROR' });
    await resolver.close({ removeRules: true });
    expect(net.openSockets).toBe(0);
  });

  it('points the rules of a former controller at itself', async () => {
    const former = await start();
    await former.close();
    const [left] = net.intents;
    await start();
    expect(net.intents).toHaveLength(1);
    expect(net.intents).not.toEqual([left]);
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'NOERROR' });
  });

  it('leaves no socket when it cannot start', async () => {
    net.firewall = () => Promise.reject(new Error('no firewall'));
    await expect(start()).rejects.toThrow('no firewall');
    expect(net.openSockets).toBe(0);
  });

  it('leaves no socket and, when told, no rule when it is closed', async () => {
    const resolver = await start();
    await ask(net, 'elsewhere.example');
    await resolver.close({ removeRules: true });
    await resolver.close();
    expect(net.openSockets).toBe(0);
    expect(net.intents).toEqual([]);
  });

  it('refuses a limit out of range', async () => {
    await expect(start({ limits: { inFlight: -1 } })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'limits.inFlight',
    });
  });
});

describe('names of the sandbox', () => {
  it('are answered by UDP and TCP', async () => {
    const resolver = await start();
    for (const reply of [await ask(net, 'WEB'), ...(await askTcp(net, ['web']))])
      expect(reply.answers).toMatchObject([{ type: 'A', data: '10.9.0.5', ttl: 600 }]);
    expect(resolver.counters).toMatchObject({ queries: 2, local: 2, forwarded: 0 });
  });

  it('answer several questions on one connection', async () => {
    await start();
    const replies = await askTcp(net, ['web', 'web.front', 'web']);
    expect(replies.map((it) => it.answers?.length)).toEqual([1, 1, 1]);
  });

  it.each(['AAAA', 'MX', 'TXT', 'HTTPS'])('are known without a record of type %s', async (type) => {
    await start();
    const reply = await ask(net, 'web', type);
    expect(reply).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });

  it('are found in reverse and as services', async () => {
    await start();
    expect((await ask(net, '5.0.9.10.in-addr.arpa', 'PTR')).answers).toMatchObject([{ data: 'web.front' }]);
    expect((await ask(net, '_http._tcp.web', 'SRV')).answers).toMatchObject([
      { type: 'SRV', data: { port: 80, target: 'web.front' } },
    ]);
  });

  it('are gone with the next question after a change', async () => {
    await start();
    names.removeEndpoint('e1');
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'SERVFAIL' });
  });

  it('are never asked of another server', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [] }));
    upstreams = [sandbox];
    await start();
    for (const type of ['A', 'AAAA', 'MX', 'TXT']) await ask(net, 'web', type);
    expect(asked).toEqual([]);
  });

  it('answer SERVFAIL when the look-up throws', async () => {
    const warned: string[] = [];
    const broken = { lookup: () => expect.unreachable(), reverse: () => undefined };
    await start({ names: broken, logger: { warn: (message) => warned.push(message) } });
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'SERVFAIL' });
    expect(warned).toHaveLength(1);
  });
});

describe('what is no question', () => {
  it('gets FORMERR, NOTIMP, or nothing', async () => {
    const resolver = await start();
    const header = (flags: number, questions: number) =>
      Buffer.from([0, 7, flags, 0, 0, questions, 0, 0, 0, 0, 0, 0]);
    expect(await ask(net, header(1, 1))).toMatchObject({ id: 7, rcode: 'FORMERR' });
    expect(await ask(net, header(1, 0))).toMatchObject({ rcode: 'FORMERR' });
    expect(await ask(net, header(0x28, 1))).toMatchObject({ rcode: 'NOTIMP' });
    expect(await ask(net, header(0x80, 1), 'A', { silentMs: 30 })).toMatchObject({ silent: true });
    expect(await ask(net, Buffer.from('no dns'), 'A', { silentMs: 30 })).toMatchObject({ silent: true });
    expect(resolver.counters).toMatchObject({ malformed: 5, queries: 5 });
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'NOERROR' });
  });

  it('gets BADVERS for an EDNS version that is not known', async () => {
    await start();
    const reply = await ask(net, 'web', 'A', { ednsVersion: 1 });
    expect(reply.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1 }]);
    expect(reply.answers).toEqual([]);
  });
});

describe('forwarding', () => {
  it('passes question and answer on, from the right namespace', async () => {
    const inside = await serve(net, '10.0.0.1', () => ({ answers: [record('a.example', '192.0.2.1')] }));
    const outside = await serve(hostNet, '10.0.0.1', () => ({ answers: [record('a.example', '192.0.2.2')] }));
    upstreams = [sandbox];
    await start();
    expect((await ask(net, 'a.example')).answers).toMatchObject([{ data: '192.0.2.1', ttl: 60 }]);
    upstreams = [host];
    expect((await ask(net, 'a.example')).answers).toMatchObject([{ data: '192.0.2.2' }]);
    expect([inside.asked, outside.asked]).toEqual([['udp A a.example'], ['udp A a.example']]);
  });

  it('asks by TCP what was asked by TCP', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox];
    await start();
    expect((await askTcp(net, ['a.example']))[0]?.answers).toHaveLength(1);
    expect(asked).toEqual(['tcp A a.example']);
  });

  it('is SERVFAIL without a server', async () => {
    const resolver = await start();
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'SERVFAIL', flag_ra: true });
    expect(resolver.counters.failed).toBe(1);
  });

  it.each([
    ['SERVFAIL', 2],
    ['REFUSED', 5],
  ])('goes on to the next server at %s, and ends with SERVFAIL', async (_name, rcode) => {
    const first = await serve(net, '10.0.0.1', () => ({ rcode }));
    const other = await serve(net, '10.0.0.2', ({ questions }) =>
      questions?.[0]?.name === 'a.example' ? { answers: [record('a.example')] } : { rcode },
    );
    upstreams = [sandbox, second];
    await start();
    expect((await ask(net, 'a.example')).answers).toHaveLength(1);
    expect(await ask(net, 'b.example')).toMatchObject({ rcode: 'SERVFAIL' });
    expect([first.asked.length, other.asked.length]).toEqual([2, 2]);
  });

  it.each([
    ['FORMERR', 1],
    ['NOTIMP', 4],
    ['YXDOMAIN', 6],
    ['NOERROR', 0],
  ])('passes %s without records on, and asks nobody else', async (name, rcode) => {
    await serve(net, '10.0.0.1', () => ({ rcode }));
    const other = await serve(net, '10.0.0.2', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox, second];
    await start();
    for (const reply of [await ask(net, 'a.example'), ...(await askTcp(net, ['a.example']))])
      expect(reply).toMatchObject({ rcode: name, answers: [] });
    expect(other.asked).toEqual([]);
  });

  it('asks other servers for the rest: other types of unknown names, unknown reverse names, other classes', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({}));
    upstreams = [sandbox];
    await start();
    for (const type of ['MX', 'TXT', 'SRV']) await ask(net, 'a.example', type);
    await ask(net, '9.9.9.9.in-addr.arpa', 'PTR');
    await ask(net, '_icmp.web', 'SRV');
    const chaos = query('web', 'A');
    chaos.writeUInt16BE(3, chaos.length - 2);
    await ask(net, chaos);
    expect(asked).toEqual([
      'udp MX a.example',
      'udp TXT a.example',
      'udp SRV a.example',
      'udp PTR 9.9.9.9.in-addr.arpa',
      'udp SRV _icmp.web',
      'udp A web',
    ]);
  });

  it('passes NXDOMAIN on with the zone that says so, and asks nobody else', async () => {
    const soa = { mname: 'ns.example', rname: 'root.example', minimum: 30 };
    await serve(net, '10.0.0.1', () => ({
      rcode: 3,
      authorities: [{ type: 'SOA', name: 'example', ttl: 30, data: soa }],
    }));
    const other = await serve(net, '10.0.0.2', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox, second];
    await start();
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'NXDOMAIN', authorities: [{ type: 'SOA' }] });
    expect(other.asked).toEqual([]);
  });

  it('asks the next server beside one that is slow, and asks a silent one last from then on', async () => {
    const silent = await serve(net, '10.0.0.1', () => undefined);
    const other = await serve(net, '10.0.0.2', ({ questions }) => ({
      answers: [record(questions?.[0]?.name ?? '')],
    }));
    upstreams = [sandbox, second];
    const warned: unknown[] = [];
    const resolver = await start({
      limits: { retryMs: 500, timeoutMs: 60_000 },
      logger: { warn: (_message, facts) => warned.push(facts) },
    });
    for (let i = 0; i < 6; i++) expect((await ask(net, `n${i}.example`)).answers).toHaveLength(1);
    expect(silent.asked).toHaveLength(3);
    expect(other.asked).toHaveLength(6);
    expect(warned).toEqual([{ address: '10.0.0.1', port: 53 }]);
    expect(resolver.counters.missed).toBe(3);
  });

  it('asks a server again whose first answer was lost', async () => {
    let lost = 0;
    await serve(net, '10.0.0.1', () => (lost++ === 0 ? undefined : { answers: [record('a.example')] }));
    upstreams = [sandbox];
    await start({ limits: QUICK });
    expect((await ask(net, 'a.example')).answers).toHaveLength(1);
  });

  it('is SERVFAIL when all servers stay silent', async () => {
    for (const address of ['10.0.0.1', '10.0.0.2']) await serve(net, address, () => undefined);
    upstreams = [sandbox, second];
    await start({ limits: QUICK });
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'SERVFAIL' });
  });

  it('uses three servers at most', async () => {
    const fourth = await serve(net, '10.0.0.4', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox, second, third, { address: '10.0.0.4', from: 'sandbox' }];
    await start({ limits: QUICK });
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'SERVFAIL' });
    expect(fourth.asked).toEqual([]);
  });

  it('never asks itself', async () => {
    upstreams = [{ address: '127.0.0.11', from: 'sandbox' }];
    const resolver = await start();
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'SERVFAIL' });
    expect(resolver.counters.queries).toBe(1);
  });

  it('ignores answers from elsewhere, to another question, and with another id', async () => {
    const liar = await net.bindUdp('10.0.0.2', 53);
    const server = await net.bindUdp('10.0.0.1', 53);
    server.onMessage((message, from) => {
      const query = packet.decode(message);
      const answer = (name: string, id: number, data: string) =>
        packet.encode({
          ...query,
          id,
          type: 'response',
          questions: [{ type: 'A', name }],
          answers: [record(name, data)],
        });
      const id = query.id ?? 0;
      liar.send(answer('a.example', id, '192.0.2.6'), from);
      server.send(answer('b.example', id, '192.0.2.7'), from);
      server.send(answer('a.example', id ^ 1, '192.0.2.8'), from);
      server.send(answer('a.example', id, '192.0.2.1'), from);
    });
    upstreams = [sandbox];
    await start();
    expect((await ask(net, 'a.example')).answers).toMatchObject([{ data: '192.0.2.1' }]);
  });

  it('does not forward a name without dots when ndots was asked for', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [record('alone')] }));
    upstreams = [sandbox];
    let ndots = true;
    await start({ ndotsSet: () => ndots });
    expect(await ask(net, 'alone')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(asked).toEqual([]);
    ndots = false;
    expect((await ask(net, 'alone')).answers).toHaveLength(1);
  });
});

describe('an internal network', () => {
  it('never asks by the host, and still asks servers inside', async () => {
    const outside = await serve(hostNet, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    const inside = await serve(net, '10.0.0.2', () => ({ answers: [record('a.example', '192.0.2.2')] }));
    names.setNetwork({ id: 'n1', name: 'front', internal: true });
    upstreams = [host];
    await start();
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'SERVFAIL' });
    expect(await askTcp(net, ['alone'])).toMatchObject([{ rcode: 'SERVFAIL' }]);
    upstreams = [host, second];
    expect((await ask(net, 'a.example')).answers).toMatchObject([{ data: '192.0.2.2' }]);
    expect(outside.asked).toEqual([]);
    expect(inside.asked).toHaveLength(1);
    expect(hostNet.openSockets).toBe(2);
  });

  it('forwards as soon as a network with a way out is joined', async () => {
    await serve(hostNet, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    upstreams = [host];
    names.setNetwork({ id: 'n1', name: 'front', internal: true });
    await start();
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'SERVFAIL' });
    names.setSandbox({ id: 's1', networks: ['n1', 'n2'] });
    expect(await ask(net, 'a.example')).toMatchObject({ rcode: 'NOERROR' });
  });
});

describe('limits', () => {
  it('refuses at once what is over the number of questions in flight, and counts it', async () => {
    await serve(net, '10.0.0.1', () => undefined);
    upstreams = [sandbox];
    const resolver = await start({ limits: { inFlight: 3, timeoutMs: 5000, retryMs: 5000 } });
    const waiting = ['a', 'b', 'c'].map((name) => ask(net, `${name}.example`, 'A', { silentMs: 1000 }));
    expect(await ask(net, 'd.example')).toMatchObject({ rcode: 'REFUSED' });
    expect(resolver.counters).toMatchObject({ inFlight: 3, refused: 1 });
    expect(await ask(net, 'web')).toMatchObject({ rcode: 'NOERROR' });
    await resolver.close();
    await Promise.all(waiting);
    expect(resolver.counters.inFlight).toBe(0);
  });

  it('asks identical questions in flight once, and gives each its own id', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox];
    const resolver = await start();
    const replies = await Promise.all([1, 2, 3].map((id) => ask(net, 'a.example', 'A', { id })));
    expect(replies.map((it) => it.id)).toEqual([1, 2, 3]);
    expect(asked).toHaveLength(1);
    expect(resolver.counters).toMatchObject({ forwarded: 1, shared: 2 });
  });

  it('closes connections over their number', async () => {
    const resolver = await start({ limits: { tcpConnections: 1 } });
    const port = net.intents.flatMap((it) => (it.kind === 'resolver' ? [it.tcpPort] : []))[0] ?? 0;
    const open = await net.connectTcp('127.0.0.11', port);
    await expect(askTcp(net, ['web'])).rejects.toThrow('closed');
    expect(resolver.counters.tcpRefused).toBe(1);
    open.destroy();
    await new Promise((resolve) => open.once('close', resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect((await askTcp(net, ['web']))[0]?.answers).toHaveLength(1);
  });

  it('closes a connection that says nothing', async () => {
    await start({ limits: { tcpIdleMs: 10 } });
    const port = net.intents.flatMap((it) => (it.kind === 'resolver' ? [it.tcpPort] : []))[0] ?? 0;
    const stream = await net.connectTcp('127.0.0.11', port);
    await new Promise((resolve) => stream.resume().once('end', resolve));
  });
});

describe('long answers', () => {
  const many = (name: string, count: number) =>
    Array.from({ length: count }, (_, i) => record(name, `192.0.2.${i}`));

  it('of other servers are cut to what the client takes', async () => {
    await serve(net, '10.0.0.1', () => ({ answers: many('many.example', 40) }));
    upstreams = [sandbox];
    await start();
    const short = await ask(net, 'many.example');
    expect(short).toMatchObject({ rcode: 'NOERROR', flag_tc: true });
    expect(short.answers?.length).toBeGreaterThan(0);
    const whole = await ask(net, 'many.example', 'A', { edns: 4096 });
    expect(whole.answers).toHaveLength(40);
    expect((await askTcp(net, ['many.example']))[0]?.answers).toHaveLength(40);
  });

  it('that a server truncates are fetched again by TCP', async () => {
    const { asked } = await serve(net, '10.0.0.1', (_query, transport) =>
      transport === 'udp' ? { flags: 0x8380 } : { answers: many('many.example', 40) },
    );
    upstreams = [sandbox];
    const resolver = await start();
    const reply = await ask(net, 'many.example', 'A', { edns: 4096 });
    expect(reply).toMatchObject({ flag_tc: false });
    expect(reply.answers).toHaveLength(40);
    expect(asked).toEqual(['udp A many.example', 'tcp A many.example']);
    expect(resolver.counters.tcpRetries).toBe(1);
  });

  it('stay truncated when TCP fails', async () => {
    const server = await net.bindUdp('10.0.0.1', 53);
    server.onMessage((message, from) => {
      const { id, questions } = packet.decode(message);
      server.send(packet.encode({ type: 'response', id, questions, flags: packet.TRUNCATED_RESPONSE }), from);
    });
    upstreams = [sandbox];
    await start();
    expect(await ask(net, 'many.example')).toMatchObject({ rcode: 'NOERROR', flag_tc: true });
  });
});

describe('policy', () => {
  it('answers NXDOMAIN for a name that may not be forwarded', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox];
    names.setNetwork({ id: 'n1', name: 'front', allow: ['*.example'] });
    await start();
    expect(await ask(net, 'a.elsewhere')).toMatchObject({ rcode: 'NXDOMAIN' });
    expect(await ask(net, 'A.Example')).toMatchObject({ rcode: 'NOERROR' });
    expect(asked).toEqual(['udp A A.Example']);
  });
});

describe('the cache', () => {
  it('is off by default', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox];
    await start();
    await ask(net, 'a.example');
    await ask(net, 'a.example');
    expect(asked).toHaveLength(2);
  });

  it('answers again what still lives, with the id of the question', async () => {
    const { asked } = await serve(net, '10.0.0.1', () => ({ answers: [record('a.example')] }));
    upstreams = [sandbox];
    const resolver = await start({ limits: { cacheEntries: 10 } });
    await ask(net, 'a.example', 'A', { id: 1 });
    expect(await ask(net, 'a.example', 'A', { id: 2 })).toMatchObject({
      id: 2,
      answers: [{ data: '192.0.2.1' }],
    });
    expect(asked).toHaveLength(1);
    expect(resolver.counters.cached).toBe(1);
  });
});
