import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Lease, memoryBacking, memoryStore } from '../../src/datastore/index.ts';
import { LibnetworkError } from '../../src/errors.ts';
import { createIpam } from '../../src/ipam/index.ts';
import { type Compiled, compile } from '../support/compile.ts';
import type { Answer, Call, Note } from './ipam-worker.ts';

const PROCESSES = 4;
const LEASE_MS = 300;
const backing = memoryBacking();
let compiled: Compiled;

/** Who holds which address, as the processes tell it; a dead one holds what it held until its lease ends. */
const holders = new Map<string, Worker>();
const violations: string[] = [];
let given = 0;

/** A process, and the part of the store that it sees. */
class Worker {
  readonly name: string;
  readonly child: ChildProcess;
  readonly #store = memoryStore({ backing, scope: 'global' });
  #lease: Lease | undefined;

  constructor(name: string, poolId: string) {
    this.name = name;
    this.child = fork(join(compiled.directory, 'test/contract/ipam-worker.js'), [name, poolId]);
    this.child.on('message', (message: Call | Note) => {
      if (message.type === 'call') void this.#answer(message);
      else this.#note(message);
    });
  }

  /** As `kill -9` does: nothing more is heard of it, and its lease runs out. */
  async kill(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.removeAllListeners('message');
    this.child.kill('SIGKILL');
    await Promise.all([gone, this.#store.close()]);
  }

  /** Resolves when its lease has ended. */
  async expired(): Promise<void> {
    while (this.#lease && !this.#lease.lost.aborted) await sleep(10);
  }

  #note({ type, address }: Note): void {
    if (type === 'gives back') {
      holders.delete(address);
      return;
    }
    given++;
    const other = holders.get(address);
    if (other) violations.push(`${address} is held by ${other.name} and was given to ${this.name}`);
    holders.set(address, this);
  }

  async #answer({ id, method, args }: Call): Promise<void> {
    let answer: Answer;
    try {
      answer = { id, value: await this.#act(method, args) };
    } catch (error) {
      answer = { id, code: LibnetworkError.is(error) ? error.code : 'INTERNAL' };
    }
    if (this.child.connected) this.child.send(answer);
  }

  async #act(method: Call['method'], args: readonly unknown[]): Promise<unknown> {
    if (method === 'leasePut') return this.#lease?.put(args[0] as string, args[1]);
    if (method === 'lease') {
      this.#lease = await this.#store.lease(LEASE_MS);
      // At this moment, and not before, what it held is free for others.
      this.#lease.lost.addEventListener('abort', () => {
        for (const [address, holder] of holders) if (holder === this) holders.delete(address);
      });
      return undefined;
    }
    return Reflect.apply(this.#store[method], this.#store, args);
  }
}

beforeAll(async () => {
  compiled = await compile('test/contract/ipam-worker.ts');
});
afterAll(() => compiled.remove());

it('processes that share a store and are killed never hold one address twice, and lose none beyond their lease', async () => {
  const own = createIpam({ globalStore: memoryStore({ backing, scope: 'global' }), hostId: 'own' });
  const { id } = await own.requestPool({
    addressSpace: 'GlobalDefault',
    family: 'ipv4',
    subnet: '10.0.0.0/25',
  });
  let count = 0;
  const start = () => {
    count++;
    return new Worker(`host${count}`, id);
  };
  const workers = Array.from({ length: PROCESSES }, start);
  const dead: Worker[] = [];
  for (let round = 0; round < 8; round++) {
    // However slow the machine, each round has seen work before somebody is killed in the midst of it.
    const before = given;
    do await sleep(250);
    while (given < before + 25);
    const at = round % PROCESSES;
    const [victim] = workers.splice(at, 1, start());
    if (victim) dead.push(victim);
    await victim?.kill();
  }
  await sleep(250);
  dead.push(...workers);
  await Promise.all(workers.map((worker) => worker.kill()));
  await Promise.all(dead.map((worker) => worker.expired()));

  expect(violations).toEqual([]);
  expect(given).toBeGreaterThan(200);
  // All are gone: the whole pool can be had again.
  const addresses = new Set<string>();
  for (let i = 0; i < 126; i++) addresses.add((await own.requestAddress({ poolId: id })).address);
  expect(addresses.size).toBe(126);
}, 60_000);
