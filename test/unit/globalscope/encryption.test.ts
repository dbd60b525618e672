/** Encrypted networks over several hosts, on a kernel in memory that drops what IPsec does not let pass. */
import { inspect } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { NetworkController } from '../../../src/index.ts';
import type { XfrmChange } from '../../../src/osl/osl.ts';
import { refusal } from '../core/setting.ts';
import { Cluster, type Host, overlay, until } from './cluster.ts';

const secret = overlay('secret', { options: { encrypted: '' } });

interface Setting {
  readonly cluster: Cluster;
  readonly hosts: readonly Host[];
  readonly containers: readonly Awaited<ReturnType<Host['run']>>[];
}

/** Hosts with a container each on a network that is encrypted. */
async function onSecret(count: number, prepare: (host: Host) => void = () => undefined): Promise<Setting> {
  const cluster = new Cluster();
  const hosts = await cluster.some(count);
  hosts.forEach(prepare);
  await hosts[0]?.controller.createNetwork(secret);
  const containers = [];
  for (const host of hosts) {
    await until(() => host.controller.network('secret'));
    containers.push(await host.run('secret', `web-${host.name}`));
  }
  const setting = { cluster, hosts, containers };
  await until(() => allReach(setting));
  return setting;
}

function allReach({ cluster, containers }: Setting): boolean {
  return containers.every(({ sandbox }) =>
    containers.every(
      ({ sandbox: other, endpoint }) =>
        sandbox.id === other.id || cluster.reaches(sandbox, endpoint.ipv4 ?? ''),
    ),
  );
}

async function keysOf({ cluster }: Setting): Promise<string[]> {
  const store = cluster.globalStore();
  const entry = await store.get('docker/network/v1.0/encryption/keys');
  await store.close();
  if (!entry) throw new Error('there are no keys');
  const { generations } = entry.value as { readonly generations: readonly { readonly secret: string }[] };
  return generations.map(({ secret: key }) => key);
}

const statesOf = ({ osl }: Host) => osl.host.xfrmStates();
const policiesOf = ({ osl }: Host) => osl.host.xfrmPolicies();

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`there is no ${index}`);
  return found;
}

/** As a kernel in lockdown shows associations: with zeros for keys. */
function hideKeys({ osl: { host } }: Host): void {
  const show = host.xfrmStates.bind(host);
  vi.spyOn(host, 'xfrmStates').mockImplementation(async () =>
    (await show()).map((state) => ({ ...state, key: new Uint8Array(state.key.length) })),
  );
}

async function flush(host: Host): Promise<void> {
  const changes = (await statesOf(host)).map((state): XfrmChange => ({ op: 'deleteState', state }));
  await host.osl.host.applyXfrm(changes);
}

