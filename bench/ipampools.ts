/** Addresses through the whole allocator: found, written to a store, answered. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Datastore, levelStore, memoryBacking, memoryStore } from '../src/datastore/index.ts';
import { createIpam, type Ipam } from '../src/ipam/index.ts';
import { numbers } from './numbers.ts';
import { type Row, row } from './row.ts';

const SPACE = 'LocalDefault';
const ROUNDS = 9;
const COUNT = 1000;

interface Pool {
  readonly ipam: Ipam;
  readonly id: string;
}

/** Any free address of pools of all sizes and fill levels, and what the store alone would take. */
export async function ipamPoolsBench(): Promise<readonly Row[]> {
  return [
    await anyFree('/24, empty', await pool('10.7.0.0/24')),
    await anyFree('/8, empty', await pool('10.0.0.0/8')),
    await anyFree('/8, 50 % at random', await pool('10.0.0.0/8', 4096, half())),
    await anyFree('/8, 99.9 %', await pool('10.0.0.0/8', 4096, almostFull())),
    await anyFree('/64, 1,000,000 taken', await pool('fd00::/64', 244, () => '0-4095')),
    await written('/24', await pool('10.7.0.0/24')),
    await onDisk(),
  ];
}

/** A pool whose pages are as told: they are put where the allocator finds them when it starts. */
async function pool(subnet: string, pages = 0, page: (number: number) => string = () => ''): Promise<Pool> {
  const backing = memoryBacking();
  const store = memoryStore({ backing });
  const family = subnet.includes(':') ? 'ipv6' : 'ipv4';
  const { id } = await createIpam({ store }).requestPool({ addressSpace: SPACE, family, subnet });
  for (let i = 0; i < pages; i++) {
    const key = `docker/network/v1.0/ipam/${SPACE}/pages/${subnet.replace('/', '-')}/${i.toString(16)}`;
    await store.put(key, { v: 1, owners: { local: page(i) } });
  }
  const ipam = createIpam({ store: memoryStore({ backing }), reuseDelayMs: 0 });
  await ipam.usage?.(id);
  return { ipam, id };
}

/** Takes any address, a thousand times, one after the other; they are freed between the rounds. */
async function anyFree(what: string, { ipam, id }: Pool): Promise<Row> {
  const ours: number[] = [];
  const count = id.endsWith('/24') ? 250 : COUNT;
  for (let round = -ROUNDS; round < ROUNDS; round++) {
    const given: string[] = [];
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) given.push((await ipam.requestAddress({ poolId: id })).address);
    if (round >= 0) ours.push((count * 1e9) / Number(process.hrtime.bigint() - start));
    for (const address of given) await ipam.releaseAddress(id, address);
  }
  return row(`request any, ${what}`, 'op/s', { ours });
}

/** A request beside the one write that it makes: the same page, put by hand. */
async function written(what: string, { ipam, id }: Pool, store: Datastore = memoryStore()): Promise<Row> {
  const value = { v: 1, owners: { local: '1-100' } };
  const ours: number[] = [];
  const floor: number[] = [];
  for (let i = -COUNT; i < COUNT; i++) {
    const start = process.hrtime.bigint();
    const { address } = await ipam.requestAddress({ poolId: id, holder: 'endpoint web' });
    const middle = process.hrtime.bigint();
    await store.put('docker/network/v1.0/ipam/page', value);
    const end = process.hrtime.bigint();
    await ipam.releaseAddress(id, address);
    if (i < 0) continue;
    ours.push(Number(middle - start) / 1000);
    floor.push(Number(end - middle) / 1000);
  }
  return row(`request any, ${what}, beside its write`, 'us', { ours, floor });
}

async function onDisk(): Promise<Row> {
  const path = await mkdtemp(join(tmpdir(), `libnetwork-bench-ipam-${process.pid}-`));
  const store = await levelStore({ path });
  try {
    const ipam = createIpam({ store, reuseDelayMs: 0 });
    const { id } = await ipam.requestPool({ addressSpace: SPACE, family: 'ipv4', subnet: '10.7.0.0/24' });
    return await written('/24 on Level', { ipam, id }, store);
  } finally {
    await store.close();
    await rm(path, { recursive: true, force: true });
  }
}

/** Pages of which every address is taken with a chance of one half. */
function half(): () => string {
  const random = numbers(1);
  return () => {
    const words = Buffer.alloc(512);
    for (let at = 0; at < words.length; at += 4) words.writeUInt32LE(random(), at);
    return `base64:${words.toString('base64')}`;
  };
}

/** Pages with four free addresses each. */
function almostFull(): () => string {
  const random = numbers(2);
  return () => {
    const free = [0, 1024, 2048, 3072].map((base) => base + 1 + (random() % 1000));
    const ends = [...free.map((bit) => bit - 1), 4095];
    return ends.map((end, i) => `${i === 0 ? 0 : (free[i - 1] ?? 0) + 1}-${end}`).join(',');
  };
}
