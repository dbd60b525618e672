import { describe, expect, it, vi } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

const NEW_MAC = '02:42:aa:bb:cc:dd';

/** Where the host believes an address to be. */
async function believed(host: Namespace, address: string): Promise<string | undefined> {
  return (await host.neighbours('near')).find((entry) => entry.address === address)?.macAddress;
}

describe.skipIf(!canUseKernel)(`announcing an address on the real kernel ${whyNot}`, () => {
  it.each([
    ['10.9.0.1/24', '10.9.0.2/24'],
    ['fd00:9::1/64', 'fd00:9::2/64'],
  ])('tells the neighbour of %s where %s is now', (near, far) =>
    withTestHost(async ({ host, create }) => {
      const inside = await create('inside');
      await host.apply([
        {
          op: 'createLink',
          name: 'near',
          link: { kind: 'veth', peer: { name: 'far', macAddress: '02:42:00:00:00:02', namespace: inside } },
          up: true,
        },
        { op: 'addAddress', link: 'near', address: near, noDad: true },
      ]);
      await inside.apply([
        { op: 'addAddress', link: 'far', address: far, noDad: true },
        { op: 'setLink', name: 'far', up: true },
      ]);
      const address = far.split('/')[0] ?? '';
      expect(await host.ping(address)).toEqual(expect.any(Number));
      expect(await believed(host, address)).toBe('02:42:00:00:00:02');
      await inside.apply([{ op: 'setLink', name: 'far', macAddress: NEW_MAC }]);
      await inside.announce('far', address);
      await vi.waitFor(async () => expect(await believed(host, address)).toBe(NEW_MAC));
      await inside.close();
    }),
  );

  it('refuses a link that is not there, and what is no address', () =>
    withTestHost(async ({ host }) => {
      await expect(host.announce('nobody', '10.9.0.2')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(host.announce('lo', 'nonsense')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }));
});
