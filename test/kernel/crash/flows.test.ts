import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

const keeper = fileURLToPath(new URL('./keeper.mjs', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../../../dist/index.js', import.meta.url)));
const reason = isBuilt ? whyNot : 'needs npm run build';

const CONNECTIONS = 100;
/** How long a machine that has much else to do may take for one answer. */
const PATIENCE = 20_000;

interface Kept {
  readonly namespaces: { readonly server: string; readonly client: string };
  readonly address: string;
  readonly found: readonly string[];
}

/** Starts a controller in a process of its own, and waits until it has opened. */
async function keep(host: Namespace, directory: string, how: 'stay' | 'clean' = 'stay') {
  const args = [keeper, `${directory}/data`, `${directory}/run`, how];
  const child = host.spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  if (!stdin || !stdout || !stderr) throw new Error('no pipes');
  let complaints = '';
  stderr.on('data', (data: Buffer) => {
    complaints += data.toString();
  });
  const exit = once(child, 'exit');
  const line = once(createInterface({ input: stdout }), 'line').then(([text]) => String(text));
  const said = await Promise.race([line, exit.then(() => undefined)]);
  if (said === undefined) throw new Error(`the controller died at start: ${complaints}`);
  return {
    kept: JSON.parse(said) as Kept,
    kill: async () => {
      child.kill('SIGKILL');
      await exit;
    },
    close: async () => {
      stdin.write('close\n');
      await exit;
    },
  };
}

/** A connection to a server that echoes. */
class Flow {
  readonly #stream: Duplex;
  #heard = '';
  /** Why it is lost. */
  lost: string | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (data: Buffer) => {
      this.#heard += data.toString();
    });
    stream.on('error', (error) => {
      this.lost ??= String(error);
    });
    stream.on('close', () => {
      this.lost ??= 'closed';
    });
  }

  /** Says something and waits for its echo. */
  async talk(word: string): Promise<void> {
    this.#stream.write(`${word};`);
    await expect.poll(() => this.lost ?? this.#heard, { timeout: PATIENCE }).toContain(`${word};`);
  }

  end(): void {
    this.lost ??= 'ended';
    this.#stream.destroy();
  }
}

/** Pings every 10 ms until it is stopped: how many there were, and how many had no answer. */
function pinging(from: Namespace, address: string): () => Promise<{ sent: number; lost: number }> {
  let on = true;
  const run = async () => {
    let [sent, lost] = [0, 0];
    while (on) {
      sent++;
      if ((await from.ping(address, { timeoutMs: PATIENCE })) === undefined) lost++;
      await sleep(10);
    }
    return { sent, lost };
  };
  const result = run();
  return () => {
    on = false;
    return result;
  };
}

/** A neighbour of the host, which comes in by the published port. */
async function neighbour(test: TestHost): Promise<Namespace> {
  const outside = await test.create('outside');
  const link = { kind: 'veth', peer: { name: 'eth0', namespace: outside } } as const;
  await test.host.apply([
    { op: 'createLink', name: 'outside', link, up: true },
    { op: 'addAddress', link: 'outside', address: '192.0.2.1/24' },
  ]);
  await outside.apply([
    { op: 'addAddress', link: 'eth0', address: '192.0.2.2/24' },
    { op: 'setLink', name: 'eth0', up: true },
  ]);
  return outside;
}

describe.skipIf(!canUseKernel || !isBuilt)(`established flows ${reason}`, () => {
  it(`of ${CONNECTIONS} connections and a ping each 10 ms outlive a restart and a kill -9 of the controller`, {
    timeout: 180_000,
  }, async () => {
    await withTestHost(async (test) => {
      const { host, osl, directory } = test;
      const outside = await neighbour(test);
      const flows: Flow[] = [];
      try {
        const first = await keep(host, directory);
        const { namespaces, address } = first.kept;
        const server = await osl.openNamespace(namespaces.server);
        const client = await osl.openNamespace(namespaces.client);
        const listener = await server.listenTcp('0.0.0.0', 80, (stream) => {
          stream.on('error', () => stream.destroy());
          stream.pipe(stream);
        });
        for (let i = 0; i < CONNECTIONS; i++) {
          const stream =
            i % 2
              ? await client.connectTcp(address, 80, { timeoutMs: PATIENCE })
              : await outside.connectTcp('192.0.2.1', 8098, { timeoutMs: PATIENCE });
          flows.push(new Flow(stream));
        }
        const talk = (word: string) => Promise.all(flows.map((flow, i) => flow.talk(`${word}-${i}`)));
        await talk('first');
        const stopPinging = pinging(client, address);
        await first.close();
        await talk('closed');
        const second = await keep(host, directory);
        expect(second.kept.found).toEqual([]);
        await talk('restarted');
        await second.kill();
        await talk('killed');
        const third = await keep(host, directory, 'clean');
        expect(third.kept.found).toEqual([]);
        await talk('again');
        const { sent, lost } = await stopPinging();
        expect({ lost, lostFlows: flows.filter((flow) => flow.lost !== undefined).length }).toEqual({
          lost: 0,
          lostFlows: 0,
        });
        expect(sent).toBeGreaterThan(10);
        for (const flow of flows) flow.end();
        await listener.close();
        await client.close();
        await server.close();
        await third.close();
      } finally {
        for (const flow of flows) flow.end();
        await outside.close();
        for (const path of await osl.listNamespaces(`${directory}/run/default/netns`))
          await osl.deleteNamespace(path);
      }
    });
  });
});
