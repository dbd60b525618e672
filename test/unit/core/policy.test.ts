import { describe, expect, it } from 'vitest';
import type { PolicyRule } from '../../../src/index.ts';
import { expectNothingToRepair, refusal, restart, type Setting, setUp } from './setting.ts';

const app = (name: string) => ({ labels: { app: name } });
const SHUT: readonly PolicyRule[] = [
  { from: app('web'), to: app('db'), ports: [{ protocol: 'tcp', port: 5432 }], action: 'allow' },
  { to: app('db'), action: 'deny' },
];

async function withApps(policy: readonly PolicyRule[]) {
  const setting = await setUp();
  const network = await setting.controller.createNetwork({ name: 'front', policy });
  const join = async (name: string) => {
    const endpoint = await network.createEndpoint({ name, labels: { app: name } });
    const sandbox = await setting.controller.createSandbox({ containerId: name });
    await endpoint.join(sandbox);
    for (const port of [80, 5432])
      setting.osl.kernel.serve(sandbox.namespacePath ?? '', { protocol: 'tcp', address: '0.0.0.0', port });
    return { endpoint, sandbox };
  };
  const [web, db, guest] = [await join('web'), await join('db'), await join('guest')];
  return { ...setting, network, web, db, guest };
}

/** Which of the ports of `db` a container reaches. */
function reached({ osl, controller }: Setting, from: string): number[] {
  const address = controller.network('front')?.endpoint('db')?.ipv4?.split('/')[0] ?? '';
  const path = controller.sandbox(from)?.namespacePath ?? '';
  return [80, 5432].filter((port) => osl.kernel.reaches(path, address, { protocol: 'tcp', port }).reaches);
}

describe('the policy of a network', () => {
  it('tells endpoints apart by their labels, and outlives a restart', async () => {
    const it = await withApps(SHUT);
    expect([reached(it, 'web'), reached(it, 'guest')]).toEqual([[5432], []]);
    const next = await restart(it, ['web', 'db', 'guest']);
    expect([reached(next, 'web'), reached(next, 'guest')]).toEqual([[5432], []]);
    expect(next.controller.network('front')?.policy).toEqual(SHUT);
    expect(next.controller.network('front')?.endpoint('web')?.labels).toEqual({ app: 'web' });
    await expectNothingToRepair(next);
  });

  it('is changed in place, as are the labels that it goes by', async () => {
    const it = await withApps([]);
    expect(reached(it, 'guest')).toEqual([80, 5432]);
    await it.network.update({ policy: SHUT });
    expect(reached(it, 'guest')).toEqual([]);
    await it.guest.endpoint.update({ labels: { app: 'web' } });
    expect(reached(it, 'guest')).toEqual([5432]);
    await expectNothingToRepair(it);
    await it.network.update({ policy: [] });
    expect(reached(it, 'guest')).toEqual([80, 5432]);
    await expectNothingToRepair(it);
  });

  it('shows beforehand what it would do, each rule with its reason', async () => {
    const it = await withApps([]);
    const text = await it.network.preview({ policy: SHUT });
    expect(text).toContain('policy[0] allow from app=web to app=db by tcp 5432');
    expect(text).toContain('policy[1] deny from all to app=db');
    expect(text).toContain('add element');
    expect(reached(it, 'guest')).toEqual([80, 5432]);
    expect(it.network.policy).toEqual([]);
  });

  it('is what it was when a change of it fails', async () => {
    const it = await withApps(SHUT);
    await expect(
      it.network.update({ policy: [], options: { 'com.docker.network.driver.mtu': 1400 } }),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(reached(it, 'guest')).toEqual([]);
    expect(it.network.policy).toEqual(SHUT);
  });

  it('leaves nothing behind when the network goes', async () => {
    const it = await withApps(SHUT);
    for (const { endpoint } of [it.web, it.db, it.guest]) await endpoint.delete({ force: true });
    await it.network.delete();
    await expectNothingToRepair(it);
    expect(JSON.stringify(it.osl.kernel.dump())).not.toContain('policy-');
  });

  it.for<readonly [field: string, policy: unknown, value: unknown]>([
    ['policy.0.action', [{ action: 'reject' }], 'reject'],
    ['policy.0.from', [{ from: 'somewhere', action: 'deny' }], 'somewhere'],
    ['policy.0.to', [{ to: [], action: 'deny' }], []],
    ['policy.1.from', [{ action: 'allow' }, { from: '10.0.0.1/8', action: 'deny' }], '10.0.0.1/8'],
    ['policy.0.ports.0.protocol', [{ ports: [{ protocol: 'gre' }], action: 'deny' }], 'gre'],
    ['policy.0.ports.0.port', [{ ports: [{ protocol: 'tcp', port: 0 }], action: 'deny' }], 0],
    ['policy.0.ports.0', [{ ports: [{ protocol: 'icmp', port: 8 }], action: 'deny' }], undefined],
    ['policy.0.ports.0', [{ ports: [{ protocol: 'tcp', port: 9, portEnd: 8 }], action: 'deny' }], undefined],
    ['policy[0].to', [{ to: { names: ['a.example'] }, action: 'allow' }], 'a.example'],
    ['policy[0].from', [{ from: { names: ['a.example'] }, action: 'allow' }], undefined],
    ['policy', Array.from({ length: 257 }, () => ({ action: 'deny' })), undefined],
  ])('refuses what it can not be, by field: %s', async ([field, policy, value]) => {
    const { controller } = await setUp();
    const error = await refusal(
      controller.createNetwork({ name: 'front', policy: policy as readonly PolicyRule[] }),
    );
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field });
    if (value !== undefined) expect(error.value).toEqual(value);
    expect(controller.networks()).toEqual([]);
  });

  it('has a limit, by name, on the rules that it comes to', async () => {
    const { controller } = await setUp();
    const many = Array.from({ length: 64 }, (_, i) => `10.0.0.${i}`);
    const error = await refusal(
      controller.createNetwork({
        name: 'front',
        policy: [{ from: many, to: [...many, 'host'], action: 'deny' }],
      }),
    );
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', limit: 'MAX_POLICY_COMBINATIONS', value: 4160 });
  });

  it('is refused where the driver holds nobody to it', async () => {
    const { controller } = await setUp();
    expect(
      await refusal(controller.createNetwork({ name: 'h', driver: 'host', policy: [{ action: 'deny' }] })),
    ).toMatchObject({ code: 'NOT_IMPLEMENTED', field: 'policy' });
  });

  it('may name what dns.allow lists, and what is below a domain of it', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({
      name: 'front',
      dns: { allow: ['registry.example', '*.apps.example'] },
      policy: [
        { to: { names: ['Registry.example', 'one.apps.example'] }, action: 'allow' },
        { to: 'outside', action: 'deny' },
      ],
    });
    expect(network.policy).toHaveLength(2);
    // The two change together, or not at all.
    const dns = { allow: ['other.example'] };
    expect(await refusal(network.update({ dns }))).toMatchObject({ field: 'policy[0].to' });
    expect(network.dns.allow).toEqual(['registry.example', '*.apps.example']);
    await network.update({ dns, policy: [{ to: { names: ['other.example'] }, action: 'allow' }] });
    expect(network.dns.allow).toEqual(['other.example']);
  });
});
