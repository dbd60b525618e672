import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Datastore } from '../../src/datastore/index.ts';
import { levelStore, type MemoryBacking, memoryBacking, memoryStore } from '../../src/datastore/index.ts';
import { datastoreContract } from '../../src/testing/datastore.ts';
import { countingFaults } from '../../src/testing/faults.ts';
import { faultyStore } from '../../src/testing/faultystore.ts';

const backings = new WeakMap<Datastore, MemoryBacking>();

function openMemory(backing: MemoryBacking): Datastore {
  const store = memoryStore({ backing });
  backings.set(store, backing);
  return store;
}

datastoreContract({
  name: 'memory',
  open: async () => openMemory(memoryBacking()),
  reopen: async (closed) => openMemory(backings.get(closed) ?? memoryBacking()),
  sibling: async (store) => openMemory(backings.get(store) ?? memoryBacking()),
});

datastoreContract({
  name: 'fault-injecting, without a fault',
  open: async () => faultyStore(memoryStore(), countingFaults(), { reads: true }),
});

let directory: string;
let count = 0;
const paths = new WeakMap<Datastore, string>();

async function openLevel(path: string, sync = false): Promise<Datastore> {
  const store = await levelStore({ path, sync });
  paths.set(store, path);
  return store;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), `libnetwork-store-${process.pid}-`));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

datastoreContract({
  name: 'level',
  open: () => openLevel(join(directory, `${++count}`)),
  reopen: (closed) => openLevel(paths.get(closed) ?? ''),
  deviations: { 'no-leases': 'one process at a time has the directory open' },
});

datastoreContract({
  name: 'level, waiting for the disk',
  open: () => openLevel(join(directory, `${++count}`), true),
  reopen: (closed) => openLevel(paths.get(closed) ?? '', true),
  deviations: { 'no-leases': 'one process at a time has the directory open' },
});
