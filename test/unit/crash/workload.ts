import type { NetworkController } from '../../../src/index.ts';

/** One operation of the public surface, by name. Each finds its objects by name, so that it can be run on its own. */
export interface Step {
  readonly name: string;
  run(controller: NetworkController): Promise<unknown>;
}

const network = (c: NetworkController, name: string) => need(c.network(name), `network ${name}`);
const sandbox = (c: NetworkController, container: string) =>
  need(c.sandbox(container), `sandbox ${container}`);
const endpoint = (c: NetworkController, of: string, name: string) =>
  need(network(c, of).endpoint(name), `endpoint ${name}`);

function need<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`the workload finds no ${what}`);
  return found;
}

/** A life of two networks, two containers and three endpoints: everything is made, used, and deleted again. */
export const LIFE: readonly Step[] = [
  {
    name: 'create network front',
    run: (c) =>
      c.createNetwork({
        name: 'front',
        ipv6: true,
        ipam: { pools: [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }] },
      }),
  },
  { name: 'create network back', run: (c) => c.createNetwork({ name: 'back', internal: true }) },
  { name: 'create sandbox c1', run: (c) => c.createSandbox({ containerId: 'c1', hostname: 'one' }) },
  { name: 'create sandbox c2', run: (c) => c.createSandbox({ containerId: 'c2' }) },
  {
    name: 'create endpoint web',
    run: (c) =>
      network(c, 'front').createEndpoint({
        name: 'web',
        aliases: ['www'],
        ports: [{ protocol: 'tcp', container: 80, host: 8080 }],
        service: { name: 'site', aliases: ['www'] },
      }),
  },
  {
    name: 'create endpoint job',
    run: (c) =>
      network(c, 'front').createEndpoint({ name: 'job', ipv4: '10.9.0.77', service: { name: 'site' } }),
  },
  { name: 'create endpoint db', run: (c) => network(c, 'back').createEndpoint({ name: 'db' }) },
  { name: 'join web to c1', run: (c) => endpoint(c, 'front', 'web').join(sandbox(c, 'c1')) },
  { name: 'join job to c2', run: (c) => endpoint(c, 'front', 'job').join(sandbox(c, 'c2')) },
  { name: 'join db to c1', run: (c) => endpoint(c, 'back', 'db').join(sandbox(c, 'c1'), { priority: 5 }) },
  {
    name: 'drain job',
    run: (c) => endpoint(c, 'front', 'job').update({ service: { enabled: false } }),
  },
  { name: 'leave job', run: (c) => endpoint(c, 'front', 'job').leave(sandbox(c, 'c2')) },
  { name: 'join job to c2 again', run: (c) => endpoint(c, 'front', 'job').join(sandbox(c, 'c2')) },
  { name: 'leave db', run: (c) => endpoint(c, 'back', 'db').leave(sandbox(c, 'c1')) },
  { name: 'delete db', run: (c) => endpoint(c, 'back', 'db').delete() },
  { name: 'delete job by force', run: (c) => endpoint(c, 'front', 'job').delete({ force: true }) },
  { name: 'delete sandbox c1', run: (c) => sandbox(c, 'c1').delete() },
  { name: 'delete sandbox c2', run: (c) => sandbox(c, 'c2').delete() },
  { name: 'delete network back', run: (c) => network(c, 'back').delete() },
  { name: 'delete network front', run: (c) => network(c, 'front').delete() },
];

/** Deletes everything that is there, by what the controller lists. */
export async function deleteAll(controller: NetworkController): Promise<void> {
  for (const box of controller.sandboxes()) await box.delete();
  for (const net of controller.networks()) {
    for (const end of net.endpoints()) await end.delete({ force: true });
    await net.delete();
  }
}
