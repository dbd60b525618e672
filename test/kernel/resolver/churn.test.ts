import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import packet from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { NameTable } from '../../../src/resolver/names.ts';
import { startResolver } from '../../../src/resolver/resolver.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

/** `LIBNETWORK_CHURN=100000` for a day's worth. */
const CHANGES = Number(process.env.LIBNETWORK_CHURN ?? 10_000);
/** The same of endpoints on the kernel, which take longer. */
const JOINS = Number(process.env.LIBNETWORK_CHURN ?? 100);
const NAMES = 50;
const IN_FLIGHT = 32;

/** What names stand for over time; `undefined` is unknown. While a name changes it may be either. */
class History {
  readonly #states = new Map<string, (readonly (string | undefined)[])[]>();
  changes = 0;

  /** What a name stands for from now on. */
  set(name: string, ...possible: readonly (string | undefined)[]): void {
    this.#of(name).push(possible);
  }

  /** What it stands for now. */
  get(name: string): string | undefined {
    return this.#of(name).at(-1)?.[0];
  }

  /** The moment of a name, to be handed to `since`. */
  now(name: string): number {
    return this.#of(name).length - 1;
  }

  /** All that a name may have stood for from a moment until now. */
  since(name: string, moment: number): readonly (string | undefined)[] {
    return this.#of(name).slice(moment).flat();
  }

  #of(name: string): (readonly (string | undefined)[])[] {
    const states = this.#states.get(name) ?? [[undefined]];
    this.#states.set(name, states);
    return states;
  }
}

/** Joins and leaves of a name table. */
class Churn extends History {
  readonly names = new NameTable();

  constructor() {
    super();
    this.names.setSandbox({ id: 's1', networks: ['n1'] });
  }

  change(): void {
    const i = this.changes % NAMES;
    const name = `web${i}`;
    const isThere = this.get(name) !== undefined;
    const ipv4 = isThere ? undefined : `10.${i}.${(this.changes >> 8) & 255}.${this.changes & 255}`;
    if (isThere) this.names.removeEndpoint(`e${i}`);
    else this.names.setEndpoint({ id: `e${i}`, networkId: 'n1', networkName: 'front', names: [name], ipv4 });
    this.set(name, ipv4);
    this.changes++;
  }
}

/** Asks for one name after the other until told to stop; returns how many answers there were, and the wrong ones. */
async function interrogate(sandbox: Namespace, churn: History, isOver: () => boolean) {
  const socket = await sandbox.bindUdp('127.0.0.1', 0);
  const open = new Map<number, { readonly name: string; readonly moment: number }>();
  const result = { answers: 0, wrong: [] as string[] };
  let asked = 0;
  const ask = () => {
    const id = asked & 0xffff;
    const name = `web${asked % NAMES}`;
    asked++;
    open.set(id, { name, moment: churn.now(name) });
    const message = packet.encode({ type: 'query', id, questions: [{ type: 'A', name }] });
    socket.send(message, { address: '127.0.0.11', port: 53 });
  };
  return new Promise<typeof result>((resolve) => {
    socket.onMessage((message) => {
      const { id = 0, answers = [] } = packet.decode(message);
      const question = open.get(id);
      if (question === undefined) return void result.wrong.push(`nobody asked ${id}`);
      open.delete(id);
      result.answers++;
      const [record] = answers;
      const address = record?.type === 'A' ? record.data : undefined;
      if (!churn.since(question.name, question.moment).includes(address))
        result.wrong.push(`${question.name} is ${address}`);
      if (!isOver()) ask();
      else if (open.size === 0) {
        socket.close();
        resolve(result);
      }
    });
    for (let i = 0; i < IN_FLIGHT; i++) ask();
  });
}

describe.skipIf(!canUseKernel)(`names that come and go${whyNot && `: ${whyNot}`}`, () => {
  it('are never answered wrongly, and no answer is lost', { timeout: 600_000 }, async () => {
    await withTestHost(async ({ create }) => {
      const sandbox = await create('sandbox');
      const churn = new Churn();
      const resolver = await startResolver({
        namespace: sandbox,
        sandboxId: 's1',
        names: churn.names,
        upstreams: () => [],
        firewallTable: `libnetwork-test-${process.pid}`,
      });
      const questions = interrogate(sandbox, churn, () => churn.changes >= CHANGES);
      while (churn.changes < CHANGES) {
        for (let i = 0; i < 10; i++) churn.change();
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { answers, wrong } = await questions;
      expect(wrong).toEqual([]);
      expect(answers).toBe(resolver.counters.queries);
      expect(answers).toBeGreaterThan(CHANGES);
      await resolver.close();
    });
  });

  it('are those of endpoints that join and leave on the kernel', { timeout: 3_600_000 }, async () => {
    await withTestHost(async ({ osl, directory }) => {
      const hostResolvConf = join(directory, 'resolv.conf');
      await writeFile(hostResolvConf, '');
      const runDir = join(directory, 'run');
      const controller = await NetworkController.open({
        osl,
        runDir,
        hostResolvConf,
        instance: `churn-${process.pid}`,
      });
      const network = await controller.createNetwork({
        name: 'front',
        ipam: { pools: [{ subnet: '10.9.0.0/16' }] },
      });
      const client = await controller.createSandbox({ containerId: 'client' });
      await (await network.createEndpoint({ name: 'client' })).join(client);
      const history = new History();
      const come = async (i: number) => {
        const name = `web${i}`;
        const sandbox = await controller.createSandbox({ containerId: `c${i}` });
        while (history.changes < JOINS) {
          const endpoint = await network.createEndpoint({ name });
          const address = endpoint.ipv4?.split('/')[0];
          history.set(name, undefined, address);
          await endpoint.join(sandbox);
          history.set(name, address);
          history.changes++;
          // A while in which it must be known, and one in which it must not.
          await new Promise((resolve) => setImmediate(resolve));
          history.set(name, address, undefined);
          await endpoint.leave(sandbox);
          history.set(name, undefined);
          history.changes++;
          await endpoint.delete();
        }
        await sandbox.delete();
      };
      const inside = await osl.openNamespace(client.namespacePath);
      let isOver = false;
      const questions = interrogate(inside, history, () => isOver);
      await Promise.all(Array.from({ length: 20 }, (_, i) => come(i)));
      isOver = true;
      const { answers, wrong } = await questions;
      expect(wrong).toEqual([]);
      expect(answers).toBe((await client.dnsCounters())?.queries);
      expect(answers).toBeGreaterThan(JOINS);
      await inside.close();
      await client.delete();
      await network.delete();
      await controller.close();
    });
  });
});
