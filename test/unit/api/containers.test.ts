import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { apiOver } from '../../support/api.ts';

interface Container {
  readonly Id: string;
  readonly Created: number;
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, object>> };
}

/** The containers `web-1` in the networks `front` and `back`, `web-2` in `back`, and `idle` in none. */
async function furnished() {
  const controller = await NetworkController.open({ osl: fakeOsl(), predefined: false });
  const api = await apiOver(controller);
  const ask = async (url: string) => {
    const answer = await api.app.inject({ url });
    return { status: answer.statusCode, told: answer.json() as never };
  };
  const connect = async (network: string, Container: string, EndpointConfig: object = {}) => {
    const url = `/networks/${network}/connect`;
    const payload = { Container, EndpointConfig };
    expect((await api.app.inject({ method: 'POST', url, payload })).statusCode).toBe(200);
  };
  await controller.createNetwork({ name: 'front', ipv6: true, ipam: { pools } });
  await controller.createNetwork({ name: 'back', internal: true });
  for (const containerId of ['web-1', 'web-2', 'idle']) await controller.createSandbox({ containerId });
  await connect('back', 'web-1');
  await connect('back', 'web-2');
  return {
    ask,
    connect,
    async [Symbol.asyncDispose]() {
      await api.close();
      await controller.close();
    },
  };
}

const pools = [{ subnet: '10.9.0.0/24' }, { subnet: 'fd09::/64' }];

describe('containers by Docker’s API', () => {
  it.each([
    ['all', '', ['idle', 'web-1', 'web-2']],
    ['of a network', '?filters={"network":["back"]}', ['web-1', 'web-2']],
    ['of no such network', '?filters={"network":["nosuch"]}', []],
    ['by a part of a name', '?filters={"name":["web"]}', ['web-1', 'web-2']],
    ['by a whole name', '?filters={"name":["^/web-1$"]}', ['web-1']],
    ['by the start of an id', '?filters={"id":["id"]}', ['idle']],
    ['by state', '?filters={"status":["exited"]}', []],
    ['by a label, which none has', '?filters={"label":["a=b"]}', []],
    ['by nothing', '?filters={"name":[]}', ['idle', 'web-1', 'web-2']],
    ['by nothing at all', '?filters=null', ['idle', 'web-1', 'web-2']],
  ])('are listed: %s', async (_, query, ids) => {
    await using setting = await furnished();
    const { status, told } = await setting.ask(`/v1.41/containers/json${query}`);
    expect(status).toBe(200);
    expect((told as Container[]).map(({ Id }) => Id).sort()).toEqual(ids);
  });

  it('are listed up to a limit, with the time of their making', async () => {
    await using setting = await furnished();
    const listed: Container[] = (await setting.ask('/containers/json?limit=2')).told;
    expect(listed.length).toBe(2);
    for (const { Created } of listed) expect(Math.abs(Created - Date.now() / 1000)).toBeLessThan(600);
  });

  it.each(['?filters={"ancestor":["busybox"]}', '?limit=some', '?filters={"name":1}'])(
    'a question that can’t be answered is refused: %s',
    async (query) => {
      await using setting = await furnished();
      expect((await setting.ask(`/containers/json${query}`)).status).toBe(400);
    },
  );

  it('tell of each network what the container got there', async () => {
    await using setting = await furnished();
    const options = { 'com.docker.network.endpoint.ifname': 'net0' };
    await setting.connect('front', 'web-1', { Aliases: ['www'], GwPriority: 5, DriverOpts: options });
    const { told } = await setting.ask('/containers/web-1/json');
    expect((told as Container).NetworkSettings.Networks).toMatchObject({
      front: {
        Gateway: '10.9.0.1',
        IPv6Gateway: 'fd09::1',
        IPAddress: '10.9.0.2',
        GlobalIPv6Address: 'fd09::2',
        GwPriority: 5,
        DriverOpts: options,
        Aliases: ['www'],
        DNSNames: ['web-1', 'www'],
      },
      back: { Gateway: '', IPv6Gateway: '', GwPriority: 0, DriverOpts: null },
    });
  });
});

describe('what belongs to no interface', () => {
  it('is refused in the words that clients of all of them can read', async () => {
    await using setting = await furnished();
    const { status, told } = await setting.ask('/networks/%zz');
    expect([status, told]).toEqual([400, { message: "'/networks/%zz' is not a valid url component" }]);
  });
});
