import { validate, version } from 'uuid';
import { describe, expect, it } from 'vitest';
import {
  type ControllerEvents,
  type EventName,
  LibnetworkError,
  type NetworkController,
} from '../../../src/index.ts';
import { refusal, type Setting, StrikeAt, setUp } from './setting.ts';

const NAMES: readonly EventName[] = [
  'network:create',
  'network:delete',
  'endpoint:create',
  'endpoint:delete',
  'endpoint:join',
  'endpoint:leave',
  'sandbox:create',
  'sandbox:delete',
  'reconcile',
];

function record(controller: NetworkController): [EventName, object][] {
  const heard: [EventName, object][] = [];
  for (const name of NAMES) controller.on(name, (facts) => heard.push([name, facts]));
  return heard;
}

/** The facts of an event without its stamp. */
function plainFacts(event: object): object {
  return Object.fromEntries(Object.entries(event).filter(([key]) => key !== 'eventId' && key !== 'time'));
}

/** What happens on one machine, and what is told of it. Typed, so that no event can be forgotten here. */
type Told = {
  readonly [E in Exclude<EventName, 'endpoint:lost'>]: (setting: Setting) => Promise<ControllerEvents[E][]>;
};

const front = async ({ controller }: Setting) => controller.createNetwork({ name: 'front' });

async function joined(setting: Setting) {
  const { controller } = setting;
  const network = controller.network('front') ?? (await front(setting));
  const sandbox = await controller.createSandbox({ containerId: 'c1' });
  const endpoint = await network.createEndpoint({ name: 'web', ports: [{ protocol: 'tcp', container: 80 }] });
  await endpoint.join(sandbox);
  const ids = { networkId: network.id, endpointId: endpoint.id, sandboxId: sandbox.id };
  const { networkId, endpointId } = ids;
  return { network, sandbox, endpoint, ids, named: (name: string) => ({ networkId, endpointId, name }) };
}

const EVERY: Told = {
  'network:create': async (setting) => {
    const network = await front(setting);
    const config = await setting.controller.createNetwork({ name: 'settings', configOnly: true });
    return [network, config].map(({ id, name }) => ({ networkId: id, name }));
  },
  'network:update': async (setting) => {
    const network = await front(setting);
    await network.update({ labels: { a: 'b' } });
    await refusal(network.update({ options: { 'com.docker.network.driver.mtu': 1400 } }));
    return [{ networkId: network.id, name: 'front' }];
  },
  'network:delete': async (setting) => {
    const { network, sandbox } = await joined(setting);
    await refusal(network.delete());
    await sandbox.delete();
    await network.delete();
    return [{ networkId: network.id, name: 'front' }];
  },
  'endpoint:create': async (setting) => {
    const { network, named } = await joined(setting);
    await refusal(network.createEndpoint({ name: 'web' }));
    return [named('web')];
  },
  'endpoint:update': async (setting) => {
    const { endpoint, sandbox, named } = await joined(setting);
    await endpoint.update({ ports: [] });
    await sandbox.rename('shop');
    await sandbox.rename('shop');
    return [named('web'), named('shop')];
  },
  'endpoint:delete': async (setting) => {
    const { endpoint, named } = await joined(setting);
    await refusal(endpoint.delete());
    await endpoint.delete({ force: true });
    return [named('web')];
  },
  'endpoint:join': async (setting) => {
    const { endpoint, sandbox, ids } = await joined(setting);
    await refusal(endpoint.join(sandbox));
    return [{ ...ids, interfaceName: 'eth0' }];
  },
  'endpoint:leave': async (setting) => {
    const { endpoint, sandbox, ids } = await joined(setting);
    await endpoint.leave(sandbox);
    await refusal(endpoint.leave(sandbox));
    return [ids];
  },
  'service:create': async (setting) => {
    const network = await front(setting);
    await network.createEndpoint({ name: 'w1', service: { name: 'web' } });
    await network.createEndpoint({ name: 'w2', service: { name: 'web' } });
    await refusal(network.createEndpoint({ name: 'w3', service: { name: 'web', mode: 'dnsrr' } }));
    return [{ networkId: network.id, name: 'web', mode: 'vip' }];
  },
  'service:update': async (setting) => {
    const { network } = await joined(setting);
    const endpoint = await network.createEndpoint({ name: 'w1', service: { name: 'web' } });
    const sandbox = await setting.controller.createSandbox({ containerId: 'c2' });
    await endpoint.join(sandbox);
    await endpoint.update({ service: { enabled: false } });
    await endpoint.update({ service: { enabled: false } });
    await endpoint.leave(sandbox);
    return [1, 0].map((live) => ({ networkId: network.id, name: 'web', live }));
  },
  'service:delete': async (setting) => {
    const network = await front(setting);
    const made = [];
    for (const name of ['w1', 'w2'])
      made.push(await network.createEndpoint({ name, service: { name: 'web' } }));
    for (const endpoint of made) await endpoint.delete();
    return [{ networkId: network.id, name: 'web' }];
  },
  'sandbox:create': async (setting) => {
    const { sandbox } = await joined(setting);
    await refusal(setting.controller.createSandbox({ containerId: 'c1' }));
    return [{ sandboxId: sandbox.id, containerId: 'c1' }];
  },
  'sandbox:update': async (setting) => {
    const { controller, osl, world } = setting;
    const sandbox = await controller.createSandbox({ containerId: 'late', externalKey: true });
    await sandbox.refresh({ hostname: 'new' });
    await refusal(sandbox.refresh({ hostname: 'no host name' }));
    await refusal(sandbox.setKey('/nowhere/ns'));
    const path = `${world.runDir}/theirs`;
    await (await osl.createNamespace(path)).close();
    await sandbox.setKey(path);
    const told = { sandboxId: sandbox.id, containerId: 'late' };
    return [told, told];
  },
  'sandbox:delete': async (setting) => {
    const { sandbox } = await joined(setting);
    await sandbox.delete();
    await refusal(sandbox.delete());
    return [{ sandboxId: sandbox.id, containerId: 'c1' }];
  },
  reconcile: async (setting) => {
    const network = await front(setting);
    await setting.osl.host.deleteLink(`br-${network.id.slice(0, 12)}`);
    await setting.controller.reconcile({ dryRun: true });
    await setting.controller.reconcile();
    await setting.controller.reconcile();
    const found = { missing: 1, orphaned: 0 };
    return [
      { ...found, repaired: 0 },
      { ...found, repaired: 1 },
      { missing: 0, orphaned: 0, repaired: 0 },
    ];
  },
};

