/** The kernel layer alone: requests, namespaces, large tables, the firewall's transactions, and what passes it. */
import { join } from 'node:path';
import type { Change } from 'libnetwork/osl';
import { fullBridgeBench } from './fullbridge.ts';
import { getlinkBench } from './getlink.ts';
import { type Ground, timed } from './ground.ts';
import { packetsBench } from './packets.ts';
import { publishingBench } from './publishing.ts';
import { type Row, row } from './row.ts';

const NAMESPACES = 30;
const LINKS = 1_000;
const DUMPS = 15;

export async function kernelBench(ground: Ground): Promise<readonly Row[]> {
  return [
    ...(await requestsPerSecond(ground)),
    ...(await namespaces(ground)),
    ...(await dumps(ground)),
    ...(await fullBridgeBench(ground)),
    ...(await publishingBench(ground)),
    ...(await packetsBench(ground)),
    row('peak memory', 'MiB', { ours: [process.resourceUsage().maxRSS / 1024] }),
  ];
}

/** The rows of `getlink` the other way round. */
async function requestsPerSecond(ground: Ground): Promise<readonly Row[]> {
  const perSecond = (us: number | null) => (us === null ? [] : [1e6 / us]);
  return (await getlinkBench(ground)).map(({ name, ours, floor, n }) => {
    const title = name === 'getlink' ? 'requests, one at a time' : name.replace(/^[gs]etlink/, 'requests');
    return { ...row(title, '/s', { ours: perSecond(ours), floor: perSecond(floor) }), n };
  });
}

/** A namespace at a path, with `lo` up, and its end. */
async function namespaces({ osl, directory, floors }: Ground): Promise<readonly Row[]> {
  const floor = floors.start('sandbox');
  const answer = await floor.ask(NAMESPACES);
  await floor.close();
  const create: number[] = [];
  const remove: number[] = [];
  for (let i = -3; i < NAMESPACES; i++) {
    const path = join(directory, `namespace-${i}`);
    const [created, namespace] = await timed(() => osl.createNamespace(path));
    const [removed] = await timed(async () => {
      await namespace.close();
      await osl.deleteNamespace(path);
    });
    if (i < 0) continue;
    create.push(created);
    remove.push(removed);
  }
  return [
    row('netns create', 'us', { ours: create, floor: answer.create }),
    row('netns delete', 'us', { ours: remove, floor: answer.delete }),
  ];
}

/** All links of a namespace that has a thousand. */
async function dumps({ osl, directory, floors }: Ground): Promise<readonly Row[]> {
  const path = join(directory, 'links');
  const namespace = await osl.createNamespace(path);
  const pairs = Array.from({ length: LINKS / 2 }, (_, i): Change => {
    return { op: 'createLink', name: `a${i}`, link: { kind: 'veth', peer: { name: `b${i}` } } };
  });
  await namespace.apply(pairs);
  const floor = floors.start('dump', [], namespace);
  const { dump } = await floor.ask(DUMPS);
  await floor.close();
  const ours: number[] = [];
  for (let i = -3; i < DUMPS; i++) {
    const [us, links] = await timed(() => namespace.links());
    if (links.length !== LINKS + 1) throw new Error(`${links.length} links are listed, not ${LINKS + 1}`);
    if (i >= 0) ours.push(us);
  }
  await namespace.close();
  await osl.deleteNamespace(path);
  return [row(`dump of ${LINKS} links`, 'us', { ours, floor: dump })];
}
