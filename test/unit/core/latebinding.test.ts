import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { keyOfState, parseArguments, tell } from '../../../src/cmd/setkey.ts';
import type { Driver, DriverFactory } from '../../../src/driverapi/driver.ts';
import { vethName } from '../../../src/ids.ts';
import type { Endpoint, EndpointId, Sandbox } from '../../../src/index.ts';
import { LibnetworkError } from '../../../src/index.ts';
import { meshDriver } from './mesh.ts';
import { expectNothingToRepair, refusal, restart, type Setting, StrikeAt, setUp, traces } from './setting.ts';

interface Late extends Setting {
  readonly sandbox: Sandbox;
  readonly ends: readonly Endpoint[];
  /** A namespace that the runtime made. */
  runtime(name: string): Promise<string>;
}

async function lateSandbox(setting: Setting, joins = 2): Promise<Late> {
  const { controller, world, osl } = setting;
  const sandbox = await controller.createSandbox({ containerId: 'c1', hostname: 'one', externalKey: true });
  const ends: Endpoint[] = [];
  for (let i = 0; i < joins; i++) {
    const network = await controller.createNetwork({ name: `n${i}`, ipv6: true });
    const ports = [{ protocol: 'tcp' as const, container: 80, host: 8080 + i }];
    const end = await network.createEndpoint({ name: `e${i}`, ports });
    await end.join(sandbox);
    ends.push(end);
  }
  const runtime = async (name: string) => {
    const path = `${world.runDir}/${name}`;
    await (await osl.createNamespace(path)).close();
    return path;
  };
  return { ...setting, sandbox, ends, runtime };
}

/** A driver whose links are there before the join, on the host, as those of plugins. */
const movingDriver: DriverFactory = (host) => {
  const near = (id: EndpointId) => vethName(id);
  const far = (id: EndpointId) => `p${vethName(id).slice(1)}`;
  const more: Partial<Driver> = {
    createEndpoint: async ({ endpoint: { id } }) => {
      const link = { kind: 'veth', peer: { name: far(id) } } as const;
      await host.osl.host.apply([{ op: 'createLink', name: near(id), link }]);
      return {};
    },
    join: async ({ endpoint: { id } }) => ({ link: { kind: 'move', sourceName: far(id) } }),
    leave: async () => undefined,
    deleteEndpoint: async ({ endpoint: { id } }) => void (await host.osl.host.deleteLink(near(id))),
  };
  return meshDriver({}, more, 'moving')(host);
};

async function linksIn({ osl }: Setting, path: string): Promise<string[]> {
  const inside = await osl.openNamespace(path);
  const names = (await inside.links()).map(({ name }) => name).sort();
  await inside.close();
  return names;
}