describe('events', () => {
  it.each(Object.keys(EVERY) as (keyof Told)[])(
    'tell what happened, once, and nothing of what was refused: %s',
    async (name) => {
      const setting = await setUp();
      const heard: object[] = [];
      setting.controller.on(name, (facts) => heard.push(plainFacts(facts)));
      expect(await EVERY[name](setting)).toEqual(heard);
      expect(heard.length).toBeGreaterThan(0);
    },
  );

  it('carry ids that sort them in the order of time', async () => {
    const { controller } = await setUp();
    const heard: { eventId: string; time: number }[] = [];
    controller.on('network:create', (event) => heard.push(event));
    const start = Date.now();
    for (const name of ['a', 'b', 'c']) await controller.createNetwork({ name });
    const ids = heard.map(({ eventId }) => eventId);
    expect(ids.map((id) => validate(id) && version(id))).toEqual([7, 7, 7]);
    expect([...ids].sort()).toEqual(ids);
    expect(heard.every(({ time }) => time >= start && time <= Date.now())).toBe(true);
  });

  it('tell every change once, in order, after it is committed, with frozen facts', async () => {
    const { controller } = await setUp();
    const heard = record(controller);
    const network = await controller.createNetwork({ name: 'front' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await network.createEndpoint({ name: 'web' });
    await endpoint.join(sandbox);
    await endpoint.leave(sandbox);
    await endpoint.join(sandbox);
    await sandbox.delete();
    await network.delete();
    await controller.reconcile();
    const ids = { networkId: network.id, endpointId: endpoint.id, sandboxId: sandbox.id };
    const { networkId, endpointId, sandboxId } = ids;
    expect(heard.map(([name, facts]) => [name, plainFacts(facts)])).toEqual([
      ['network:create', { networkId, name: 'front' }],
      ['sandbox:create', { sandboxId, containerId: 'c1' }],
      ['endpoint:create', { networkId, endpointId, name: 'web' }],
      ['endpoint:join', { ...ids, interfaceName: 'eth0' }],
      ['endpoint:leave', ids],
      ['endpoint:join', { ...ids, interfaceName: 'eth0' }],
      ['endpoint:leave', ids],
      ['endpoint:delete', { networkId, endpointId, name: 'web' }],
      ['sandbox:delete', { sandboxId, containerId: 'c1' }],
      ['network:delete', { networkId, name: 'front' }],
      ['reconcile', { missing: 0, orphaned: 0, repaired: 0 }],
    ]);
    expect(heard.every(([, facts]) => Object.isFrozen(facts))).toBe(true);
  });

  it('tell nothing of what failed', async () => {
    const faults = new StrikeAt();
    const { controller } = await setUp({}, faults);
    const heard = record(controller);
    faults.arm(6, () => {
      throw new LibnetworkError('INTERNAL', 'struck');
    });
    await refusal(controller.createNetwork({ name: 'front' }));
    expect(heard).toEqual([]);
  });

  it('go on when a listener throws, and stop when it is taken off', async () => {
    const { controller, world } = await setUp();
    const heard: string[] = [];
    const fails = (): void => {
      throw new Error('a listener of the test');
    };
    const hears = ({ name }: { name: string }): void => void heard.push(name);
    controller.on('network:create', fails).on('network:create', hears);
    await controller.createNetwork({ name: 'a' });
    controller.off('network:create', hears).off('network:create', fails);
    await controller.createNetwork({ name: 'b' });
    expect(heard).toEqual(['a']);
    expect(world.complaints).toEqual(['a listener of network:create failed (Error: a listener of the test)']);
  });
});
