import { describe, expect, it } from 'vitest';
import type { EndpointId, NetworkId, SandboxId } from '../../../src/ids.ts';
import { keyOf, ROOT, readRecord, type StoredRecord } from '../../../src/records.ts';
import { everything, refusal, restart, setUp } from './setting.ts';

const record = (facts: object): StoredRecord => ({ schema: 1, ...facts }) as StoredRecord;

describe('a record', () => {
  it('has a key of libnetwork’s shape, and is read back from it', () => {
    const id = 'a'.repeat(64);
    for (const [made, key] of [
      [record({ kind: 'network', id: id as NetworkId }), `docker/network/v1.0/network/${id}/`],
      [record({ kind: 'sandbox', id: id as SandboxId }), `docker/network/v1.0/sandbox/${id}/`],
      [
        record({ kind: 'endpoint', id: id as EndpointId, networkId: 'b' as NetworkId }),
        `docker/network/v1.0/endpoint/b/${id}/`,
      ],
    ] as const) {
      expect(keyOf(made)).toBe(key);
      expect(readRecord(key, made)).toBe(made);
    }
  });

  it.each([
    ['nothing', null],
    ['a text', 'network'],
    ['another kind', { schema: 1, kind: 'sandbox', id: 'x' }],
    ['no id', { schema: 1, kind: 'network' }],
    ['another version', { schema: 2, kind: 'network', id: 'x' }],
    ['no version', { kind: 'network', id: 'x' }],
  ])('is refused with its key where it is %s', (_, value) => {
    const key = `${ROOT}network/x/`;
    expect(() => readRecord(key, value)).toThrow(expect.objectContaining({ code: 'INTERNAL', field: key }));
    expect(() => readRecord(key, value)).toThrow(key);
  });

  it.each([
    { kind: 'network', part: 'name', value: 5 },
    { kind: 'network', part: 'state', value: 'lost' },
    { kind: 'network', part: 'labels', value: null },
    {
      kind: 'network',
      part: 'pools',
      value: [{ family: 'ipv4', poolId: 'p', subnet: '10/8', auxAddresses: {} }],
    },
    { kind: 'network', part: 'id', value: 'b'.repeat(64) },
    { kind: 'endpoint', part: 'ipv4', value: { poolId: 'p', address: '10.9.0.2' } },
    { kind: 'endpoint', part: 'ports', value: [{ protocol: 'tcp', container: '80' }] },
    { kind: 'endpoint', part: 'join', value: { sandboxId: 'x' } },
    { kind: 'sandbox', part: 'namespace', value: { kind: 'own' } },
    { kind: 'sandbox', part: 'files', value: undefined },
  ])(
    'with $value as the $part of a $kind keeps the controller from starting, and nothing is touched',
    async ({ kind, part, value }) => {
      const setting = await setUp();
      const { controller, world } = setting;
      const network = await controller.createNetwork({ name: 'front' });
      const sandbox = await controller.createSandbox({ containerId: 'c1' });
      await (await network.createEndpoint({ name: 'web' })).join(sandbox);
      const entry = (await world.entries()).find(({ key }) => key.startsWith(`${ROOT}${kind}/`));
      const key = String(entry?.key);
      await world.put(key, { ...(entry?.value as object), [part]: value });
      await controller.close();
      const before = await everything(setting);
      const error = await refusal(world.open());
      expect(error).toMatchObject({ code: 'INTERNAL', field: key });
      expect(error.message).toMatch(/is damaged: .*move it away to start anew$/);
      expect(await everything(setting)).toEqual(before);
    },
  );

  it('that can’t be read keeps the controller from starting, and is left as it is', async () => {
    const setting = await setUp();
    const { controller, world } = setting;
    const network = await controller.createNetwork({ name: 'front' });
    const key = `${ROOT}network/${network.id}/`;
    await world.put(key, { schema: 99, kind: 'network', id: network.id });
    expect(await refusal(restart(setting))).toMatchObject({ code: 'INTERNAL', field: key, value: 99 });
    expect((await world.entries()).find((entry) => entry.key === key)?.value).toMatchObject({ schema: 99 });
  });
});
