import { describe, expect, it } from 'vitest';
import { createApi } from '../../../src/api/index.ts';
import { NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';

describe('a join with links', () => {
  it('is refused before it happens when a link can’t be read', async () => {
    await using controller = await NetworkController.open({ osl: fakeOsl() });
    const network = await controller.createNetwork({ name: 'front', driver: 'bridge' });
    const endpoint = await network.createEndpoint({ name: 'web' });
    await controller.createSandbox({ containerId: 'c1' });
    const quiet = (): void => undefined;
    const api = await createApi({
      controller,
      about: { version: '0', kernel: 'fake', startedAt: new Date() },
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    });
    let joins = 0;
    controller.on('endpoint:join', () => {
      joins += 1;
    });
    const join = (links: readonly string[]) =>
      api.app.inject({
        method: 'POST',
        url: '/dnet/v1/networks/front/endpoints/web/join',
        payload: { sandbox: 'c1', links },
      });
    expect((await join(['db:pg', 'a:b:c'])).statusCode).toBe(400);
    expect([joins, endpoint.sandboxId]).toEqual([0, undefined]);
    expect((await join(['db:pg'])).statusCode).toBe(200);
    expect(controller.sandbox('c1')?.settings.dns.aliases).toEqual({ pg: 'db.front' });
    await api.close();
  });
});
