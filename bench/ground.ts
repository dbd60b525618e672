import { join } from 'node:path';
import {
  type Endpoint,
  type EndpointOptions,
  linuxOsl,
  type Network,
  NetworkController,
  type Sandbox,
} from 'libnetwork';
import type { Osl } from 'libnetwork/osl';
import { Floors } from './floor.ts';

/** A controller as in production, with a Level store, in a namespace that plays the host. */
export interface Ground {
  readonly controller: NetworkController;
  readonly network: Network;
  readonly osl: Osl;
  /** For namespaces and files; all that is in it is gone after the benchmark. */
  readonly directory: string;
  readonly floors: Floors;
}

/** A container that is attached. */
export interface Attached {
  readonly sandbox: Sandbox;
  readonly endpoint: Endpoint;
}

const INSTANCE = 'bench';

/** Where the sandboxes of a controller, by default the ground's, keep their namespaces. */
export function namespacesIn(directory: string, instance = INSTANCE): string {
  return join(directory, 'run', instance, 'netns');
}

/** Opens the ground in a directory of the caller's, works on it, and closes it. */
export async function onGround<T>(directory: string, work: (ground: Ground) => Promise<T>): Promise<T> {
  const osl = linuxOsl();
  try {
    const [dataDir, runDir] = [join(directory, 'data'), join(directory, 'run')];
    const controller = await NetworkController.open({ dataDir, runDir, osl, instance: INSTANCE });
    try {
      const network = await controller.createNetwork({
        name: 'bench',
        ipam: { pools: [{ subnet: '10.9.0.0/16' }] },
      });
      const answer = await work({ controller, network, osl, directory, floors: new Floors(directory) });
      await network.delete();
      return answer;
    } finally {
      await controller.close();
    }
  } finally {
    await osl.close();
  }
}

let last = 0;

/** Sandboxes with a namespace each, made beforehand: an attach is into what exists. */
export function sandboxes(controller: NetworkController, count: number): Promise<Sandbox[]> {
  return Promise.all(
    Array.from({ length: count }, () => controller.createSandbox({ containerId: `container-${++last}` })),
  );
}

export async function attach(
  network: Network,
  sandbox: Sandbox,
  options: Partial<EndpointOptions> = {},
): Promise<Attached> {
  const endpoint = await network.createEndpoint({ name: `endpoint-${++last}`, ...options });
  await endpoint.join(sandbox);
  return { sandbox, endpoint };
}

export async function detach({ sandbox, endpoint }: Attached): Promise<void> {
  await endpoint.leave(sandbox);
  await endpoint.delete();
}

/** The kernel clears namespaces away after they are deleted, under the lock that an attach needs: let it end. */
export const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));

/** Attaches as many containers, one after the other, and takes them away again: the microseconds of each attach. */
export async function attachInTurn(
  { controller, network }: Ground,
  count: number,
): Promise<readonly number[]> {
  const made = await sandboxes(controller, count);
  await quiet();
  const attached: Attached[] = [];
  const times: number[] = [];
  for (const sandbox of made) {
    const [us, one] = await timed(() => attach(network, sandbox));
    times.push(us);
    attached.push(one);
  }
  await Promise.all(attached.map(detach));
  await Promise.all(made.map((sandbox) => sandbox.delete()));
  return times;
}

/** The microseconds that something takes. */
export async function timed<T>(act: () => Promise<T>): Promise<readonly [us: number, value: T]> {
  const start = performance.now();
  const value = await act();
  return [(performance.now() - start) * 1000, value];
}
