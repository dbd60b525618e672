/**
 * `npm run bench -- dockerd`: the same work done by this package and by a dockerd of the benchmark's own, in turns in
 * one run. The column `floor` holds dockerd's figures. Without dockerd, figures recorded on another machine stand in.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Network, Sandbox } from 'libnetwork';
import type { Namespace } from 'libnetwork/osl';
import { Dockerd, whyNoDockerd } from './dockerd.ts';
import { type Attached, attach, detach, type Ground, sandboxes, timed } from './ground.ts';
import { median, type Row, row } from './row.ts';
import { throughput } from './throughput.ts';

const ROUNDS = 10;
const WARM_UPS = 2;
const TRANSFERS = 3;
const MANY = 1_000;
const FEW = 20;
const CONTAINERS = 50;
const QUIET_MS = 5_000;
const PORT = 5201;
const HOST_PORT = 15_201;
/** dockerd 20.10.24 on two cores, Linux 6.18: medians in microseconds. */
const RECORDED = { create: 71_500, connect: 26_000, port: 13_000 };

export async function dockerdBench(ground: Ground): Promise<readonly Row[]> {
  const missing = whyNoDockerd();
  if (missing !== undefined) {
    console.error(`dockerd: ${missing}; the column "floor" holds figures recorded elsewhere`);
    const { create, connect, port } = await ourTimes(ground, undefined);
    return [
      row('network create, beside dockerd (recorded)', 'us', { ours: create.ours, floor: [RECORDED.create] }),
      row('connect, beside dockerd (recorded)', 'us', { ours: connect.ours, floor: [RECORDED.connect] }),
      row('published port, beside dockerd (recorded)', 'us', { ours: port.ours, floor: [RECORDED.port] }),
      await onFullNetwork(ground),
    ];
  }
  const { osl, directory } = ground;
  const namespace = await osl.createNamespace(join(directory, 'dockerd'));
  const files = join(directory, 'dockerd-files');
  const dockerd = await Dockerd.start(namespace, files);
  try {
    console.error(`beside ${dockerd.version}, whose figures are in the column "floor"`);
    const { create, connect, port } = await ourTimes(ground, dockerd);
    return [
      row('network create, beside dockerd', 'us', create),
      row('connect a running container, beside dockerd', 'us', connect),
      row('published port, beside dockerd', 'us', port),
      ...(await transfers(ground, dockerd, namespace)),
      await onFullNetwork(ground),
    ];
  } finally {
    await dockerd.close();
    await namespace.close();
    await osl.deleteNamespace(join(directory, 'dockerd'));
    rmSync(files, { recursive: true, force: true });
  }
}

interface Times {
  readonly ours: number[];
  readonly floor: number[];
}

const subnet = (n: number) => `172.28.${n}.0/24`;

async function ourTimes(ground: Ground, dockerd: Dockerd | undefined) {
  const { controller } = ground;
  const [create, connect]: [Times, Times] = [
    { ours: [], floor: [] },
    { ours: [], floor: [] },
  ];
  const [sandbox] = (await sandboxes(controller, 1)) as [Sandbox];
  const networks: Network[] = [];
  const attached: Attached[] = [];
  await dockerd?.create('many', 'none');
  await dockerd?.start('many');
  await dockerd?.ask('POST', '/networks/none/disconnect', { Container: 'many' });
  for (let n = 0; n < WARM_UPS + ROUNDS; n++) {
    const name = `round${n}`;
    const config = { Name: name, CheckDuplicate: true, IPAM: { Config: [{ Subnet: subnet(n) }] } };
    const theirs = await timedIf(dockerd, (peer) => peer.ask('POST', '/networks/create', config));
    const [mine, network] = await timed(() =>
      controller.createNetwork({ name, ipam: { pools: [{ subnet: subnet(n) }] } }),
    );
    networks.push(network);
    const theirJoin = await timedIf(dockerd, (peer) =>
      peer.ask('POST', `/networks/${name}/connect`, { Container: 'many' }),
    );
    const [myJoin, one] = await timed(() => attach(network, sandbox));
    attached.push(one);
    if (n < WARM_UPS) continue;
    create.ours.push(mine);
    connect.ours.push(myJoin);
    if (theirs !== undefined) create.floor.push(theirs);
    if (theirJoin !== undefined) connect.floor.push(theirJoin);
  }
  const port = await portTimes(ground, dockerd);
  await Promise.all(attached.map(detach));
  await sandbox.delete();
  for (const network of networks) await network.delete();
  await dockerd?.ask('DELETE', '/containers/many?force=true');
  for (let n = 0; n < WARM_UPS + ROUNDS; n++) await dockerd?.ask('DELETE', `/networks/round${n}`);
  return { create, connect, port };
}

async function timedIf(dockerd: Dockerd | undefined, act: (peer: Dockerd) => Promise<unknown>) {
  return dockerd === undefined ? undefined : (await timed(() => act(dockerd)))[0];
}

