import { describe, expect, it } from 'vitest';
import type { EndpointOptions } from '../../../src/index.ts';
import { ask } from './asking.ts';
import { restart, setUp } from './setting.ts';

/** Two sandboxes on an internal network, whose questions are never asked elsewhere; the second asks for the first. */
async function pair(options: Partial<EndpointOptions>) {
  const setting = await setUp();
  const network = await setting.controller.createNetwork({ name: 'n', internal: true });
  const [first, second] = await Promise.all(
    ['c1', 'c2'].map((containerId) =>
      setting.controller.createSandbox({ containerId, hostname: `host-${containerId}` }),
    ),
  );
  if (!first || !second) throw new Error('both were made');
  const web = await network.createEndpoint({ name: 'web', ...options });
  await web.join(first, { aliases: ['later'] });
  await (await network.createEndpoint({ name: 'asks' })).join(second);
  return { ...setting, network, first, second, web, address: web.ipv4?.split('/')[0] ?? '' };
}

const KNOWN = ['web', 'www', 'later', 'c1', 'host-c1'];

describe('the names of an endpoint', () => {
  it('are its own, its aliases, its container and its host name', async () => {
    const it = await pair({ aliases: ['www'] });
    for (const name of KNOWN) expect(await ask(it, it.second, name), name).toEqual([it.address]);
    expect(await ask(it, it.second, 'web.n')).toEqual([it.address]);
    const reversed = `${it.address.split('.').reverse().join('.')}.in-addr.arpa`;
    expect(await ask(it, it.second, reversed, 'PTR')).toEqual(['web.n']);
    expect(await ask(it, it.second, 'nobody')).toEqual([]);
  });

  it('are all but its own where it is anonymous', async () => {
    const it = await pair({ aliases: ['www'], anonymous: true });
    expect(await ask(it, it.second, 'web')).toEqual([]);
    for (const name of KNOWN.slice(1)) expect(await ask(it, it.second, name), name).toEqual([it.address]);
  });

  it('are those that it is given, and those of its join, where it is given some', async () => {
    const it = await pair({ dnsNames: ['test', 'foobar'] });
    for (const name of ['test', 'foobar', 'later'])
      expect(await ask(it, it.second, name)).toEqual([it.address]);
    for (const name of ['web', 'c1', 'host-c1']) expect(await ask(it, it.second, name)).toEqual([]);
    const reversed = `${it.address.split('.').reverse().join('.')}.in-addr.arpa`;
    expect(await ask(it, it.second, reversed, 'PTR')).toEqual(['test.n']);
  });

  it('have the services of its named ports below them', async () => {
    const it = await pair({
      exposedPorts: [{ port: 80, name: 'http' }, { port: 45_321, name: 'host_http' }, { port: 81 }],
    });
    const targets = (port: number) => [{ priority: 0, weight: 0, port, target: 'web.n' }];
    expect(await ask(it, it.second, '_http._tcp.web.n', 'SRV')).toEqual(targets(80));
    expect(await ask(it, it.second, '_Host_HTTP._tcp.later', 'SRV')).toEqual(targets(45_321));
    expect(await ask(it, it.second, '_http._udp.web', 'SRV')).toEqual([]);
  });

  it('go when it leaves, change when its sandbox is renamed, and come back after a restart', async () => {
    const it = await pair({});
    await it.first.rename('fresh');
    expect([await ask(it, it.second, 'web'), await ask(it, it.second, 'fresh')]).toEqual([[], [it.address]]);
    const next = await restart(it, ['c1', 'c2']);
    const [first, second] = [next.controller.sandbox('c1'), next.controller.sandbox('c2')];
    if (!first || !second) throw new Error('both are alive');
    expect(await ask(next, second, 'fresh')).toEqual([it.address]);
    await next.controller.network('n')?.endpoint('fresh')?.leave(first);
    expect(await ask(next, second, 'fresh')).toEqual([]);
  });
});
