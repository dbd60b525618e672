import { join } from 'node:path';
import {
  type ControllerOptions,
  type Endpoint,
  type Network,
  NetworkController,
  type Sandbox,
} from 'libnetwork';
import type { Namespace } from 'libnetwork/osl';
import { addressesOf, found, nameServer, portOf } from './facts.ts';
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
  const ipv6 = (await stage.world.osl.host.sysctl('net/ipv6/conf/all/disable_ipv6')) === '0';
  const front = await stage.step(`create the bridge network front, IPv4${ipv6 ? ' and IPv6' : ''}`, () =>
    controller.createNetwork({ name: 'front', driver: 'bridge', ipv6 }),
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

/** Who reaches whom, and who must not: by every address family that the network has. */
async function reach(stage: Stage, house: House, outside: Outside, when: string): Promise<void> {
  const { osl } = stage.world;
  const web = addressesOf(house.webEndpoint);
  const client = await osl.openNamespace(house.client.namespacePath);
  try {
    await stage.step(`client pings web${when}`, async () => {
      for (const address of web)
        check((await client.ping(address, { timeoutMs: 2000 })) !== undefined, `an answer from ${address}`);
    });
    await stage.step(`client gets http://${web.map(inUrl).join('/ and http://')}/${when}`, () =>
      greeted(client, web, PUBLISHED),
    );
    await byName(stage, house, client, when);
    await published(stage, house, outside, when);
    await stage.step(`outside can't reach web on the unpublished port ${UNPUBLISHED}${when}`, async () => {
      const [ipv4 = ''] = web;
      check(await canConnect(client, ipv4, UNPUBLISHED), 'that web listens there');
      check(!(await canConnect(outside.namespace, ipv4, UNPUBLISHED)), `no way to ${ipv4}`);
      check(
        !(await canConnect(outside.namespace, outside.hostAddress, UNPUBLISHED)),
        'no such port on the host',
      );
    });
  } finally {
    await client.close();
  }
}

async function byName(stage: Stage, house: House, client: Namespace, when: string): Promise<void> {
  const { world } = stage;
  const web = addressesOf(house.webEndpoint);
  const server = await nameServer(house.client.resolvConfPath);
  const ask = (type: 'A' | 'AAAA' | 'PTR', name: string) =>
    lookUp(world, house.client, server, { type, name });
  await stage.step(`client gets http://web/ by name${when}`, async () => {
    const answers = await Promise.all(web.map((address) => ask(address.includes(':') ? 'AAAA' : 'A', 'web')));
    const found = answers.flat();
    check(found.join() === web.join(), `web to be ${web.join(' and ')}`, found);
    await greeted(client, found, PUBLISHED);
  });
  await stage.step(`client finds web by its address in reverse${when}`, async () => {
    const names = await Promise.all(web.map((address) => ask('PTR', address)));
    check(
      names.every((some) => some.includes('web.front')),
      'the name web.front',
      names,
    );
  });
}

async function published(stage: Stage, house: House, outside: Outside, when: string): Promise<void> {
  const { host } = stage.world.osl;
  const port = portOf(house.webEndpoint);
  const gateways = house.front.ipam.pools.flatMap(({ gateway }) => gateway ?? []);
  for (const [who, from, addresses] of [
    ['the host', host, ['127.0.0.1']],
    ['the host', host, gateways],
    ['outside', outside.namespace, [outside.hostAddress]],
  ] as const) {
    const urls = addresses.map((address) => `http://${inUrl(address)}:${port}/`);
    await stage.step(`${who} gets ${urls.join(' and ')}, the published port${when}`, () =>
      greeted(from, addresses, port),
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
    const [now, then] = [again, house].map(({ webEndpoint }) => addressesOf(webEndpoint).join());
    check(now === then, `web at ${then}`, now);
    check(portOf(again.webEndpoint) === portOf(house.webEndpoint), 'the same published port');
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

async function greeted(from: Namespace, addresses: readonly string[], port: number): Promise<void> {
  for (const address of addresses) {
    const body = await httpGet(from, address, port);
    check(body.includes(GREETING), `the words ${GREETING} from ${address}`, body);
  }
}

function draw({ front, webEndpoint, clientEndpoint }: House, outside: Outside): string {
  const port = portOf(webEndpoint);
  return picture({
    outside: outside.address,
    published: `127.0.0.1:${port}, ${outside.hostAddress}:${port} → web:${PUBLISHED}`,
    gateways: front.ipam.pools.flatMap(({ gateway }) => gateway ?? []),
    web: describe(webEndpoint),
    client: describe(clientEndpoint),
  });
}

function describe({ interfaceName, macAddress, ipv4, ipv6 }: Endpoint): readonly string[] {
  return [`${interfaceName} ${macAddress}`, ipv4, ipv6].filter((line) => line !== undefined);
}
