import { describe, expect, it } from 'vitest';
import type { Driver, DriverHost } from '../../../src/driverapi/index.ts';
import { DriverRegistry } from '../../../src/driverapi/index.ts';

function driver(name: string, close?: () => Promise<void>): Driver {
  const nothing = async () => undefined;
  return {
    name,
    capability: { dataScope: 'local', connectivityScope: 'local', usesIpam: false, resolvesNames: false },
    createNetwork: nothing,
    deleteNetwork: nothing,
    createEndpoint: async () => ({}),
    deleteEndpoint: nothing,
    join: async () => ({ link: { kind: 'none' } }),
    leave: nothing,
    restore: nothing,
    reconcile: async () => ({ missing: [], orphaned: [] }),
    ...(close && { close }),
  };
}

const host = {} as DriverHost;

describe('the driver registry', () => {
  it('gives the driver of a name', async () => {
    const registry = await DriverRegistry.create([() => driver('one'), async () => driver('two')], host);
    expect(registry.get('two').name).toBe('two');
    expect([...registry.drivers.keys()]).toEqual(['one', 'two']);
  });

  it('names the drivers that there are when asked for another', async () => {
    const registry = await DriverRegistry.create([() => driver('b'), () => driver('a')], host);
    expect(() => registry.get('c')).toThrow(expect.objectContaining({ code: 'NOT_FOUND', value: 'c' }));
    expect(() => registry.get('c')).toThrow('a, b');
  });

  it('refuses a second driver of a name, and a blank name', () => {
    const registry = new DriverRegistry();
    registry.register(driver('one'));
    expect(() => registry.register(driver('one'))).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }));
    expect(() => registry.register(driver(' '))).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('closes the drivers that it has when a later one can not be made', async () => {
    let closed = 0;
    const first = () =>
      driver('one', async () => {
        closed++;
      });
    await expect(DriverRegistry.create([first, first], host)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(closed).toBe(1);
  });

  it('closes every driver, also when one fails, and says so', async () => {
    let closed = 0;
    const registry = new DriverRegistry();
    registry.register(driver('bad', () => Promise.reject(new Error('stuck'))));
    registry.register(
      driver('good', async () => {
        closed++;
      }),
    );
    await expect(registry.close()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(closed).toBe(1);
  });
});
