/** Four hosts with a controller process each, and a real etcd: what containers on them can do, and what failures do. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type LabHost } from '../../examples/hosts/lab.ts';
import { hasProgram } from '../support/daemon.ts';
import { canUseKernel, whyNot } from '../support/kernel.ts';

const worker = fileURLToPath(new URL('../../build/examples/hosts/worker.js', import.meta.url));
const obstacle = !canUseKernel
  ? whyNot
  : !hasProgram('etcd')
    ? 'the program etcd (Debian: etcd-server) is missing'
    : !existsSync(worker)
      ? 'not built: npm run build:examples'
      : '';
/** Long enough that a busy machine does not let it run out by itself. */
const LEASE_MS = 10_000;
const DEADLINE_MS = 90_000;

interface Facts {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly host?: string;
}

const plain = (cidr: string): string => cidr.split('/')[0] ?? '';

async function until(check: () => Promise<unknown>): Promise<void> {
  await expect.poll(check, { timeout: DEADLINE_MS, interval: 50 }).toBeTruthy();
}

describe.skipIf(obstacle !== '')(`four hosts and an etcd ${obstacle}`, { timeout: 240_000 }, () => {
  let lab: Lab;
  const made = new Map<LabHost, Facts>();

  beforeAll(async () => {
    lab = await Lab.open({ hosts: 4, worker, leaseMs: LEASE_MS });
  }, 240_000);
  afterAll(() => lab?.close(), 120_000);

  const factsOf = (host: LabHost): Facts => {
    const facts = made.get(host);
    if (!facts) throw new Error(`host ${host.name} runs nothing`);
    return facts;
  };
  const knows = (host: LabHost, network: string) => async () =>
    (await host.call<string[]>('networks')).includes(network);
  const namesOn = async (host: LabHost): Promise<string[]> =>
    (await host.call<Facts[]>('endpoints', { network: 'front' })).map(({ name }) => name).sort();
  /** A container asks another by its name. */
  const greets = (from: LabHost, to: LabHost) => async (): Promise<boolean> => {
    const [source, target] = [factsOf(from).name, factsOf(to).name];
    try {
      const [address] = await from.call<string[]>('resolve', { from: source, name: target });
      return (await from.call('fetch', { from: source, address })) === `hello from ${target}`;
    } catch {
      return false;
    }
  };

  it('lets containers ping, resolve and fetch over the overlay, between all pairs and in both families', async () => {
    await lab.host(0).call('createNetwork', { name: 'front', driver: 'overlay', ipv6: true });
    for (const host of lab.hosts) await until(knows(host, 'front'));
    await Promise.all(
      lab.hosts.map(async (host) =>
        made.set(host, await host.call<Facts>('run', { network: 'front', name: `web-${host.name}` })),
      ),
    );
    for (const from of lab.hosts) {
      for (const to of lab.hosts) {
        if (from === to) continue;
        const target = factsOf(to);
        for (const address of [target.ipv4, target.ipv6])
          await until(async () => {
            const ms = await from.call('ping', { from: factsOf(from).name, to: plain(address) });
            return typeof ms === 'number';
          });
        await until(greets(from, to));
        const sixth = await from.call('resolve', { from: factsOf(from).name, name: target.name, family: 6 });
        expect(sixth).toEqual([plain(target.ipv6)]);
      }
      expect(await from.call('reconcile')).toMatchObject({ missing: [], orphaned: [] });
    }
  });

  it('keeps serving on a host that is cut off from the store, which refuses what needs it and catches up', async () => {
    const [one, three] = [lab.host(0), lab.host(2)];
    await three.cutFromStore();
    const refused = three.call('create', { network: 'front', name: 'more' });
    await expect(refused).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await greets(three, one)()).toBe(true);
    await one.call('createNetwork', { name: 'meanwhile', driver: 'overlay' });
    await three.mendStore();
    await until(knows(three, 'meanwhile'));
    await until(
      async () => await three.call('create', { network: 'front', name: 'more' }).catch(() => false),
    );
  });

  it('goes on after a restart of etcd', async () => {
    const [one, two] = [lab.host(0), lab.host(1)];
    await lab.killEtcd();
    expect(await greets(one, two)()).toBe(true);
    await lab.startEtcd();
    await until(async () =>
      two.call('createNetwork', { name: 'after', driver: 'overlay' }).then(
        () => true,
        (error: { code?: string }) => error.code === 'ALREADY_EXISTS',
      ),
    );
    await until(knows(one, 'after'));
    await until(greets(two, lab.host(3)));
  });

  it('tells a host that was away of a network that was deleted, and of peers that came', async () => {
    const [one, two] = [lab.host(0), lab.host(1)];
    await two.stop();
    await one.call('deleteNetwork', { name: 'meanwhile' });
    await one.call('run', { network: 'front', name: 'late', program: false });
    await two.start([`container-${factsOf(two).name}`]);
    expect(await two.call('networks')).not.toContain('meanwhile');
    await until(async () => (await namesOn(two)).includes('late'));
    const { ipv4 } = (await one.call<Facts[]>('endpoints', { network: 'front' })).find(
      ({ name }) => name === 'late',
    ) as Facts;
    await until(async () => {
      const ms = await two.call('ping', { from: factsOf(two).name, to: plain(ipv4) });
      return typeof ms === 'number';
    });
  });

  it('takes back what a partitioned host had past its lease, and tells it so when it returns', async () => {
    const [one, four] = [lab.host(0), lab.host(3)];
    const { name, ipv4 } = factsOf(four);
    await four.unplug();
    await until(async () => !(await namesOn(one)).includes(name));
    await until(async () =>
      one.call('create', { network: 'front', name }).then(
        () => true,
        () => false,
      ),
    );
    expect(await four.call('interfaces', { name })).toHaveLength(2);
    await four.plug();
    await until(async () => (await four.call<string[]>('lost')).includes(name));
    await until(async () => (await four.call<string[]>('interfaces', { name })).length === 0);
    const owners = (await one.call<Facts[]>('endpoints', { network: 'front' })).filter(
      (each) => each.ipv4 === ipv4,
    );
    expect(owners.length).toBeLessThanOrEqual(1);
  });

  it('takes back what a dead host had', async () => {
    const [one, three] = [lab.host(0), lab.host(2)];
    await three.die();
    await until(async () => !(await namesOn(one)).includes(factsOf(three).name));
    const ms = await one.call('ping', { from: factsOf(one).name, to: plain(factsOf(lab.host(1)).ipv4) });
    expect(ms).toEqual(expect.any(Number));
  });
});
