/** What a thread of name servers runs: see `thread.ts`, which starts it. */
import { stat } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { LibnetworkError } from '../errors.ts';
import type { Namespace, Osl } from '../osl/osl.ts';
import { NameMirror } from './mirror.ts';
import type { ResolverPorts } from './redirect.ts';
import { type NameServer, startNameServer, type Upstreams } from './servers.ts';
import { type Reply, type Request, type Start, type ThreadData, toPlain } from './thread.ts';

interface Running {
  readonly namespace: Namespace;
  readonly server: NameServer & { readonly ports: ResolverPorts };
}

const { oslModule, hostPath, limits, changes, sent }: ThreadData = workerData;
const { linuxOsl }: { linuxOsl(): Osl } = await import(oslModule);
const osl = linuxOsl();
const host = hostPath === 'host' ? osl.host : await osl.openNamespace(hostPath);
const logger = {
  warn: (message: string, facts?: object) => tell({ kind: 'warning', message, facts: plainFacts(facts) }),
};
const options = { host, names: new NameMirror({ changes, sent }), limits, logger };
const running = new Map<number, Promise<Running>>();

parentPort?.on('message', ({ id, op, server, ask }: Request) => {
  answer(op, server, ask).then(
    (value) => tell({ kind: 'answer', id, answer: value }),
    (error: unknown) => tell({ kind: 'refusal', id, error: toPlain(error) }),
  );
});

async function answer(op: Request['op'], number: number, ask: unknown): Promise<unknown> {
  if (op === 'start') {
    const starting = start(ask as Start);
    running.set(number, starting);
    starting.catch(() => running.delete(number));
    return (await starting).server.ports;
  }
  const found = await running.get(number);
  if (op === 'counters') return found?.server.counters();
  if (op === 'follow') {
    const { upstreams, ndotsSet } = ask as Upstreams;
    return found?.server.follow(upstreams, ndotsSet);
  }
  running.delete(number);
  await found?.server.close();
  await found?.namespace.close();
  return undefined;
}

async function start({ spec, path, inode }: Start): Promise<Running> {
  const namespace = await osl.openNamespace(path);
  try {
    if ((await stat(path)).ino !== inode)
      throw new LibnetworkError('NOT_FOUND', `${path} is not the sandbox's namespace any more`);
    return { namespace, server: await startNameServer(spec, namespace, options) };
  } catch (error) {
    await namespace.close();
    throw error;
  }
}

function tell(reply: Reply): void {
  parentPort?.postMessage(reply);
}

/** Facts hold errors, whose classes do not travel. */
function plainFacts(facts: object | undefined): object | undefined {
  if (facts === undefined) return undefined;
  const entries = Object.entries(facts).map(([name, value]) => [
    name,
    value instanceof Error ? toPlain(value) : value,
  ]);
  return Object.fromEntries(entries);
}