describe('a sandbox whose namespace comes later', () => {
  it('notes joins, and makes them when it gets its key', async () => {
    const late = await lateSandbox(await setUp());
    const { sandbox, ends } = late;
    expect(sandbox.namespacePath).toBe('');
    expect(await sandbox.statistics()).toEqual({});
    expect(() => sandbox.spawn('true')).toThrow('no open namespace');
    expect(ends.map((end) => [end.interfaceName, end.ports.length])).toEqual([
      ['eth0', 0],
      ['eth1', 0],
    ]);
    await expectNothingToRepair(late);
    const path = await late.runtime('theirs');
    await sandbox.setKey(path);
    expect(sandbox.namespacePath).toBe(path);
    expect(await linksIn(late, path)).toEqual(['eth0', 'eth1', 'lo']);
    expect(ends[0]?.ports).toHaveLength(2);
    expect(Object.keys(await sandbox.statistics()).sort()).toEqual(['eth0', 'eth1']);
    await expectNothingToRepair(late);
    const network = await late.controller.createNetwork({ name: 'more' });
    const more = await network.createEndpoint({ name: 'more' });
    await more.join(sandbox);
    expect(more.interfaceName).toBe('eth2');
    await sandbox.delete();
    expect(await linksIn(late, path)).toEqual(['lo']);
    await expectNothingToRepair(late);
  });

  it('takes changes of an endpoint before its key, and makes it as it is then', async () => {
    const late = await lateSandbox(await setUp(), 1);
    const [end] = late.ends;
    await end?.update({
      ports: [{ protocol: 'tcp', container: 80, host: 9090 }],
      limits: { egress: 1_000_000 },
      labels: { role: 'web' },
    });
    expect(end?.ports).toEqual([]);
    await expectNothingToRepair(late);
    await late.sandbox.setKey(await late.runtime('theirs'));
    expect(end?.ports.map(({ host }) => host)).toEqual([9090, 9090]);
    await expectNothingToRepair(late);
    await late.sandbox.delete();
    await expectNothingToRepair(late);
  });

  it('is as before after a key that is none, and takes the next one', async () => {
    const late = await lateSandbox(await setUp());
    const before = await traces(late);
    expect(await refusal(late.sandbox.setKey('this-must-fail'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'path',
    });
    expect(await refusal(late.sandbox.setKey('/this/must/fail'))).toMatchObject({ code: 'NOT_FOUND' });
    expect(await traces(late)).toEqual(before);
    await late.sandbox.setKey(await late.runtime('theirs'));
    await expectNothingToRepair(late);
  });

  it('moves links that their driver does not make in place when it gets a second key', async () => {
    const setting = await setUp({ drivers: [movingDriver] });
    const { controller } = setting;
    const late = await lateSandbox(setting, 0);
    const network = await controller.createNetwork({ name: 'far', driver: 'moving', internal: true });
    await (await network.createEndpoint({ name: 'end' })).join(late.sandbox);
    const [first, second] = [await late.runtime('first'), await late.runtime('second')];
    await late.sandbox.setKey(first);
    expect(await linksIn(late, first)).toEqual(['eth0', 'lo']);
    await late.sandbox.setKey(second);
    expect(await linksIn(late, first)).toEqual(['lo']);
    expect(await linksIn(late, second)).toEqual(['eth0', 'lo']);
    await expectNothingToRepair(late);
  });

  it('moves its endpoints when it gets a second key', async () => {
    const late = await lateSandbox(await setUp());
    const [first, second] = [await late.runtime('first'), await late.runtime('second')];
    await late.sandbox.setKey(first);
    await late.sandbox.setKey(second);
    expect(await linksIn(late, first)).toEqual(['lo']);
    expect(await linksIn(late, second)).toEqual(['eth0', 'eth1', 'lo']);
    expect(late.ends.map((end) => end.interfaceName)).toEqual(['eth0', 'eth1']);
    await expectNothingToRepair(late);
  });

  it('lets an endpoint leave that was only noted', async () => {
    const late = await lateSandbox(await setUp());
    await late.ends[0]?.leave(late.sandbox);
    const path = await late.runtime('theirs');
    await late.sandbox.setKey(path);
    expect(await linksIn(late, path)).toEqual(['eth1', 'lo']);
    await expectNothingToRepair(late);
  });

  it('comes back after a restart, with and without its key', async () => {
    const late = await lateSandbox(await setUp());
    const next = await restart(late, ['c1']);
    const sandbox = next.controller.sandbox('c1');
    expect(sandbox?.endpoints()).toHaveLength(2);
    await expectNothingToRepair(next);
    const path = await late.runtime('theirs');
    await sandbox?.setKey(path);
    const last = await restart(next, ['c1']);
    expect(last.controller.sandbox('c1')?.namespacePath).toBe(path);
    await expectNothingToRepair(last);
    await last.controller.sandbox('c1')?.delete();
    expect(await linksIn(last, path)).toEqual(['lo']);
  });

  it('is the only kind that takes a key', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    expect(await refusal(sandbox.setKey('/proc/1/ns/net'))).toMatchObject({ code: 'FORBIDDEN' });
    const both = setting.controller.createSandbox({
      containerId: 'c2',
      externalKey: true,
      namespacePath: 'host',
    });
    expect(await refusal(both)).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'externalKey' });
  });

  it('has no key when any step of setting it fails', async () => {
    for (let at = 1; ; at++) {
      const faults = new StrikeAt();
      const late = await lateSandbox(await setUp({}, faults));
      const path = await late.runtime('theirs');
      const before = await traces(late);
      let where: string | undefined;
      faults.arm(at, (step) => {
        where = step;
        throw new LibnetworkError('UNAVAILABLE', 'struck');
      });
      const [outcome] = await Promise.allSettled([late.sandbox.setKey(path)]);
      if (where === undefined) {
        expect(at).toBeGreaterThan(10);
        break;
      }
      if (outcome.status === 'rejected') {
        expect(outcome.reason, where).toMatchObject({ code: 'UNAVAILABLE' });
        expect(await traces(late), `step ${at}: ${where}`).toEqual(before);
        await late.sandbox.setKey(path);
      }
      await expectNothingToRepair(late, `step ${at}: ${where}`);
      await late.controller.close();
    }
  });
});

