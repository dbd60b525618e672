import { join } from 'node:path';
import {
  type ControllerOptions,
  type Endpoint,
  type Network,
  NetworkController,
  type Sandbox,
} from 'libnetwork';
import type { Namespace } from 'libnetwork/osl';
import { found, nameServer, plain, publication } from './facts.ts';
import { makeOutside, type Outside } from './outside.ts';
import { picture } from './picture.ts';
import { lookUp, startServer, stop } from './programs.ts';
import { check, type Stage } from './stage.ts';
import { canConnect, httpGet, inUrl } from './web.ts';
import { GREETING, PUBLISHED, UNPUBLISHED } from './world.ts';

/** The objects of the demo, while a controller has them open. */
interface House {
  readonly controller: NetworkController;
  readonly front: Network;
  readonly web: Sandbox;
  readonly client: Sandbox;
  readonly webEndpoint: Endpoint;
  readonly clientEndpoint: Endpoint;
}

/** Opens a controller that keeps these containers. */
type Opener = (active: readonly string[]) => Promise<NetworkController>;

const containers = ['web', 'client'] as const;

/** The main job of the package from beginning to end, each step with a check of its own. */
export async function tell(stage: Stage, options: ControllerOptions): Promise<void> {
  const { world } = stage;
  const outside = await stage.step('make a neighbour outside the host', () =>
    makeOutside(world.osl, join(stage.directory, 'outside')),
  );
  const opened: NetworkController[] = [];
  const open: Opener = async (active) => {
    const controller = await NetworkController.open({ ...options, activeSandboxes: active });
    opened.push(controller);
    return controller;
  };
  try {
    let house = await build(stage, open);
    stage.note(`\n${draw(house, outside)}\n`);
    const server = await stage.step('start an HTTP server in web with sandbox.spawn', () =>
      startServer(world, house.web),
    );
    try {
      await reach(stage, house, outside, '');
      house = await restart(stage, house, open);
      await reach(stage, house, outside, ', after the restart');
    } finally {
      await stop(server);
    }
    await remove(stage, house);
  } finally {
    for (const controller of opened) await controller.close();
    await outside.remove();
  }
}

/** A failed story leaves things behind: a controller that knows of no living container removes them. */
export async function cleanUp(options: ControllerOptions): Promise<void> {
  const controller = await NetworkController.open({ ...options, activeSandboxes: [] });
  try {
    for (const network of controller.networks()) {
      for (const endpoint of network.endpoints()) await endpoint.delete({ force: true });
    }
    for (const container of containers) await controller.sandbox(container)?.delete();
    for (const network of controller.networks()) await network.delete();
  } finally {
    await controller.close();
  }
}

async function build(stage: Stage, open: Opener): Promise<House> {
  const controller = await stage.step('open a controller with a Level store', () => open([]));
  const front = await stage.step('create the bridge network front', () =>
    controller.createNetwork({ name: 'front', driver: 'bridge' }),
  );
  const [web, client] = await stage.step('create the sandboxes web and client', () =>
    Promise.all([createSandbox(controller, 'web'), createSandbox(controller, 'client')]),
  );
  const webEndpoint = await stage.step(`attach web, with port ${PUBLISHED} published`, async () => {
    const ports = [{ protocol: 'tcp' as const, container: PUBLISHED, host: 8080, hostEnd: 8179 }];
    const endpoint = await front.createEndpoint({ name: 'web', aliases: ['www'], ports });
    await endpoint.join(web);
    check(endpoint.ports.length > 0, 'a published port', endpoint.ports);
    return endpoint;
  });
  const clientEndpoint = await stage.step('attach client', async () => {
    const endpoint = await front.createEndpoint({ name: 'client' });
    await endpoint.join(client);
    return endpoint;
  });
  return { controller, front, web, client, webEndpoint, clientEndpoint };
}

function createSandbox(controller: NetworkController, name: (typeof containers)[number]): Promise<Sandbox> {
  return controller.createSandbox({ containerId: name, hostname: name });
}

