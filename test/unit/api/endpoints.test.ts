import { describe, expect, it } from 'vitest';
import { type Endpoint, NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { apiOver } from '../../support/api.ts';

/** A network `front` and a container `c1`; asks dnet's own API about the network's endpoints. */
async function onFront(): Promise<{
  controller: NetworkController;
  ask: Ask;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const controller = await NetworkController.open({ osl: fakeOsl(), predefined: false });
  await controller.createNetwork({ name: 'front', driver: 'bridge' });
  await controller.createSandbox({ containerId: 'c1' });
  const api = await apiOver(controller);
  const ask: Ask = async (method, path, payload) => {
    const url = `/dnet/v1/networks/front/endpoints${path}`;
    const answer = await api.app.inject({ method, url, payload });
    return { status: answer.statusCode, told: answer.json() };
  };
  return {
    controller,
    ask,
    async [Symbol.asyncDispose]() {
      await api.close();
      await controller.close();
    },
  };
}

type Ask = (
  method: 'POST' | 'PATCH',
  path: string,
  payload: object,
) => Promise<{ status: number; told: unknown }>;

const endpointOf = (controller: NetworkController): Endpoint | undefined =>
  controller.network('front')?.endpoint('web');

describe('an endpoint by dnet’s own API', () => {
  it('has labels and a service, which are told and changed', async () => {
    await using front = await onFront();
    const { controller, ask } = front;
    const made = await ask('POST', '', { name: 'web', labels: { app: 'shop' }, service: { name: 'shop' } });
    expect(made).toMatchObject({
      status: 201,
      told: { labels: { app: 'shop' }, service: { name: 'shop', mode: 'vip', enabled: true } },
    });
    const changed = await ask('PATCH', '/web', { labels: {}, service: { enabled: false } });
    expect(changed).toMatchObject({ status: 200, told: { labels: {}, service: { enabled: false } } });
    expect(endpointOf(controller)?.service).toMatchObject({ name: 'shop', enabled: false });
  });

  it.each([
    ['a label that is no text', { labels: { app: 1 } }],
    ['a service without a name', { service: { aliases: ['www'] } }],
    ['a mode that is none', { service: { name: 'shop', mode: 'both' } }],
  ])('is refused with %s', async (_, options) => {
    await using front = await onFront();
    expect((await front.ask('POST', '', { name: 'web', ...options })).status).toBe(400);
    expect(endpointOf(front.controller)).toBeUndefined();
  });
});

describe('a join with links', () => {
  it('is refused before it happens when a link can’t be read', async () => {
    await using front = await onFront();
    const { controller, ask } = front;
    await ask('POST', '', { name: 'web' });
    let joins = 0;
    controller.on('endpoint:join', () => {
      joins += 1;
    });
    const join = (links: readonly string[]) => ask('POST', '/web/join', { sandbox: 'c1', links });
    expect((await join(['db:pg', 'a:b:c'])).status).toBe(400);
    expect([joins, endpointOf(controller)?.sandboxId]).toEqual([0, undefined]);
    expect((await join(['db:pg'])).status).toBe(200);
    expect(controller.sandbox('c1')?.settings.dns.aliases).toEqual({ pg: 'db.front' });
  });

  it('is undone when it leaves, and takes no link of a network whose name ends as its own does', async () => {
    await using front = await onFront();
    const { controller, ask } = front;
    const sandbox = controller.sandbox('c1');
    await controller.createNetwork({ name: 'shop.front' });
    await ask('POST', '', { name: 'web' });
    await sandbox?.refresh({ dns: { aliases: { cache: 'redis.shop.front' } } });
    await ask('POST', '/web/join', { sandbox: 'c1', links: ['db:pg'] });
    expect(sandbox?.settings.dns.aliases).toEqual({ cache: 'redis.shop.front', pg: 'db.front' });
    expect((await ask('POST', '/web/leave', { sandbox: 'c1' })).status).toBe(200);
    expect(sandbox?.settings.dns.aliases).toEqual({ cache: 'redis.shop.front' });
  });
});
