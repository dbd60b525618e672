import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { apiOver } from '../../support/api.ts';

describe('events by Docker’s API', () => {
  it.each([
    ['none', {}, ['create front', 'create back', 'connect front', 'disconnect front']],
    ['a network by its name', { network: ['back'] }, ['create back']],
    [
      'a network by the start of its name',
      { network: ['fr'] },
      ['create front', 'connect front', 'disconnect front'],
    ],
    ['a container by the start of its id', { container: ['web'] }, ['connect front', 'disconnect front']],
    ['no container', { container: ['nosuch'] }, []],
    ['an action of a network', { network: ['front'], event: ['connect'] }, ['connect front']],
    ['what has no events here', { volume: ['data'] }, []],
    [
      'a kind without values',
      { network: [] },
      ['create front', 'create back', 'connect front', 'disconnect front'],
    ],
  ])('are told, asked for %s', async (_, filters, told) => {
    const controller = await NetworkController.open({ osl: fakeOsl(), predefined: false });
    const api = await apiOver(controller);
    try {
      const front = await controller.createNetwork({ name: 'front' });
      await controller.createNetwork({ name: 'back' });
      const web = await controller.createSandbox({ containerId: 'web-1' });
      const endpoint = await front.createEndpoint({ name: 'web-1' });
      await endpoint.join(web);
      await endpoint.leave(web);
      const query = new URLSearchParams({ since: '0', until: '0s', filters: JSON.stringify(filters) });
      const { payload, statusCode } = await api.app.inject({ url: `/v1.41/events?${query}` });
      expect(statusCode).toBe(200);
      const lines = payload.split('\n').filter((line) => line !== '');
      const events = lines.map((line) => JSON.parse(line) as Told);
      expect(events.map(({ Action, Actor }) => `${Action} ${Actor.Attributes.name}`)).toEqual(told);
    } finally {
      await api.close();
      await controller.close();
    }
  });
});

interface Told {
  readonly Action: string;
  readonly Actor: { readonly Attributes: { readonly name: string } };
}