describe('encrypted networks', () => {
  it('have an association each way between all hosts, and pass nothing without them', async () => {
    const setting = await onSecret(3);
    for (const host of setting.hosts) {
      expect(await statesOf(host)).toHaveLength(4);
      // Two that keep the port shut, and one for each of the others.
      expect(await policiesOf(host)).toHaveLength(4);
    }
    const [one] = setting.hosts;
    await flush(at(setting.hosts, 0));
    expect(allReach(setting)).toBe(false);
    const { missing } = (await one?.controller.reconcile()) ?? {};
    expect(missing?.filter((line) => line.startsWith('association'))).toHaveLength(4);
    await until(() => allReach(setting));
    expect(await one?.controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
  });

  it('take new keys while everything reaches everything, from any host, and drop the old ones', async () => {
    const setting = await onSecret(3);
    const before = await keysOf(setting);
    let lost = 0;
    const watch = setInterval(() => {
      if (!allReach(setting)) lost++;
    }, 5);
    for (const { controller } of setting.hosts) await controller.rotateKeys();
    await until(async () => (await keysOf(setting)).length === 1);
    for (const host of setting.hosts) await until(async () => (await statesOf(host)).length === 4);
    clearInterval(watch);
    expect(lost).toBe(0);
    expect(allReach(setting)).toBe(true);
    expect(await keysOf(setting)).not.toEqual(before);
  }, 30_000);

  it('never show a key: not in errors, logs, inspections or dumps', async () => {
    const setting = await onSecret(2);
    const one = at(setting.hosts, 0);
    const secrets = (await keysOf(setting)).flatMap((key) => [
      key,
      Buffer.from(key, 'base64').toString('hex'),
    ]);
    const derived = (await statesOf(one)).map(({ key }) => Buffer.from(key).toString('hex'));
    await flush(at(setting.hosts, 1));
    await at(setting.hosts, 1).controller.reconcile();
    const shown = [
      inspect(one.controller.inspect(), { depth: 20 }),
      inspect(one.controller, { depth: 20, showHidden: true }),
      inspect(await one.controller.reconcile(), { depth: 20 }),
      inspect(setting.cluster.kernel.dump(), { depth: 20, maxArrayLength: null, maxStringLength: null }),
      ...setting.hosts.flatMap(({ complaints }) => complaints),
    ].join('\n');
    for (const text of [...secrets, ...derived]) expect(shown).not.toContain(text);
  });

  it('leave nothing behind with the last of them, neither in the kernel nor as a member', async () => {
    const setting = await onSecret(2);
    for (const { sandbox } of setting.containers) await sandbox.delete();
    for (const host of setting.hosts) {
      await until(async () => (await statesOf(host)).length + (await policiesOf(host)).length === 0);
    }
    expect((await setting.cluster.keys()).filter((key) => key.includes('encryption/member'))).toEqual([]);
  });

  it('forget a host that is gone, when its containers are', async () => {
    const setting = await onSecret(3);
    const three = at(setting.hosts, 2);
    three.kill();
    await three.global.expire();
    for (const host of setting.hosts.slice(0, 2))
      await until(async () => (await statesOf(host)).length === 2);
    const rest = { ...setting, containers: setting.containers.slice(0, 2) };
    expect(allReach(rest)).toBe(true);
    await at(setting.hosts, 0).controller.rotateKeys();
    expect(allReach(rest)).toBe(true);
  });

  it('go on as they are when a controller is restarted, with the same associations', async () => {
    const setting = await onSecret(2);
    const one = at(setting.hosts, 0);
    const names = async () =>
      (await statesOf(one)).map(({ spi, destination }) => `${destination} ${spi}`).sort();
    const before = await names();
    await one.controller.close();
    expect(allReach(setting)).toBe(true);
    await one.start(['web-h1-container']);
    expect(allReach(setting)).toBe(true);
    expect(await names()).toEqual(before);
    await one.controller.rotateKeys();
    expect(allReach(setting)).toBe(true);
  });

  it('keep their associations where the kernel hides the keys, and make new ones only after a restart', async () => {
    const setting = await onSecret(2, hideKeys);
    const one = at(setting.hosts, 0);
    const changed = vi.spyOn(one.osl.host, 'applyXfrm');
    expect(await one.controller.reconcile()).toMatchObject({ missing: [], orphaned: [] });
    expect(changed).not.toHaveBeenCalled();
    for (const { controller } of setting.hosts) await controller.rotateKeys();
    await until(async () => (await statesOf(one)).length === 2);
    expect(allReach(setting)).toBe(true);
    const before = (await statesOf(one)).map(({ spi }) => spi);
    await one.controller.close();
    await one.start(['web-h1-container']);
    await until(() => allReach(setting));
    // What was sent under a key that can't be seen is not counted on from, nor anew.
    const sending = (await statesOf(one)).filter(({ source }) => source === one.address);
    expect(sending).toHaveLength(1);
    for (const { spi } of sending) expect(before).not.toContain(spi);
    expect(await one.controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
  });

  it('count anew where a change of hidden keys ended half-way', async () => {
    const setting = await onSecret(2, hideKeys);
    const one = at(setting.hosts, 0);
    const apply = one.osl.host.applyXfrm.bind(one.osl.host);
    const made: string[] = [];
    let isBroken = true;
    vi.spyOn(one.osl.host, 'applyXfrm').mockImplementation(async (changes) => {
      const added = changes.flatMap((change) => (change.op === 'addState' ? change.state : []));
      made.push(...added.filter(({ source }) => source === one.address).map(({ key }) => String(key)));
      const breaks = isBroken && added.length > 0;
      isBroken &&= !breaks;
      await apply(changes);
      if (breaks) throw new LibnetworkError('TIMEOUT', 'nobody knows what was done');
    });
    await at(setting.hosts, 1).controller.rotateKeys();
    await until(() => allReach(setting) && !isBroken);
    // No key begins to count twice.
    expect(new Set(made).size).toBe(made.length);
  });

  it('count anew after a machine lost its associations with its power', async () => {
    const setting = await onSecret(2);
    const one = at(setting.hosts, 0);
    await one.controller.close();
    const before = (await statesOf(one)).map(({ spi }) => spi);
    await flush(one);
    await one.start(['web-h1-container']);
    await until(() => allReach(setting));
    const sending = (await statesOf(one)).filter(({ source }) => source === one.address);
    for (const { spi } of sending) expect(before).not.toContain(spi);
  });

  it('count anew after a host counted as gone, and reach the others again', async () => {
    const setting = await onSecret(2);
    const [one, two] = [at(setting.hosts, 0), at(setting.hosts, 1)];
    const before = (await statesOf(two)).filter(({ source }) => source === two.address);
    // Nobody is there to take back what it has.
    one.global.cut();
    await two.global.expire();
    await until(async () => {
      const now = (await statesOf(two)).filter(({ source }) => source === two.address);
      return now.length === 1 && now[0]?.spi !== before[0]?.spi;
    });
    one.global.mend();
    await until(() => allReach(setting));
  });

  it('keep networks in the clear beside them as they are, but not at their port', async () => {
    const setting = await onSecret(2);
    const [one, two] = [at(setting.hosts, 0), at(setting.hosts, 1)];
    await one.controller.createNetwork(overlay('clear'));
    await until(() => two.controller.network('clear'));
    const [a, b] = [await one.run('clear', 'a'), await two.run('clear', 'b')];
    await until(() => setting.cluster.reaches(a.sandbox, b.endpoint.ipv4 ?? ''));
    await flush(one);
    expect(setting.cluster.reaches(a.sandbox, b.endpoint.ipv4 ?? '')).toBe(true);
    const options = { 'com.docker.network.driver.overlay.vxlan_port': '4796' };
    expect(await refusal(one.controller.createNetwork(overlay('wrong', { options })))).toMatchObject({
      code: 'CONFLICT',
      holder: 'network secret',
    });
  });

  it('say which host a rotation waits for when its time is over, and go on with the same key', async () => {
    const setting = await onSecret(3);
    const [one, two] = [at(setting.hosts, 0), at(setting.hosts, 1)];
    await one.controller.rotateKeys();
    await until(async () => (await keysOf(setting)).length === 1);
    two.global.cut();
    const asked = [await refusal(one.controller.rotateKeys({ timeoutMs: 300 }))];
    const keys = await keysOf(setting);
    expect(keys).toHaveLength(2);
    asked.push(await refusal(one.controller.rotateKeys({ timeoutMs: 1 })));
    for (const error of asked) {
      expect(error).toMatchObject({ code: 'TIMEOUT', limit: 'timeoutMs', holder: 'host h2 (192.0.2.2)' });
      expect(error).toHaveProperty('message', expect.stringMatching(/host h2 .* is accepted.* call again/));
    }
    expect(await keysOf(setting)).toEqual(keys);
    expect(allReach(setting)).toBe(true);
    two.global.mend();
    await one.controller.rotateKeys();
    expect((await keysOf(setting)).at(-1)).toBe(keys.at(-1));
    // That rotation has ended: a further call is for a further key.
    await one.controller.rotateKeys();
    expect(keys).not.toContain((await keysOf(setting)).at(-1));
    const wrong = one.controller.rotateKeys({ timeoutMs: -1 });
    expect(await refusal(wrong)).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'timeoutMs' });
  });

  it('are refused without a store that hosts share, and there is no key to replace', async () => {
    const cluster = new Cluster();
    const host = await cluster.host();
    expect(await refusal(host.controller.rotateKeys())).toMatchObject({ code: 'NOT_FOUND' });
    const alone = await NetworkController.open({
      osl: host.osl,
      instance: 'alone',
      runDir: `${cluster.runDir}/alone`,
      hostResolvConf: cluster.resolvConf,
      cluster: { address: host.address },
    });
    expect(await refusal(alone.createNetwork(secret))).toMatchObject({
      code: 'UNAVAILABLE',
      field: 'encrypted',
    });
    expect(await refusal(alone.rotateKeys())).toMatchObject({ code: 'NOT_FOUND' });
    expect(await statesOf(host)).toEqual([]);
    await alone.close();
  });

  it('are refused where somebody else has an entry in the place of one of theirs', async () => {
    const setting = await onSecret(1);
    const cluster = setting.cluster;
    const two = await cluster.host();
    const [guard] = await policiesOf(at(setting.hosts, 0));
    const selector = { source: `${two.address}/32`, destination: '0.0.0.0/0' };
    const policy = { ...guard, selector: { ...guard?.selector, ...selector }, priority: 9 };
    await two.osl.host.applyXfrm([{ op: 'setPolicy', policy } as XfrmChange]);
    await until(() => two.controller.network('secret'));
    expect(await refusal(two.run('secret', 'web'))).toMatchObject({ code: 'CONFLICT' });
    expect((await policiesOf(two)).map(({ priority }) => priority)).toEqual([9]);
  });
});
