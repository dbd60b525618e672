/** What a thread of name servers runs: see `thread.ts`, which starts it. */
import { stat } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { LibnetworkError } from '../errors.ts';
import type { Namespace, Osl } from '../osl/osl.ts';
import type { AllowedAddress } from './allowed.ts';
import { NameMirror } from './mirror.ts';
import type { ResolverPorts } from './redirect.ts';
import { type NameServer, startNameServer, type Upstreams } from './servers.ts';
import { type Reply, type Request, type Start, type ThreadData, toPlain, type Verdict } from './thread.ts';

interface Running {
  readonly namespace: Namespace;
  readonly server: NameServer & { readonly ports: ResolverPorts };
}

const { oslModule, hostPath, limits, changes, sent, tellsAllowed }: ThreadData = workerData;
const { linuxOsl }: { linuxOsl(): Osl } = await import(oslModule);
const osl = linuxOsl();
const host = hostPath === 'host' ? osl.host : await osl.openNamespace(hostPath);
const logger = {
  warn: (message: string, facts?: object) => tell({ kind: 'warning', message, facts: plainFacts(facts) }),
};
const names = new NameMirror({ changes, sent });
const options = { host, names, limits, logger, onAllowed: tellsAllowed ? askMain : undefined };
const running = new Map<number, Promise<Running>>();
/** Bounds what a main thread that is busy for long is asked meanwhile. */
const MOST_ASKED = 20_000;
/** Names that the main thread is letting through. */
const asked = new Map<number, { readonly resolve: () => void; readonly reject: (error: unknown) => void }>();
let lastAsked = 0;

parentPort?.on('message', (message: Request | Verdict) => {
  if (message.op === 'verdict') return takeVerdict(message);
  const { id, op, server, ask } = message;
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

function askMain(networkId: string, name: string, addresses: readonly AllowedAddress[]): Promise<void> {
  if (asked.size >= MOST_ASKED)
    return Promise.reject(
      new LibnetworkError('UNAVAILABLE', 'the main thread lets no name through: it is busy'),
    );
  return new Promise((resolve, reject) => {
    const number = ++lastAsked;
    asked.set(number, { resolve, reject });
    tell({ kind: 'allowed', number, networkId, name, addresses });
  });
}

function takeVerdict({ number, failure }: Verdict): void {
  const waiting = asked.get(number);
  asked.delete(number);
  if (failure === undefined) waiting?.resolve();
  else waiting?.reject(new LibnetworkError(failure.code, failure.message));
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