/** What one published port adds: to an attach here, to the start of a container there. */
async function portTimes({ controller, network }: Ground, dockerd: Dockerd | undefined): Promise<Times> {
  const ours = { with: [] as number[], without: [] as number[] };
  const theirs = { with: [] as number[], without: [] as number[] };
  const made = await sandboxes(controller, 2 * (WARM_UPS + ROUNDS));
  const attached: Attached[] = [];
  await dockerd?.ask('POST', '/networks/create', { Name: 'ports', CheckDuplicate: true });
  for (const [i, sandbox] of made.entries()) {
    const which = i % 2 === 0 ? 'with' : 'without';
    const host = 20_000 + i;
    const ports = which === 'with' ? [{ protocol: 'tcp' as const, container: 80, host }] : [];
    const [mine, one] = await timed(() => attach(network, sandbox, { ports }));
    attached.push(one);
    await dockerd?.create(`port${i}`, 'ports', which === 'with' ? { '80/tcp': host } : {});
    const time = await timedIf(dockerd, (peer) => peer.start(`port${i}`));
    await dockerd?.ask('DELETE', `/containers/port${i}?force=true`);
    if (i < 2 * WARM_UPS) continue;
    ours[which].push(mine);
    if (time !== undefined) theirs[which].push(time);
  }
  await dockerd?.ask('DELETE', '/networks/ports');
  await Promise.all(attached.map(detach));
  await Promise.all(made.map((sandbox) => sandbox.delete()));
  const added = (times: typeof ours) => times.with.map((us) => us - (median(times.without) ?? 0));
  return { ours: added(ours), floor: added(theirs) };
}

/** From container to container, and from a neighbour of the host to a published port. */
async function transfers(ground: Ground, dockerd: Dockerd, theirHost: Namespace): Promise<Row[]> {
  const { controller, osl, directory, network } = ground;
  const [one, two] = (await sandboxes(controller, 2)) as [Sandbox, Sandbox];
  const ports = [{ protocol: 'tcp' as const, container: PORT, host: HOST_PORT }];
  const attached = [await attach(network, one, { ports }), await attach(network, two)];
  const open = (path: string | undefined) => osl.openNamespace(path ?? '');
  const [server, client] = [await open(one.namespacePath), await open(two.namespacePath)];

  await dockerd.ask('POST', '/networks/create', { Name: 'transfers', CheckDuplicate: true });
  await dockerd.create('server', 'transfers', { [`${PORT}/tcp`]: HOST_PORT });
  await dockerd.create('client', 'transfers');
  for (const name of ['server', 'client']) await dockerd.start(name);
  const theirServer = await dockerd.look('server', 'transfers');
  const theirClient = await dockerd.look('client', 'transfers');
  const [peerServer, peerClient] = [await open(theirServer.path), await open(theirClient.path)];
  const [outside, peerOutside] = [
    await neighbour(ground, osl.host, 'outside'),
    await neighbour(ground, theirHost, 'peer-outside'),
  ];

  const inside: Times = { ours: [], floor: [] };
  const published: Times = { ours: [], floor: [] };
  const address = attached[0]?.endpoint.ipv4?.split('/')[0] ?? '';
  for (let round = 0; round < TRANSFERS; round++) {
    inside.floor.push(await throughput(peerClient, peerServer, theirServer.address, PORT));
    inside.ours.push(await throughput(client, server, address, PORT));
    published.floor.push(await throughput(peerOutside, peerServer, '192.0.2.1', HOST_PORT, PORT));
    published.ours.push(await throughput(outside, server, '192.0.2.1', HOST_PORT, PORT));
  }
  for (const each of [server, client, peerServer, peerClient, outside, peerOutside]) await each.close();
  for (const name of ['outside', 'peer-outside']) await osl.deleteNamespace(join(directory, name));
  await Promise.all(attached.map(detach));
  await Promise.all([one.delete(), two.delete()]);
  return [
    row('container to container, beside dockerd', 'Gbit/s', inside),
    row('through a published port, beside dockerd', 'Gbit/s', published),
  ];
}

/** A machine beside a host: 192.0.2.2, where the host is 192.0.2.1. */
async function neighbour({ osl, directory }: Ground, host: Namespace, name: string): Promise<Namespace> {
  const namespace = await osl.createNamespace(join(directory, name));
  await host.apply([
    {
      op: 'createLink',
      name: 'uplink',
      link: { kind: 'veth', peer: { name: 'uplink', namespace } },
      up: true,
    },
    { op: 'addAddress', link: 'uplink', address: '192.0.2.1/24' },
  ]);
  await namespace.apply([
    { op: 'addAddress', link: 'uplink', address: '192.0.2.2/24' },
    { op: 'setLink', name: 'uplink', up: true },
  ]);
  return namespace;
}

/** The last endpoints of a thousand on one network, beside the first. */
async function onFullNetwork({ controller, network }: Ground): Promise<Row> {
  const times: number[] = [];
  const attached: Attached[] = [];
  // It is the network that is full: a container may have many endpoints on it, and a thousand namespaces need long.
  const made = await sandboxes(controller, CONTAINERS);
  for (let n = 0; n < MANY; n++) {
    // Each new endpoint tells all others its address three times: that is their work, and not the next one's.
    if (n === MANY - FEW) await sleep(QUIET_MS);
    const sandbox = made[n % CONTAINERS];
    if (sandbox === undefined) continue;
    const [us, one] = await timed(() => attach(network, sandbox));
    times.push(us);
    attached.push(one);
  }
  await Promise.all(attached.map(detach));
  await Promise.all(made.map((sandbox) => sandbox.delete()));
  // Beside the first ones, not beside dockerd: a network's fill must not be felt.
  return row(`attach ${MANY}th, beside the first`, 'us', {
    ours: times.slice(-FEW),
    floor: times.slice(0, FEW),
  });
}
