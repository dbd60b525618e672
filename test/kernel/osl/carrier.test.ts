import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

const GATEWAY = '10.44.0.1';
/** Less than the second after which a lost question is asked again. */
const AT_ONCE_MS = 700;
const ROUNDS = 30;

/** Takes the kernel's lock for links again and again, each time for long: a deletion waits with it. */
async function keepTheKernelBusy(namespace: Namespace, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await namespace.apply([{ op: 'createLink', name: 'v', link: { kind: 'veth', peer: { name: 'p' } } }]);
    await namespace.deleteLink('v');
  }
}

describe.skipIf(!canUseKernel)(`a veth that is brought up ${whyNot}`, () => {
  // By IPv4 alone: an IPv6 address answers only when the kernel's own work on it is done (addrconf_dad_work), however
  // soon its link carries.
  it('carries the very first packet', async () => {
    await withTestHost(async ({ host, create }) => {
      await host.apply([
        { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
        { op: 'addAddress', link: 'br0', address: `${GATEWAY}/24` },
      ]);
      const busy = { namespaces: await Promise.all(['x', 'y', 'z'].map(create)), over: false };
      const others = busy.namespaces.map((namespace) => keepTheKernelBusy(namespace, () => busy.over));
      const answered: boolean[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const namespace = await create(`c${round}`);
        const peer = { name: 'eth0', namespace };
        const name = `v${round}`;
        await host.apply([{ op: 'createLink', name, link: { kind: 'veth', peer }, master: 'br0', up: true }]);
        await namespace.apply([
          { op: 'addAddress', link: 'eth0', address: '10.44.0.2/24' },
          { op: 'setLink', name: 'eth0', up: true },
        ]);
        answered.push((await namespace.ping(GATEWAY, { timeoutMs: AT_ONCE_MS })) !== undefined);
        await host.deleteLink(name);
      }
      busy.over = true;
      await Promise.all(others);
      expect(answered).toEqual(Array(ROUNDS).fill(true));
    });
  });
});
