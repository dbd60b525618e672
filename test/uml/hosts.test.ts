/** Encrypted networks of whole controllers: a process for each host, with a real etcd among them. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type LabHost } from '../../examples/hosts/lab.ts';
import { Capture } from '../support/capture.ts';
import { reaches, whyNoEsp } from './support.ts';
import {
  ENCRYPTED_PORT,
  ESP,
  isTunnel,
  MARKER,
  PLAIN_PORT,
  Stream,
  type StreamEnd,
  spisOf,
} from './traffic.ts';

const noEsp = await whyNoEsp();
const worker = fileURLToPath(new URL('../../build/examples/hosts/worker.js', import.meta.url));
/** Long enough that a busy machine does not let it run out by itself. */
const LEASE_MS = 10_000;
const SECRET = { name: 'secret', driver: 'overlay', options: { encrypted: '' } };

describe.skipIf(noEsp)(`encrypted networks over hosts with controllers ${noEsp}`, () => {
  let lab: Lab;
  const ends = new Map<LabHost, StreamEnd>();

  beforeAll(async () => {
    // The kernel in question has no tables of the family inet; encryption needs none.
    lab = await Lab.open({ hosts: 3, worker, leaseMs: LEASE_MS, firewall: 'none' });
  }, 180_000);
  afterAll(async () => {
    await Promise.all([...ends.values()].map(({ namespace }) => namespace.close()));
    await lab?.close();
  });

  async function runOn(host: LabHost): Promise<StreamEnd> {
    const name = `web-${host.name}`;
    await expect.poll(() => host.call<string[]>('networks'), { timeout: 20_000 }).toContain(SECRET.name);
    const { ipv4 } = await host.call<{ ipv4: string }>('run', { network: 'secret', name, program: false });
    const path = await host.call<string>('namespacePath', { name });
    return { namespace: await lab.openNamespace(path), address: ipv4.split('/')[0] ?? '' };
  }

  /** Every one of these hosts' containers, with every other. */
  function pairsOf(hosts: readonly LabHost[]): (readonly [StreamEnd, StreamEnd])[] {
    const there = hosts.flatMap((host) => ends.get(host) ?? []);
    return there.flatMap((from) => there.flatMap((to) => (to === from ? [] : [[from, to] as const])));
  }

  async function begin(hosts: readonly LabHost[]): Promise<Stream[]> {
    const streams = await Promise.all(pairsOf(hosts).map(([from, to]) => Stream.begin(from, to)));
    await passes(streams);
    return streams;
  }

  async function passes(streams: readonly Stream[]): Promise<void> {
    await Promise.all(streams.map((stream) => stream.passes(5)));
  }

  async function expectNoLoss(streams: readonly Stream[]): Promise<void> {
    expect(await Promise.all(streams.map((stream) => stream.end(20)))).toEqual(streams.map(() => []));
  }

  /** What passed a host's links: ESP, and nothing in the clear. Answers with the associations that were used. */
  function expectEspOnly(capture: Capture): Set<number> {
    const packets = capture.end();
    for (const port of [PLAIN_PORT, ENCRYPTED_PORT])
      expect(packets.filter((packet) => isTunnel(packet, port))).toEqual([]);
    expect(packets.filter(({ frame }) => frame.includes(MARKER))).toEqual([]);
    expect(packets.filter(({ protocol }) => protocol === ESP).length).toBeGreaterThan(0);
    return spisOf(packets);
  }

  it('let the containers of all hosts reach each other', async () => {
    await lab.host(0).call('createNetwork', SECRET);
    for (const host of lab.hosts) ends.set(host, await runOn(host));
    for (const [from, to] of pairsOf(lab.hosts)) await reaches(from.namespace, to.address);
  });

  it('lose nothing while each of the hosts replaces the keys, and show nothing but ESP', async () => {
    const captures = lab.hosts.map(({ namespace }) => new Capture(namespace.path));
    const streams = await begin(lab.hosts);
    for (const host of lab.hosts) {
      await host.call('rotateKeys');
      await passes(streams);
    }
    await expectNoLoss(streams);
    // Each host hears four generations of both others, and sends as many, with its own number for both.
    for (const capture of captures) expect(expectEspOnly(capture).size).toBe(12);
    for (const { namespace } of lab.hosts)
      await expect.poll(async () => (await namespace.xfrmStates()).length, { timeout: 15_000 }).toBe(4);
  });

  it('go on with a rotation when the host that takes its steps dies, as soon as its lease is over', async () => {
    const [one, two, three] = [lab.host(0), lab.host(1), lab.host(2)];
    const captures = [two, three].map(({ namespace }) => new Capture(namespace.path));
    const streams = await begin([two, three]);
    const before = (await two.namespace.xfrmStates()).length;
    one.freeze();
    const rotation = three.call('rotateKeys', { timeoutMs: LEASE_MS + 10_000 });
    const states = async () => (await two.namespace.xfrmStates()).length;
    await expect.poll(states, { timeout: LEASE_MS }).toBeGreaterThan(before);
    await one.killProcess();
    await rotation;
    await expectNoLoss(streams);
    for (const capture of captures) expectEspOnly(capture);
  });
});