describe('the runtime’s hook', () => {
  it('sets the key of its container', async () => {
    const late = await lateSandbox(await setUp({ runtimeHook: true }));
    const path = await late.runtime('theirs');
    const { socket, args, oci } = late.controller.runtimeHook('c1');
    expect(args[0]).toBe('libnetwork-setkey');
    expect(parseArguments(args.slice(1))).toEqual({ socket, containerId: 'c1' });
    expect(oci).toEqual({ path: process.execPath, args: [args[0], expect.any(String), ...args.slice(1)] });
    expect(existsSync(oci.args[1] ?? '')).toBe(true);
    await tell({ socket, containerId: 'c1' }, path);
    expect(late.sandbox.namespacePath).toBe(path);
    expect(await linksIn(late, path)).toEqual(['eth0', 'eth1', 'lo']);
  });

  it('is told what is wrong, in words', async () => {
    const setting = await setUp({ runtimeHook: true });
    const { socket } = setting.controller.runtimeHook('nobody');
    await expect(tell({ socket, containerId: 'nobody' }, '/proc/1/ns/net')).rejects.toThrow(
      'failed to get sandbox for nobody',
    );
    for (const text of ['{', '[]', '{"ContainerID":1,"Key":"x"}', `{"ContainerID":"${'x'.repeat(1300)}"}`])
      expect(await ask(socket, text)).toContain('the request is no JSON object');
    await setting.controller.createSandbox({ containerId: 'c1', externalKey: true });
    expect(await ask(socket, '{"ContainerID":"c1","Key":"/nowhere"}')).toContain('/nowhere');
    await setting.controller.close();
    await expect(tell({ socket, containerId: 'c1' }, '/x')).rejects.toThrow('ENOENT');
  });

  it('answers exactly success, and leaves the connection to the other side', async () => {
    const late = await lateSandbox(await setUp({ runtimeHook: true }), 1);
    const { socket } = late.controller.runtimeHook('c1');
    const path = await late.runtime('theirs');
    expect(await ask(socket, `{"ContainerID":"c1","Key":"${path}","OTelTrace":{"a":"b"}}\n`)).toBe('success');
    expect(late.sandbox.namespacePath).toBe(path);
  });

  it('finds the controller that comes after a restart, also after a crash left the socket’s file', async () => {
    const late = await lateSandbox(await setUp({ runtimeHook: true }));
    const before = late.controller.runtimeHook('c1');
    const next = await restart(late, ['c1'], { runtimeHook: true });
    expect(next.controller.runtimeHook('c1')).toEqual(before);
    await tell({ socket: before.socket, containerId: 'c1' }, await late.runtime('theirs'));
    await expectNothingToRepair(next);
  });

  it('reads arguments and state as upstream’s does', () => {
    expect(parseArguments(['-exec-root', '/run/x', 'c1', '0123456789abcdef'])).toEqual({
      socket: '/run/x/libnetwork/0123456789ab.sock',
      containerId: 'c1',
    });
    expect(parseArguments(['c1', 'abc']).socket).toBe('/run/libnetwork/default/libnetwork/abc.sock');
    for (const args of [[], ['c1'], ['-exec-root', '/x', 'c1'], ['a', 'b', 'c']])
      expect(() => parseArguments(args)).toThrow('usage');
    expect(keyOfState('{"pid":42,"id":"c1"}')).toBe('/proc/42/ns/net');
    for (const state of ['', '{}', '{"pid":"42"}', '{"pid":0}', 'null'])
      expect(() => keyOfState(state)).toThrow();
  });
});

function ask(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => socket.write(text));
    socket.on('data', (data) => resolve(data.toString('utf8')));
    socket.on('error', reject);
  });
}
