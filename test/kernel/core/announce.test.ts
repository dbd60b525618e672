import { describe, expect, it, vi } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { hasProgram } from '../../support/daemon.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

/** An address told unasked, in whichever of the two forms (RFC 5227, section 3). */
const ARP =
  /ethertype ARP .*(who-has 10\.9\.7\.2 .*tell 10\.9\.7\.2|Announcement 10\.9\.7\.2|Reply 10\.9\.7\.2 is-at)/;
const canCapture = hasProgram('tcpdump');
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

  it.skipIf(!canCapture)(
    `is what goes over the wire when an endpoint comes to another sandbox${canCapture ? '' : ' (needs the program tcpdump)'}`,
    () =>
      withTestHost(async ({ osl, host, directory }) => {
        const controller = await NetworkController.open({ osl, runDir: `${directory}/run` });
        const network = await controller.createNetwork({
          name: 'front',
          ipv6: true,
          ipam: { pools: [{ subnet: '10.9.7.0/24' }, { subnet: 'fd00:97::/64' }] },
          options: {
            'com.docker.network.bridge.name': 'br-front',
            'com.docker.network.advertise_addr_nmsgs': '2',
            'com.docker.network.advertise_addr_ms': '100',
          },
        });
        const endpoint = await network.createEndpoint({ name: 'web' });
        const filter = ['arp', 'or', '(icmp6', 'and', 'ip6[40]', '=', '136)'];
        const capture = host.spawn('tcpdump', ['-l', '-n', '-e', '-i', 'br-front', ...filter], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let seen = '';
        let said = '';
        capture.stdout?.on('data', (data: Buffer) => {
          seen += data.toString();
        });
        capture.stderr?.on('data', (data: Buffer) => {
          said += data.toString();
        });
        try {
          await vi.waitFor(() => expect(said).toContain('listening on'), { timeout: 10_000 });
          for (const containerId of ['first', 'second']) {
            seen = '';
            const sandbox = await controller.createSandbox({ containerId });
            await endpoint.join(sandbox);
            const mac = endpoint.macAddress ?? '';
            const lines = () =>
              seen.split('\n').filter((line) => line.startsWith(mac, line.indexOf(' ') + 1));
            await vi.waitFor(
              () => {
                const told = lines();
                expect(
                  told.filter((line) => ARP.test(line)),
                  seen,
                ).toHaveLength(2);
                expect(
                  told.filter((line) => /neighbor advertisement, tgt is fd00:97::2/.test(line)),
                ).toHaveLength(2);
              },
              { timeout: 10_000 },
            );
            await endpoint.leave(sandbox);
          }
        } finally {
          capture.kill();
          for (const sandbox of controller.sandboxes()) await sandbox.delete();
          await controller.close();
        }
      }),
  );

  it('refuses a link that is not there, and what is no address', () =>
    withTestHost(async ({ host }) => {
      await expect(host.announce('nobody', '10.9.0.2')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(host.announce('lo', 'nonsense')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }));
});
