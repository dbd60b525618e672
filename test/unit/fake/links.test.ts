import { beforeEach, describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { type FakeOsl, fakeOsl, faultScript, SimulatedCrash } from '../../../src/osl/fake/index.ts';
import type { Change, Namespace } from '../../../src/osl/osl.ts';

let osl: FakeOsl;
let host: Namespace;

beforeEach(() => {
  osl = fakeOsl();
  host = osl.host;
});

async function errno(changes: readonly Change[], namespace = host): Promise<string | undefined> {
  try {
    await namespace.apply(changes);
    return undefined;
  } catch (error) {
    return LibnetworkError.is(error) ? error.errno : String(error);
  }
}

const veth = (name: string, peer: string, more: object = {}): Change => ({
  op: 'createLink',
  name,
  link: { kind: 'veth', peer: { name: peer, ...more } },
});
const bridge = (name: string): Change => ({ op: 'createLink', name, link: { kind: 'bridge' } });

describe('links of the fake kernel', () => {
  it('bears a veth whose peer is in another namespace', async () => {
    const inside = await osl.createNamespace('/run/ns/a');
    await host.apply([bridge('br0')]);
    await host.apply([
      {
        op: 'createLink',
        name: 'v1',
        link: {
          kind: 'veth',
          peer: { name: 'eth0', macAddress: '02:00:00:00:00:05', mtu: 1400, namespace: inside },
        },
        master: 'br0',
        up: true,
        alias: 'libnetwork:test:1',
      },
    ]);
    expect(await host.link('v1')).toMatchObject({
      up: true,
      running: false,
      master: 'br0',
      alias: 'libnetwork:test:1',
    });
    expect(await inside.link('eth0')).toMatchObject({
      mtu: 1400,
      macAddress: '02:00:00:00:00:05',
      up: false,
    });
    await inside.apply([{ op: 'setLink', name: 'eth0', up: true }]);
    expect(await host.link('v1')).toMatchObject({ running: true });
  });

  it('fills a bridge up to 1023 ports', async () => {
    await host.apply([bridge('br0')]);
    const ports = Array.from(
      { length: 1023 },
      (_, i): Change => ({ ...veth(`p${i}`, `q${i}`), master: 'br0' }) as Change,
    );
    expect(await errno(ports)).toBeUndefined();
    expect(await errno([{ ...veth('p', 'q'), master: 'br0' } as Change])).toBe('EXFULL');
    expect(await host.link('q')).toBeUndefined();
  });

  it('names the first change that failed and carries on with the later ones', async () => {
    const failing = host.apply([bridge('br0'), bridge('br0'), bridge('br1')]);
    await expect(failing).rejects.toMatchObject({ errno: 'EEXIST', operation: 'changes[1] createLink' });
    expect(await host.link('br1')).toBeDefined();
  });

  it('refuses to rename a link that is up, unless the kernel is a newer one', async () => {
    const rename: Change = { op: 'setLink', name: 'br0', rename: 'br1' };
    await host.apply([bridge('br0'), { op: 'setLink', name: 'br0', up: true }]);
    expect(await errno([rename])).toBe('EBUSY');
  });

  it('takes a deleted namespace with its links, and their peers elsewhere', async () => {
    const inside = await osl.createNamespace('/run/ns/a');
    await host.apply([veth('v1', 'eth0', { namespace: inside })]);
    await osl.deleteNamespace('/run/ns/a');
    expect(await host.link('v1')).toBeDefined();
    await inside.close();
    expect(await host.link('v1')).toBeUndefined();
  });

  it('stamps no link that was there already', async () => {
    await host.apply([bridge('br0')]);
    expect(await errno([{ ...bridge('br0'), alias: 'libnetwork:test:1' } as Change])).toBe('EEXIST');
    expect((await host.link('br0'))?.alias).toBeUndefined();
  });

  it('may die between a link and its stamp', async () => {
    const dying = fakeOsl({ kernel: osl.kernel, faults: faultScript({ at: 1, mode: 'crash-after' }) });
    const made = dying.host.apply([{ ...bridge('br0'), alias: 'libnetwork:test:1' } as Change]);
    await expect(made).rejects.toSatisfy(SimulatedCrash.is);
    expect(await host.link('br0')).toMatchObject({ alias: undefined });
  });

  it('leaves nothing behind that a dump would show', async () => {
    const before = osl.kernel.dump();
    await host.apply([bridge('br0'), { ...veth('v1', 'v2'), master: 'br0' } as Change]);
    await host.apply([{ op: 'addAddress', link: 'br0', address: '10.9.0.1/24' }]);
    expect(osl.kernel.dump()).not.toEqual(before);
    await host.deleteLink('v1');
    await host.deleteLink('br0');
    expect(osl.kernel.dump()).toEqual(before);
  });
});

describe('a killed process', () => {
  it('acts no more, and leaves links but no sockets', async () => {
    await host.apply([bridge('br0')]);
    await host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 80 });
    osl.kill();
    await expect(host.deleteLink('br0')).rejects.toThrow('simulated crash');
    const next = fakeOsl({ kernel: osl.kernel });
    expect(await next.host.link('br0')).toBeDefined();
    await expect(
      next.host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 80 }),
    ).resolves.toBeDefined();
  });
});

describe('the host of a new kernel', () => {
  it('has its loopback addresses, as a machine that has started, so that ports can be had on them', async () => {
    const { host } = fakeOsl();
    expect((await host.addresses('lo')).map(({ address }) => address)).toEqual(['127.0.0.1/8', '::1/128']);
    for (const address of ['127.0.0.1', '::1']) {
      const held = await host.holdPort({ protocol: 'tcp', address, port: 8080 });
      held.release();
    }
  });
});
