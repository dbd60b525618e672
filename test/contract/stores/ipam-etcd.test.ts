import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Datastore, etcdStore } from '../../../src/datastore/index.ts';
import { createIpam } from '../../../src/ipam/index.ts';
import { type Compiled, compile } from '../../support/compile.ts';
import { eventually } from '../../support/daemon.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';
import type { Note } from '../ipam-worker.ts';

const PROCESSES = 4;
/** Long, so that a starved machine does not end the lease of a process that lives. */
const LEASE_MS = 15_000;
/** Within this time a note has been read, however busy the machine. */
const NOTE_MS = 2_000;

interface Holder {
  readonly host: string;
  readonly child: ChildProcess;
  readonly at: bigint;
}

describe.skipIf(etcdMissing)(etcdMissing ? `addresses in etcd (${etcdMissing})` : 'addresses in etcd', () => {
  let server: EtcdServer;
  let compiled: Compiled;
  let store: Datastore;
  const workers: ChildProcess[] = [];
  beforeAll(async () => {
    [server, compiled] = await Promise.all([EtcdServer.start(), compile('test/contract/ipam-worker.ts')]);
    store = await etcdStore({ endpoints: server.endpoints });
  }, 120_000);
  afterAll(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    await store?.close();
    await server?.stop();
    await compiled?.remove();
  });

  it('are never held twice by processes of which some are killed, also when etcd restarts, and come back after the lease', async () => {
    const own = createIpam({ globalStore: store, hostId: 'own' });
    const pool = { addressSpace: 'GlobalDefault', family: 'ipv4', subnet: '10.0.0.0/24' } as const;
    const { id } = await own.requestPool(pool);
    const holders = new Map<string, Holder>();
    const returns: { readonly host: string; readonly address: string; readonly at: bigint }[] = [];
    const doubts: Promise<string | undefined>[] = [];
    let given = 0;
    let started = 0;

    const start = (): ChildProcess => {
      const host = `host${++started}`;
      const args = [host, id, `${LEASE_MS}`, server.endpoints.join(',')];
      const child = fork(join(compiled.directory, 'test/contract/ipam-worker.js'), args);
      workers.push(child);
      child.on('message', ({ type, address, at: said }: Note) => {
        const at = BigInt(said);
        const before = holders.get(address);
        if (type === 'gives back') {
          returns.push({ host, address, at });
          if (before?.host === host) holders.delete(address);
          return;
        }
        given++;
        const holder = { host, child, at };
        holders.set(address, holder);
        if (before !== undefined) doubts.push(judge(before, address, holder));
      });
      return child;
    };
    /** Only who has given it back, or is dead and its lease has ended, may lose an address. */
    const judge = async (before: Holder, address: string, now: Holder) => {
      const labels = (await eventually(() => store.list('docker/network/v1.0/ipam/'))).filter(({ key }) =>
        key.includes(`/${before.host}/`),
      );
      const alive = before.child.exitCode === null && before.child.signalCode === null;
      if (!alive && labels.length === 0) return undefined;
      // What it said before may be heard after what the next one said.
      await sleep(NOTE_MS);
      const gaveBack = returns.some(
        ({ host, address: given, at }) =>
          host === before.host && given === address && at > before.at && at < now.at,
      );
      if (gaveBack) return undefined;
      return `${address} was ${before.host}'s (${alive ? 'alive' : 'dead'}) and was given to ${now.host}`;
    };
    const progress = async (): Promise<void> => {
      const before = given;
      await eventually(() => expect(given).toBeGreaterThan(before + 25));
    };
    const kill = async (child: ChildProcess): Promise<void> => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    };

    const living = Array.from({ length: PROCESSES }, start);
    for (let round = 0; round < 4; round++) {
      await progress();
      const [victim] = living.splice(round % PROCESSES, 1, start());
      if (victim) await kill(victim);
      if (round !== 1) continue;
      await server.kill();
      server.run(0);
      await server.ready(0);
    }
    await progress();
    for (const child of living) await kill(child);
    expect((await Promise.all(doubts)).filter((doubt) => doubt !== undefined)).toEqual([]);
    expect(given).toBeGreaterThan(100);
    // All are gone: the whole pool can be had again, once their leases have ended.
    const addresses = new Set<string>();
    while (addresses.size < 254)
      await eventually(async () => addresses.add((await own.requestAddress({ poolId: id })).address));
    await expect(own.requestAddress({ poolId: id })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  }, 240_000);
});
