import { validate, version } from 'uuid';
import { describe, expect, it } from 'vitest';
import { type EventName, LibnetworkError, type NetworkController } from '../../../src/index.ts';
import { refusal, StrikeAt, setUp } from './setting.ts';

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

describe('events', () => {
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
