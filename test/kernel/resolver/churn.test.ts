import packet from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { NameTable } from '../../../src/resolver/names.ts';
import { startResolver } from '../../../src/resolver/resolver.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

/** `LIBNETWORK_CHURN=100000` for a day's worth. */
const CHANGES = Number(process.env.LIBNETWORK_CHURN ?? 10_000);
const NAMES = 50;
const IN_FLIGHT = 32;

/** Joins and leaves, and what each name stood for after each of them: `undefined` is unknown. */
class Churn {
  readonly names = new NameTable();
  readonly #history = new Map<string, (string | undefined)[]>();
  changes = 0;

  constructor() {
    this.names.setSandbox({ id: 's1', networks: ['n1'] });
    for (let i = 0; i < NAMES; i++) this.#history.set(`web${i}`, [undefined]);
  }

  change(): void {
    const i = this.changes % NAMES;
    const history = this.#historyOf(`web${i}`);
    const isThere = history.at(-1) !== undefined;
    const ipv4 = isThere ? undefined : `10.${i}.${(this.changes >> 8) & 255}.${this.changes & 255}`;
    if (isThere) this.names.removeEndpoint(`e${i}`);
    else
      this.names.setEndpoint({
        id: `e${i}`,
        networkId: 'n1',
        networkName: 'front',
        names: [`web${i}`],
        ipv4,
      });
    history.push(ipv4);
    this.changes++;
  }

  /** The moment of a name, to be handed to `since`. */
  now(name: string): number {
    return this.#historyOf(name).length - 1;
  }

  /** All that a name stood for from a moment until now. */
  since(name: string, moment: number): readonly (string | undefined)[] {
    return this.#historyOf(name).slice(moment);
  }

  #historyOf(name: string): (string | undefined)[] {
    const history = this.#history.get(name);
    if (history === undefined) throw new Error(`no name ${name}`);
    return history;
  }
}

/** Asks for one name after the other until told to stop; returns how many answers there were, and the wrong ones. */
async function interrogate(sandbox: Namespace, churn: Churn, isOver: () => boolean) {
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
  it('are never answered wrongly, and no answer is lost', { timeout: 120_000 }, async () => {
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
});
