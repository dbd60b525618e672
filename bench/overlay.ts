/** Networks over hosts: from a join here to the first answer there, a thousand peers at once, and bulk transfer. */
import { fileURLToPath } from 'node:url';
import type { Change, Namespace } from 'libnetwork/osl';
import { hasProgram, Lab, type LabHost } from '../examples/hosts/lab.ts';
import { type Row, row } from './row.ts';
import { throughput } from './throughput.ts';

const JOINS = 25;
const PEERS = 1_000;
const ROUNDS = 7;
const TRANSFERS = 5;
const PORT = 5201;
const worker = fileURLToPath(new URL('../examples/hosts/worker.js', import.meta.url));

export async function overlayBench(): Promise<readonly Row[]> {
  if (!(await hasProgram('etcd'))) return [];
  const lab = await Lab.open({ hosts: 2, worker, leaseMs: 60_000 });
  try {
    const [one, two] = [lab.host(0), lab.host(1)];
    await one.call('createNetwork', { name: 'front', driver: 'overlay' });
    while (!(await two.call<string[]>('networks')).includes('front')) await pause(10);
    await one.call('run', { network: 'front', name: 'resident', program: false });
    await two.call('run', { network: 'front', name: 'client', program: false });
    const rows = [await firstAnswers(one, two), await thousandPeers(lab)];
    return [...rows, ...(await transfers(lab, one, two))];
  } finally {
    await lab.close();
  }
}

/** The clock is the machine's, so that two processes read the same one. */
async function firstAnswers(one: LabHost, two: LabHost): Promise<Row> {
  const ours: number[] = [];
  for (let i = 0; i < JOINS; i++) {
    const name = `c${i}`;
    const address = await one.call<string>('prepare', { network: 'front', name });
    const answered = two.call<string>('firstAnswer', { from: 'client', to: address });
    // It is asking, in vain, before the join begins.
    await pause(20);
    const begun = BigInt(await one.call<string>('join', { name }));
    ours.push(Number(BigInt(await answered) - begun) / 1e6);
    await one.call('stop', { name });
  }
  return row('overlay: join to first answer on another host', 'ms', { ours: ours.slice(2) });
}

/** What the driver sends for a thousand peers: a neighbour and a forwarding entry for each, in one send. */
async function thousandPeers(lab: Lab): Promise<Row> {
  const ours: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const room = await lab.namespace(`peers${round}`);
    await room.apply([
      {
        op: 'createLink',
        name: 'vxlan0',
        link: { kind: 'vxlan', id: 77, port: 4789, learning: false, proxy: true },
        up: true,
      },
    ]);
    const changes: Change[] = Array.from({ length: PEERS }, (_, i) => {
      const [high, low] = [i >> 8, i & 255];
      const macAddress = `02:42:0a:64:${high.toString(16).padStart(2, '0')}:${low.toString(16).padStart(2, '0')}`;
      const link = 'vxlan0';
      return [
        { op: 'setNeighbour', link, macAddress, address: `10.100.${high}.${low}` },
        { op: 'setNeighbour', link, macAddress, address: '192.0.2.1', fdb: true },
      ] as const;
    }).flat();
    const start = performance.now();
    await room.apply(changes);
    ours.push(performance.now() - start);
    await room.close();
  }
  return row(`overlay: ${PEERS} peers programmed`, 'ms', { ours });
}

/** The same transfer over the overlay, and over a VXLAN of the same shape that was made by hand. */
async function transfers(lab: Lab, one: LabHost, two: LabHost): Promise<Row[]> {
  const [from, to] = [
    await lab.openNamespace(await one.call('namespacePath', { name: 'resident' })),
    await lab.openNamespace(await two.call('namespacePath', { name: 'client' })),
  ];
  const target = await two.call<string>('addressOf', { name: 'client' });
  const [a, b] = await handMade(lab, one, two);
  const samples = { ours: [] as number[], floor: [] as number[] };
  for (let round = 0; round < TRANSFERS; round++) {
    const measureOurs = async () => samples.ours.push(await throughput(from, to, target, PORT));
    const measureFloor = async () => samples.floor.push(await throughput(a, b, '10.77.0.2', PORT));
    for (const measure of round % 2 ? [measureOurs, measureFloor] : [measureFloor, measureOurs])
      await measure();
  }
  for (const namespace of [from, to, a, b]) await namespace.close();
  return [row('overlay: bulk transfer, beside a VXLAN made by hand', 'Gbit/s', samples)];
}

async function handMade(lab: Lab, one: LabHost, two: LabHost): Promise<[Namespace, Namespace]> {
  const ends: Namespace[] = [];
  for (const [i, host] of [one, two].entries()) {
    const inside = await lab.namespace(`hand${i}`);
    const mac = (n: number) => `02:00:00:00:77:0${n}`;
    const peer = { name: 'eth0', namespace: inside, macAddress: mac(i + 1), mtu: 1450 };
    await host.namespace.apply([
      { op: 'createLink', name: 'hbr', link: { kind: 'bridge' }, mtu: 1450, up: true },
      {
        op: 'createLink',
        name: 'hvx',
        link: { kind: 'vxlan', id: 7777, port: 4790, local: host.address, learning: false, proxy: true },
        mtu: 1450,
        master: 'hbr',
        up: true,
      },
      { op: 'createLink', name: 'hv', link: { kind: 'veth', peer }, mtu: 1450, master: 'hbr', up: true },
      { op: 'setNeighbour', link: 'hvx', macAddress: mac(2 - i), address: `10.77.0.${2 - i}` },
      {
        op: 'setNeighbour',
        link: 'hvx',
        macAddress: mac(2 - i),
        address: (i === 0 ? two : one).address,
        fdb: true,
      },
    ]);
    await inside.apply([
      { op: 'addAddress', link: 'eth0', address: `10.77.0.${i + 1}/24` },
      { op: 'setLink', name: 'eth0', up: true },
    ]);
    ends.push(inside);
  }
  const [a, b] = ends;
  if (!a || !b) throw new Error('there are two hosts');
  return [a, b];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