/** Who reaches whom, and who must not. */
async function reach(stage: Stage, house: House, outside: Outside, when: string): Promise<void> {
  const { osl } = stage.world;
  const web = plain(house.webEndpoint.ipv4);
  const client = await osl.openNamespace(house.client.namespacePath);
  try {
    await stage.step(`client pings web${when}`, async () => {
      check((await client.ping(web, { timeoutMs: 2000 })) !== undefined, `an answer from ${web}`);
    });
    await stage.step(`client gets http://${web}/ by address${when}`, () => greeted(client, web, PUBLISHED));
    await byName(stage, house, client, web, when);
    await published(stage, house, outside, when);
    await stage.step(`outside can't reach web on the unpublished port ${UNPUBLISHED}${when}`, async () => {
      check(await canConnect(client, web, UNPUBLISHED), 'that web listens there');
      check(!(await canConnect(outside.namespace, web, UNPUBLISHED)), `no way to ${web}`);
      check(
        !(await canConnect(outside.namespace, outside.hostAddress, UNPUBLISHED)),
        'no such port on the host',
      );
    });
  } finally {
    await client.close();
  }
}

async function byName(
  stage: Stage,
  house: House,
  client: Namespace,
  web: string,
  when: string,
): Promise<void> {
  const { world } = stage;
  const server = await nameServer(house.client.resolvConfPath);
  await stage.step(`client gets http://web/ by name${when}`, async () => {
    const addresses = await lookUp(world, house.client, server, { type: 'A', name: 'web' });
    check(addresses.includes(web), `web to be ${web}`, addresses);
    await greeted(client, addresses[0] ?? '', PUBLISHED);
  });
  await stage.step(`client finds the name of ${web}${when}`, async () => {
    const names = await lookUp(world, house.client, server, { type: 'PTR', name: web });
    check(names.includes('web.front'), `${web} to be web.front`, names);
  });
}

async function published(stage: Stage, house: House, outside: Outside, when: string): Promise<void> {
  const { host } = stage.world.osl;
  const { port } = publication(house.webEndpoint);
  const gateway = house.front.ipam.pools[0]?.gateway ?? '';
  for (const [who, from, address] of [
    ['the host', host, '127.0.0.1'],
    ['the host', host, gateway],
    ['outside', outside.namespace, outside.hostAddress],
  ] as const) {
    await stage.step(`${who} gets http://${inUrl(address)}:${port}/, the published port${when}`, () =>
      greeted(from, address, port),
    );
  }
}

async function restart(stage: Stage, house: House, open: Opener): Promise<House> {
  await stage.step('close the controller, the containers live on', () => house.controller.close());
  const controller = await stage.step('open it again with activeSandboxes', () => open(containers));
  return stage.step('find everything as it was', async () => {
    const front = found(controller.network('front'), 'network front');
    const again: House = {
      controller,
      front,
      web: found(controller.sandbox('web'), 'sandbox web'),
      client: found(controller.sandbox('client'), 'sandbox client'),
      webEndpoint: found(front.endpoint('web'), 'endpoint web'),
      clientEndpoint: found(front.endpoint('client'), 'endpoint client'),
    };
    check(again.webEndpoint.ipv4 === house.webEndpoint.ipv4, 'the same address', again.webEndpoint.ipv4);
    check(
      publication(again.webEndpoint).port === publication(house.webEndpoint).port,
      'the same published port',
    );
    return again;
  });
}

async function remove(stage: Stage, house: House): Promise<void> {
  await stage.step('detach both', async () => {
    await Promise.all([house.webEndpoint.leave(house.web), house.clientEndpoint.leave(house.client)]);
    await Promise.all([house.webEndpoint.delete(), house.clientEndpoint.delete()]);
  });
  await stage.step('delete the sandboxes', () => Promise.all([house.web.delete(), house.client.delete()]));
  await stage.step('delete the network', () => house.front.delete());
  await stage.step('close the controller', () => house.controller.close());
}

async function greeted(from: Namespace, address: string, port: number): Promise<void> {
  const body = await httpGet(from, address, port);
  check(body.includes(GREETING), `the words ${GREETING}`, body);
}

function draw({ front, webEndpoint, clientEndpoint }: House, outside: Outside): string {
  const { port } = publication(webEndpoint);
  return picture({
    outside: outside.address,
    published: `127.0.0.1:${port}, ${outside.hostAddress}:${port} → web:${PUBLISHED}`,
    gateways: front.ipam.pools.map((pool) => pool.gateway ?? ''),
    web: describe(webEndpoint),
    client: describe(clientEndpoint),
  });
}

function describe(endpoint: Endpoint): readonly string[] {
  const addresses = [endpoint.ipv4, endpoint.ipv6].filter((address) => address !== undefined);
  return [`${endpoint.interfaceName} ${addresses.join(' ')}`, endpoint.macAddress ?? ''];
}
