import { describe, expect, it } from 'vitest';
import type { EndpointLimits, EndpointPlace } from '../../../src/driverapi/driver.ts';
import { vethName } from '../../../src/ids.ts';
import type { FakeKernel } from '../../../src/osl/fake/index.ts';
import { bridgeSetting, endpoint, join, network } from './setting.ts';

const BOTH = { ingress: 80_000_000, egress: 8_000_000 };
const limited = (place: EndpointPlace, limits: EndpointLimits | undefined): EndpointPlace => ({
  ...place,
  endpoint: { ...place.endpoint, limits },
});

async function joined(limits?: EndpointLimits) {
  const setting = await bridgeSetting();
  const front = network();
  await setting.driver.createNetwork(front);
  const place = limited({ network: front, endpoint: endpoint(front) }, limits);
  await join(setting, place, '/run/c1');
  const veth = vethName(place.endpoint.id);
  return { ...setting, front, place, veth, ifb: veth.replace(/^v/, 'i') };
}

/** The driver of the next process, with what the records say. */
async function restarted(kernel: FakeKernel, place: EndpointPlace) {
  const setting = await bridgeSetting(kernel);
  const state = { networks: [place.network], endpoints: [{ ...place, joined: true }] };
  await setting.driver.restore(state);
  return { ...setting, state };
}

describe('the limits of an endpoint', () => {
  it('hold both ways from its join on, and leave nothing behind', async () => {
    const it = await joined(BOTH);
    expect(await it.host.bandwidth(it.veth)).toEqual({
      send: { bitsPerSecond: 80_000_000 },
      receiveBy: it.ifb,
    });
    expect(await it.host.bandwidth(it.ifb)).toMatchObject({ send: { bitsPerSecond: 8_000_000 } });
    expect(await it.host.link(it.ifb)).toMatchObject({
      kind: 'ifb',
      up: true,
      alias: `libnetwork:test:${it.place.endpoint.id}`,
    });
    await it.driver.leave(it.place);
    expect((await it.host.links()).map(({ kind }) => kind).sort()).toEqual(['bridge', 'loopback']);
  });

  it('take no link of their own where only one way, or none, is limited', async () => {
    const one = await joined({ ingress: 8_000 });
    expect(await one.host.bandwidth(one.veth)).toEqual({
      send: { bitsPerSecond: 8_000 },
      receiveBy: undefined,
    });
    expect(await one.host.link(one.ifb)).toBeUndefined();
    const none = await joined();
    expect(await none.host.bandwidth(none.veth)).toEqual({ send: undefined, receiveBy: undefined });
  });

  it('can be changed and taken away while it is joined', async () => {
    const it = await joined();
    await it.driver.limit?.(limited(it.place, BOTH));
    expect(await it.host.bandwidth(it.veth)).toEqual({
      send: { bitsPerSecond: 80_000_000 },
      receiveBy: it.ifb,
    });
    await it.driver.limit?.(limited(it.place, { egress: 16_000 }));
    expect(await it.host.bandwidth(it.veth)).toEqual({ send: undefined, receiveBy: it.ifb });
    await it.driver.limit?.(limited(it.place, {}));
    expect(await it.host.bandwidth(it.veth)).toEqual({ send: undefined, receiveBy: undefined });
    expect(await it.host.link(it.ifb)).toBeUndefined();
  });

  it('come back when somebody takes them away, and are only missed in a dry run', async () => {
    const it = await joined(BOTH);
    await it.host.deleteLink(it.ifb);
    await it.host.setBandwidth(it.veth, {});
    const { driver, host, state } = await restarted(it.osl.kernel, it.place);
    const missing = [
      'limits of endpoint web2 in network front: what goes to it is not limited as it should be',
    ];
    expect((await driver.reconcile(state, { dryRun: true })).missing).toEqual(
      expect.arrayContaining(missing),
    );
    expect(await host.link(it.ifb)).toBeUndefined();
    await driver.reconcile(state);
    expect(await host.bandwidth(it.veth)).toEqual({ send: { bitsPerSecond: 80_000_000 }, receiveBy: it.ifb });
    expect(await host.bandwidth(it.ifb)).toMatchObject({ send: { bitsPerSecond: 8_000_000 } });
    expect((await driver.reconcile(state)).missing).toEqual([]);
  });

  it('that no record names are taken away, of joined endpoints and of those that are gone', async () => {
    const it = await joined(BOTH);
    const forgotten = limited(it.place, undefined);
    const next = await restarted(it.osl.kernel, forgotten);
    await next.driver.reconcile(next.state);
    expect(await next.host.bandwidth(it.veth)).toEqual({ send: undefined, receiveBy: undefined });
    expect(await next.host.link(it.ifb)).toBeUndefined();
    const again = await joined(BOTH);
    const last = await bridgeSetting(again.osl.kernel);
    await last.driver.reconcile({ networks: [], endpoints: [] });
    expect((await last.host.links()).map(({ kind }) => kind)).toEqual(['loopback']);
  });

  it('are refused where the name that they need is taken', async () => {
    const it = await joined();
    await it.host.apply([{ op: 'createLink', name: it.ifb, link: { kind: 'ifb' } }]);
    await expect(it.driver.limit?.(limited(it.place, BOTH))).rejects.toMatchObject({
      code: 'CONFLICT',
      value: it.ifb,
    });
  });
});
