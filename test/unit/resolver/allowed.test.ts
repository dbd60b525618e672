import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import type { AllowedAddress, OnAllowed } from '../../../src/resolver/allowed.ts';
import { NameTable } from '../../../src/resolver/names.ts';
import type { LimitOptions } from '../../../src/resolver/options.ts';
import { type NameServer, nameServersHere } from '../../../src/resolver/servers.ts';
import { askFromHere, serve } from '../../kernel/resolver/setting.ts';

const osl = fakeOsl();
const SERVER = '127.0.0.20';
const open: { close(): unknown }[] = [];
let told: [network: string, name: string, addresses: readonly AllowedAddress[]][];
let names: NameTable;
let sandbox: Namespace;

const remember: OnAllowed = async (...all) => void told.push(all);

beforeEach(async () => {
  told = [];
  names = new NameTable();
  names.setSandbox({ id: 's1', networks: ['n1', 'n2'] });
  names.setNetwork({
    id: 'n1',
    name: 'front',
    allow: ['*.example'],
    records: { 'db.example': ['10.1.1.2'] },
  });
  names.setNetwork({ id: 'n2', name: 'back', allow: ['a.example'] });
  sandbox = await osl.createNamespace('/run/allowed/s1');
  open.push(await serve(sandbox, SERVER, '192.0.2.1'));
});

afterEach(async () => {
  for (const it of open.splice(0).reverse()) await it.close();
  await osl.deleteNamespace('/run/allowed/s1');
});

async function start(
  onAllowed: OnAllowed,
  more: { limits?: LimitOptions; warn?: (message: string, facts: unknown) => void } = {},
): Promise<NameServer> {
  const { limits, warn } = more;
  const servers = nameServersHere({ host: osl.host, names, onAllowed, limits, logger: warn && { warn } });
  const server = await servers.start(
    {
      sandboxId: 's1',
      upstreams: [{ address: SERVER, from: 'sandbox' }],
      ndotsSet: false,
      firewallTable: 'libnetwork-test',
    },
    sandbox,
  );
  open.push(server);
  return server;
}

const ask = (name: string, type = 'A') => askFromHere(sandbox, name, type);
const addresses = [{ address: '192.0.2.1', ttlSeconds: 5 }];

describe('an allowed name', () => {
  it('is told to each network that lists it, with its addresses and how long they hold', async () => {
    await start(remember);
    expect(await ask('A.example')).toMatchObject({ answers: [{ data: '192.0.2.1' }] });
    expect(told).toEqual([
      ['n1', 'a.example', addresses],
      ['n2', 'a.example', addresses],
    ]);
    told = [];
    await ask('b.example');
    expect(told).toEqual([['n1', 'b.example', addresses]]);
  });

  it('is told with every address of the answer, each with the life of its record', async () => {
    open.push(
      await serve(sandbox, '127.0.0.21', '192.0.2.1', () => [
        { type: 'CNAME', name: 'c.example', ttl: 300, data: 'd.elsewhere' },
        { type: 'AAAA', name: 'd.elsewhere', ttl: 7, data: '2001:DB8::1' },
        { type: 'AAAA', name: 'd.elsewhere', ttl: 9, data: '2001:db8::2' },
        { type: 'TXT', name: 'd.elsewhere', ttl: 1, data: 'x' },
      ]),
    );
    const server = await start(remember);
    server.follow([{ address: '127.0.0.21', from: 'sandbox' }], false);
    expect((await ask('c.example', 'AAAA')).answers).toHaveLength(4);
    expect(told).toEqual([
      [
        'n1',
        'c.example',
        [
          { address: '2001:db8::1', ttlSeconds: 7 },
          { address: '2001:db8::2', ttlSeconds: 9 },
        ],
      ],
    ]);
  });

  it('is told before the client is, also where it is a static one of the network', async () => {
    const order: string[] = [];
    let letThrough: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      letThrough = resolve;
    });
    await start(async (network, name, all) => {
      order.push(`${network} asked for ${name} ${all.map((it) => `${it.address} ${it.ttlSeconds}`)}`);
      await gate;
      order.push('let through');
    });
    const asked = ask('db.example').then(() => order.push('answered'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(order).toEqual(['n1 asked for db.example 10.1.1.2 600']);
    letThrough();
    await asked;
    expect(order.slice(1)).toEqual(['let through', 'answered']);
  });

  it('is told again when the answer comes from the cache', async () => {
    const server = await start(remember, { limits: { cacheEntries: 10 } });
    await ask('b.example');
    await ask('b.example');
    expect(await server.counters()).toMatchObject({ forwarded: 1, cached: 1 });
    expect(told).toHaveLength(2);
  });

  it('is not told where no list has it, or nothing was found', async () => {
    names.setNetwork({ id: 'n2', name: 'back' });
    open.push(await serve(sandbox, '127.0.0.21', '', () => []));
    const server = await start(remember);
    expect(await ask('a.elsewhere')).toMatchObject({ rcode: 'NOERROR', answers: [{ data: '192.0.2.1' }] });
    server.follow([{ address: '127.0.0.21', from: 'sandbox' }], false);
    expect(await ask('none.example')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    names.setEndpoint({ id: 'e1', networkId: 'n1', networkName: 'front', names: ['web'], ipv4: '10.9.0.5' });
    expect(await ask('web')).toMatchObject({ answers: [{ data: '10.9.0.5' }] });
    expect(told).toEqual([]);
  });
});

describe('a name that can not be let through', () => {
  it.each(['a.example', 'db.example'])('is SERVFAIL, and logged: %s', async (name) => {
    const warned: unknown[] = [];
    const failure = new LibnetworkError('UNAVAILABLE', 'no firewall');
    const server = await start(() => Promise.reject(failure), { warn: (_, facts) => warned.push(facts) });
    expect(await ask(name)).toMatchObject({ rcode: 'SERVFAIL', answers: [] });
    expect(warned).toEqual([{ name, error: failure }]);
    expect(await server.counters()).toMatchObject({ failed: 1 });
  });

  it.each(['a.example', 'db.example'])('is SERVFAIL when that takes too long: %s', async (name) => {
    const warned: unknown[] = [];
    const never = () => new Promise<void>(() => undefined);
    const server = await start(never, { limits: { allowMs: 20 }, warn: (_, facts) => warned.push(facts) });
    expect(await ask(name)).toMatchObject({ rcode: 'SERVFAIL' });
    expect(warned).toMatchObject([{ error: { code: 'TIMEOUT', limit: 'dns.allowMs' } }]);
    expect(await server.counters()).toMatchObject({ failed: 1, inFlight: 0 });
  });

  it('keeps at most so many waiting as the limit says', async () => {
    const never = () => new Promise<void>(() => undefined);
    const server = await start(never, { limits: { inFlight: 1, allowMs: 60_000 } });
    void ask('db.example');
    await ask('nobody').then((reply) => expect(reply).toMatchObject({ rcode: 'NXDOMAIN' }));
    expect(await ask('db.example')).toMatchObject({ rcode: 'REFUSED' });
    expect(await server.counters()).toMatchObject({ refused: 1 });
  });
});
