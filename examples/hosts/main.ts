/**
 * A network over four hosts: `npm run demo:hosts`. The hosts are namespaces on a bridge of the demo's own, each with a
 * controller process, and a real etcd (Debian: etcd-server) tells them of each other. Needs root.
 */
import { fileURLToPath } from 'node:url';
import { kernelAvailability } from 'libnetwork';
import { hasProgram, Lab } from './lab.ts';
import { picture } from './picture.ts';

interface Facts {
  readonly name: string;
  readonly ipv4: string;
  readonly host?: string;
}

const { available, reason } = kernelAvailability();
if (!available) throw new Error(`the demo needs the real kernel: ${reason}`);
if (!(await hasProgram('etcd'))) throw new Error('the demo needs etcd (Debian: apt-get install etcd-server)');

const address = (facts: Facts): string => facts.ipv4.split('/')[0] ?? '';
const step = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
  const start = performance.now();
  const value = await act();
  console.log(`✓ ${(performance.now() - start).toFixed(1).padStart(7)} ms  ${name}`);
  return value;
};
const until = async (check: () => Promise<boolean>): Promise<void> => {
  for (const deadline = Date.now() + 30_000; !(await check()); ) {
    if (Date.now() > deadline) throw new Error('it did not come to pass');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const worker = fileURLToPath(new URL('./worker.js', import.meta.url));
const lab = await step('four hosts, four controllers and an etcd', () =>
  Lab.open({ hosts: 4, worker, leaseMs: 2_000 }),
);
try {
  const network = await step('host h1 makes the overlay network front', () =>
    lab.host(0).call<{ subnets: string[]; options: Record<string, string> }>('createNetwork', {
      name: 'front',
      driver: 'overlay',
    }),
  );
  await step('the other hosts know it', () =>
    Promise.all(
      lab.hosts.map((host) => until(async () => (await host.call<string[]>('networks')).includes('front'))),
    ),
  );
  const containers = await step('a container on each host', () =>
    Promise.all(
      lab.hosts.map(async (host) => ({
        host,
        facts: await host.call<Facts>('run', { network: 'front', name: `web-${host.name}` }),
      })),
    ),
  );
  await step('every container pings, resolves and fetches every other', async () => {
    for (const { host, facts: from } of containers) {
      for (const { facts: to } of containers) {
        await until(async () => (await host.call('ping', { from: from.name, to: address(to) })) !== null);
        if (from === to) continue;
        const [found] = await host.call<string[]>('resolve', { from: from.name, name: to.name });
        const text = await host.call<string>('fetch', { from: from.name, address: found });
        if (text !== `hello from ${to.name}`) throw new Error(`${from.name} got ${text} from ${to.name}`);
      }
    }
  });
  const shown = await Promise.all(
    containers.map(async ({ host, facts }) => {
      const all = await host.call<Facts[]>('endpoints', { network: 'front' });
      const peers = all.filter((each) => each.host !== undefined).length;
      return { name: host.name, address: host.address, containers: [`${facts.name} ${facts.ipv4}`], peers };
    }),
  );
  const vni = network.options['com.docker.network.driver.overlay.vxlanid_list'];
  console.log(`\n${picture(shown, [`front: VXLAN ${vni}, ${network.subnets.join(' ')}`])}\n`);
  await step('host h4 dies, and the others take its endpoint back when its lease is over', async () => {
    await lab.host(3).die();
    await until(
      async () => (await lab.host(0).call<Facts[]>('endpoints', { network: 'front' })).length === 3,
    );
  });
  console.log('\neverything held');
} finally {
  await lab.close();
}
