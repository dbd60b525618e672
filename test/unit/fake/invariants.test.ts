import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { FakeKernel, fakeOsl, faultScript, SimulatedCrash } from '../../../src/osl/fake/index.ts';
import type { Change, Namespace, Osl } from '../../../src/osl/osl.ts';
import { Random } from '../../kernel/differential/random.ts';
import { describeStep, type Places, Steps, take } from '../../kernel/differential/steps.ts';

/** Takes random steps, refused ones too, and returns them as text. */
async function wander(places: Places, seed: number, length: number): Promise<string[]> {
  const steps = new Steps(new Random(seed));
  const taken: string[] = [];
  for (let i = 0; i < length; i++) {
    const step = steps.next();
    taken.push(describeStep(step));
    await take(step, places).catch((error: unknown) => {
      if (!LibnetworkError.is(error)) throw error;
    });
  }
  return taken;
}

async function check(places: readonly Namespace[]): Promise<void> {
  for (const namespace of places) {
    const links = await namespace.links();
    const names = links.map((link) => link.name);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(links.map((link) => link.index)).size).toBe(links.length);
    for (const link of links) {
      if (link.master !== undefined) expect(names).toContain(link.master);
      if (link.kind === 'veth') expect(link.peerIndex).toBeDefined();
    }
    const known = [
      ...(await namespace.addresses()),
      ...(await namespace.routes()),
      ...(await namespace.neighbours()),
    ];
    for (const { link } of known) expect(names).toContain(link);
    const sysctls = names.map(async (name) => await namespace.sysctl(`net/ipv4/conf/${name}/forwarding`));
    expect(await Promise.all(sysctls)).not.toContain(undefined);
  }
}

describe('the fake kernel, after any steps', () => {
  const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

  it.each(seeds)('keeps names, indexes, peers and references whole (seed %i)', async (seed) => {
    const osl = fakeOsl();
    const places = { a: await osl.createNamespace('/run/a'), b: await osl.createNamespace('/run/b') };
    await wander(places, seed, 100);
    await check(Object.values(places));
  });

  it.each(seeds)('forgets all of it with the namespaces (seed %i)', async (seed) => {
    const osl = fakeOsl();
    const before = osl.kernel.dump();
    const places = { a: await osl.createNamespace('/run/a'), b: await osl.createNamespace('/run/b') };
    await wander(places, seed, 100);
    for (const [name, place] of Object.entries(places)) {
      await osl.deleteNamespace(`/run/${name}`);
      await place.close();
    }
    expect(osl.kernel.dump()).toEqual(before);
  });
});

/** Makes a network and an endpoint in it, as a driver would. */
async function attach(osl: Osl): Promise<void> {
  const inside = await osl.createNamespace('/run/ns/box');
  const changes: Change[] = [
    { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, alias: 'libnetwork:test:1' },
    {
      op: 'createLink',
      name: 'v1',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: inside } },
      master: 'br0',
      alias: 'libnetwork:test:2',
    },
    { op: 'setLink', name: 'br0', up: true },
  ];
  await osl.host.apply(changes);
  await osl.host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 8080 });
}

describe('a process that dies at any of its steps', () => {
  it('leaves what it did before, in its order, and no sockets', async () => {
    const whole = fakeOsl();
    await attach(whole);
    const total = whole.faults.steps;
    expect(total).toBeGreaterThan(6);
    const seen = new Set<string>();
    for (let at = 1; at <= total; at++) {
      for (const mode of ['crash-before', 'crash-after'] as const) {
        const kernel = new FakeKernel();
        const dying = fakeOsl({ kernel, faults: faultScript({ at, mode }) });
        await expect(attach(dying)).rejects.toSatisfy(SimulatedCrash.is);
        expect(dying.faults.trace).toEqual(whole.faults.trace.slice(0, at));
        const left = kernel.dump();
        expect(left.namespaces.host?.sockets).toEqual([]);
        seen.add(JSON.stringify(left));
      }
    }
    // Every step but the last, whose socket goes with the process, leaves another state.
    expect(seen.size).toBe(total);
  });
});
