import { describe, expect, it } from 'vitest';
import type { ControllerOptions, NetworkOptions, Sandbox, SandboxOptions } from '../../../src/index.ts';
import { askFromHere, serve } from '../../kernel/resolver/setting.ts';
import { refusal, restart, type Setting, setUp } from '../core/setting.ts';

/** A server that every sandbox of these tests is told to ask, and that lives inside it. */
const SERVER = '127.0.0.20';

async function sandboxIn(setting: Setting, ...networks: readonly NetworkOptions[]): Promise<Sandbox> {
  const sandbox = await newSandbox(setting);
  for (const options of networks) {
    const network = await setting.controller.createNetwork(options);
    await (await network.createEndpoint({ name: 'web', aliases: [`in-${options.name}`] })).join(sandbox);
  }
  return sandbox;
}

async function newSandbox({ controller, osl }: Setting, dns: SandboxOptions['dns'] = {}): Promise<Sandbox> {
  const sandbox = await controller.createSandbox({ containerId: 'c1', dns: { servers: [SERVER], ...dns } });
  await serve(await osl.openNamespace(sandbox.namespacePath), SERVER, '192.0.2.1');
  return sandbox;
}

/** What a name is from inside: its addresses, or the error. */
async function resolve({ osl }: Setting, sandbox: Sandbox, name: string, type = 'A'): Promise<unknown> {
  const namespace = await osl.openNamespace(sandbox.namespacePath);
  const { rcode, answers = [] } = await askFromHere(namespace, name, type);
  return rcode === 'NOERROR' ? answers.map((it) => ('data' in it ? it.data : it.type)) : rcode;
}

const records = { 'db.example': ['10.1.1.2', 'fd00::2'] };
const wildcard = { 'apps.example': ['10.1.1.3'] };

describe('the names of a network', () => {
  it('hold the static ones it was made with, and end with it', async () => {
    const setting = await setUp();
    const dns = { records, wildcard };
    const sandbox = await sandboxIn(setting, { name: 'front', dns });
    expect(await resolve(setting, sandbox, 'db.example')).toEqual(['10.1.1.2']);
    expect(await resolve(setting, sandbox, 'db.example', 'AAAA')).toEqual(['fd00::2']);
    expect(await resolve(setting, sandbox, 'a.b.apps.example')).toEqual(['10.1.1.3']);
    expect(await resolve(setting, sandbox, 'elsewhere.example')).toEqual(['192.0.2.1']);
    const [endpoint] = sandbox.endpoints();
    await endpoint?.delete({ force: true });
    expect(await resolve(setting, sandbox, 'db.example')).toEqual(['192.0.2.1']);
  });

  it('are shown as given, frozen, and come back after a restart', async () => {
    const dns = { records, wildcard, forward: 'servers', allow: ['*.example'] } as const;
    const setting = await setUp();
    const before = await sandboxIn(setting, { name: 'front', dns });
    const again = await restart(setting, ['c1']);
    const network = again.controller.network('front');
    expect(network?.dns).toEqual(dns);
    for (const data of [network?.dns, network?.dns.records, network?.dns.allow])
      expect(Object.isFrozen(data)).toBe(true);
    const sandbox = again.controller.sandbox('c1') ?? before;
    expect(await resolve(again, sandbox, 'db.example')).toEqual(['10.1.1.2']);
    expect(await resolve(again, sandbox, 'elsewhere')).toBe('NXDOMAIN');
  });

  it('say what may be asked of other servers', async () => {
    const setting = await setUp();
    const sandbox = await sandboxIn(setting, { name: 'front', dns: { allow: ['a.example', '*.b.example'] } });
    expect(await resolve(setting, sandbox, 'a.example')).toEqual(['192.0.2.1']);
    expect(await resolve(setting, sandbox, 'x.b.example')).toEqual(['192.0.2.1']);
    expect(await resolve(setting, sandbox, 'c.example')).toBe('NXDOMAIN');
    expect(await sandbox.dnsCounters()).toMatchObject({ queries: 3, forwarded: 2, inFlight: 0 });
  });

  it('are changed in place, for the next question and for the controller after a restart', async () => {
    const setting = await setUp();
    const sandbox = await sandboxIn(setting, { name: 'front', dns: { allow: ['a.example'] } });
    const network = setting.controller.network('front');
    expect(await resolve(setting, sandbox, 'b.example')).toBe('NXDOMAIN');
    await network?.update({ dns: { records, allow: ['b.example'] } });
    expect(await resolve(setting, sandbox, 'b.example')).toEqual(['192.0.2.1']);
    expect(await resolve(setting, sandbox, 'a.example')).toBe('NXDOMAIN');
    expect(await resolve(setting, sandbox, 'db.example')).toEqual(['10.1.1.2']);
    await network?.update({ labels: { a: 'b' } });
    expect(network?.dns).toMatchObject({ records, allow: ['b.example'] });
    const again = await restart(setting, ['c1']);
    const survivor = again.controller.sandbox('c1') ?? sandbox;
    expect(await resolve(again, survivor, 'a.example')).toBe('NXDOMAIN');
    await again.controller.network('front')?.update({ dns: {} });
    expect(await resolve(again, survivor, 'a.example')).toEqual(['192.0.2.1']);
  });

  it('say that nothing may be asked', async () => {
    const setting = await setUp();
    const sandbox = await sandboxIn(setting, { name: 'front', dns: { records, forward: 'none' } });
    expect(await resolve(setting, sandbox, 'a.example')).toBe('NXDOMAIN');
    expect(await resolve(setting, sandbox, 'db.example')).toEqual(['10.1.1.2']);
  });

  it.each([
    [{ records: { 'a b': ['10.1.1.1'] } }, 'dns.records'],
    [{ records: { a: ['nowhere'] } }, 'dns.records'],
    [{ records: { a: [] } }, 'dns.records'],
    [{ wildcard: { '*.a': ['10.1.1.1'] } }, 'dns.wildcard'],
    [{ forward: 'host' }, 'dns.forward'],
    [{ allow: ['*'] }, 'dns.allow'],
    [{ allow: ['a.*.b'] }, 'dns.allow'],
    [{ policy: 'none' }, 'dns.policy'],
  ])('refuse %j, naming the field', async (dns, field) => {
    const { controller } = await setUp();
    const options = { name: 'front', dns } as unknown as NetworkOptions;
    const refused = await refusal(controller.createNetwork(options));
    expect(refused.code).toBe('INVALID_ARGUMENT');
    expect(refused.field?.startsWith(field)).toBe(true);
    expect(controller.networks()).toEqual([]);
  });
});

describe('the names that a sandbox sees', () => {
  it('are those of the network with the highest gateway priority first', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const sandbox = await newSandbox(setting);
    for (const [name, ipv4, gatewayPriority] of [
      ['front', '10.1.1.1', 0],
      ['back', '10.1.1.2', 10],
    ] as const) {
      const network = await controller.createNetwork({ name, dns: { records: { db: [ipv4] } } });
      await (await network.createEndpoint({ name: 'web', gatewayPriority })).join(sandbox);
    }
    expect(await resolve(setting, sandbox, 'db')).toEqual(['10.1.1.2']);
    expect(await resolve(setting, sandbox, 'db.front')).toEqual(['10.1.1.1']);
    await controller.network('back')?.endpoint('web')?.delete({ force: true });
    expect(await resolve(setting, sandbox, 'db')).toEqual(['10.1.1.1']);
  });

  it('hold its own aliases, which no other sandbox knows, also after a restart', async () => {
    const setting = await setUp();
    const sandbox = await newSandbox(setting, { aliases: { Shop: 'db' } });
    const other = await setting.controller.createSandbox({ containerId: 'c2' });
    const network = await setting.controller.createNetwork({
      name: 'front',
      dns: { records: { db: ['10.1.1.2'] }, forward: 'none' },
    });
    await (await network.createEndpoint({ name: 'one' })).join(sandbox);
    await (await network.createEndpoint({ name: 'two' })).join(other);
    expect(await resolve(setting, sandbox, 'shop')).toEqual(['10.1.1.2']);
    expect(await resolve(setting, other, 'shop')).toBe('NXDOMAIN');
    const again = await restart(setting, ['c1', 'c2']);
    expect(await resolve(again, again.controller.sandbox('c1') ?? sandbox, 'shop')).toEqual(['10.1.1.2']);
  });
});

describe('the limits of name servers', () => {
  it('are options of the controller', async () => {
    const setting = await setUp({ dns: { inFlight: 0, ttl: 7 } });
    const sandbox = await sandboxIn(setting, { name: 'front', dns: { records } });
    expect(await resolve(setting, sandbox, 'a.example')).toBe('REFUSED');
    const namespace = await setting.osl.openNamespace(sandbox.namespacePath);
    expect((await askFromHere(namespace, 'db.example')).answers).toMatchObject([{ ttl: 7 }]);
    expect(await sandbox.dnsCounters()).toMatchObject({ refused: 1, local: 1 });
  });

  it('keep answers of other servers when told', async () => {
    const setting = await setUp({ dns: { cacheEntries: 10 } });
    const sandbox = await sandboxIn(setting, { name: 'front' });
    for (let i = 0; i < 3; i++) expect(await resolve(setting, sandbox, 'a.example')).toEqual(['192.0.2.1']);
    expect(await sandbox.dnsCounters()).toMatchObject({ forwarded: 1, cached: 2 });
  });

  it.each([
    [{ inFlight: -1 }, 'dns.inFlight'],
    [{ inFlight: 20_001 }, 'dns.inFlight'],
    [{ timeoutMs: 0 }, 'dns.timeoutMs'],
    [{ cacheEntries: 1.5 }, 'dns.cacheEntries'],
    [{ worker: 'yes' }, 'dns.worker'],
    [{ worker: true }, 'dns.worker'],
    [{ threads: 2 }, 'dns.threads'],
  ])('refuse %j, naming the field', async (dns, field) => {
    const refused = await refusal(setUp({ dns } as unknown as ControllerOptions));
    expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });
});
