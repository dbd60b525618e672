import { describe, expect, it, vi } from 'vitest';
import { type Endpoint, NetworkController, type Sandbox } from '../../../src/index.ts';
import { formatAddress, fromBytes } from '../../../src/ip.ts';
import { labels } from '../../../src/labels.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { Capture } from '../../support/capture.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';
import { mirror, seenAs } from '../../support/mirror.ts';
import { meshDriver } from '../../unit/core/mesh.ts';

/** The neighbour outside, in both families; the host is `.1`. */
const OUTSIDE = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' };
const SUBNETS = {
  front: ['10.1.0.0/24', 'fd00:1::/64'],
  back: ['10.2.0.0/24', 'fd00:2::/64'],
} as const;

interface Machine {
  readonly controller: NetworkController;
  readonly host: Namespace;
  readonly box: Sandbox;
  /** Of the networks of the same names; `front` is joined with the higher priority. */
  readonly front: Endpoint;
  readonly back: Endpoint;
  join(which: 'front' | 'back'): Promise<void>;
  /** The addresses by which the neighbour sees the sandbox. */
  seen(): Promise<{ ipv4: string; ipv6: string }>;
}

/** A sandbox with endpoints on two bridges that leave its addresses as they are, and a neighbour that routes back. */
async function withMachine(test: TestHost, work: (machine: Machine) => Promise<void>): Promise<void> {
  const { osl, host, directory, create } = test;
  const outside = await create('outside');
  await host.apply([
    {
      op: 'createLink',
      name: 'uplink',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: outside } },
      up: true,
    },
    { op: 'addAddress', link: 'uplink', address: '192.0.2.1/24' },
    { op: 'addAddress', link: 'uplink', address: '2001:db8::1/64', noDad: true },
  ]);
  await outside.apply([
    { op: 'setLink', name: 'eth0', up: true },
    { op: 'addAddress', link: 'eth0', address: `${OUTSIDE.ipv4}/24` },
    { op: 'addAddress', link: 'eth0', address: `${OUTSIDE.ipv6}/64`, noDad: true },
    { op: 'addRoute', family: 'ipv4', destination: '10.0.0.0/8', gateway: '192.0.2.1' },
    { op: 'addRoute', family: 'ipv6', destination: 'fd00::/16', gateway: '2001:db8::1' },
  ]);
  await mirror(outside);
  const controller = await NetworkController.open({
    osl,
    runDir: `${directory}/run`,
    drivers: [meshDriver()],
  });
  try {
    const box = await controller.createSandbox({ containerId: 'c1' });
    const inside = await osl.openNamespace(box.namespacePath);
    const make = async (name: keyof typeof SUBNETS): Promise<Endpoint> => {
      const network = await controller.createNetwork({
        name,
        ipv6: true,
        ipam: { pools: SUBNETS[name].map((subnet) => ({ subnet })) },
        options: { [labels.bridge.enableIpMasquerade]: false },
      });
      return network.createEndpoint({ name });
    };
    const ends = { front: await make('front'), back: await make('back') };
    await work({
      controller,
      host,
      box,
      ...ends,
      join: (which) => ends[which].join(box, { priority: which === 'front' ? 10 : 0 }),
      seen: async () => ({
        ipv4: await seenAs(inside, OUTSIDE.ipv4),
        ipv6: await seenAs(inside, OUTSIDE.ipv6),
      }),
    });
    await inside.close();
  } finally {
    for (const sandbox of controller.sandboxes()) await sandbox.delete();
    await controller.close();
    await outside.close();
  }
}

const plain = ({ ipv4 = '', ipv6 = '' }: Endpoint) => ({
  ipv4: ipv4.split('/')[0] ?? '',
  ipv6: ipv6.split('/')[0] ?? '',
});

/**
 * The addresses that are told unasked, with the MAC address they are told to be at: those of ARP requests for the
 * sender's own (RFC 5227, 3), and of neighbour advertisements that answer nobody (RFC 4861, 7.2.6: to all nodes).
 */
function told({ packets }: Capture): string[] {
  return packets.flatMap(({ frame, protocol, payload }) => {
    const from = frame.subarray(6, 12).toString('hex');
    if (frame.readUInt16BE(12) === 0x0806) {
      const [sender, target] = [frame.subarray(28, 32), frame.subarray(38, 42)];
      return sender.equals(target) ? [`${formatAddress(fromBytes(sender))} at ${from}`] : [];
    }
    const toAll = frame.subarray(38, 54).equals(Buffer.from('ff020000000000000000000000000001', 'hex'));
    return protocol === 58 && payload[0] === 136 && toAll
      ? [`${formatAddress(fromBytes(payload.subarray(8, 24)))} at ${from}`]
      : [];
  });
}

const tellings = (endpoint: Endpoint): string[] => {
  const mac = endpoint.macAddress?.replaceAll(':', '') ?? '';
  return Object.values(plain(endpoint)).map((address) => `${address} at ${mac}`);
};

/** What goes over the host's links until the endpoint's addresses are told. */
async function whileTold({ host }: Machine, endpoint: Endpoint, act: () => Promise<void>): Promise<string[]> {
  const capture = new Capture(host.path);
  try {
    await act();
    await vi.waitFor(() => expect(told(capture)).toEqual(expect.arrayContaining(tellings(endpoint))), {
      timeout: 10_000,
    });
    return told(capture);
  } finally {
    capture.end();
  }
}

describe.skipIf(!canUseKernel)(`the default route of a sandbox on the real kernel ${whyNot}`, () => {
  it('moves with its endpoint: packets leave from the other network at once, and neighbours are told of who comes', async () => {
    await withTestHost((test) =>
      withMachine(test, async (machine) => {
        const { box, front, back, join, seen } = machine;
        await join('back');
        expect(await seen()).toEqual(plain(back));
        // The better one comes.
        const first = await whileTold(machine, front, () => join('front'));
        expect(first).not.toContain(tellings(back)[0]);
        expect(await seen()).toEqual(plain(front));
        // It leaves, and comes back.
        await front.leave(box);
        expect(await seen()).toEqual(plain(back));
        await whileTold(machine, front, () => join('front'));
        expect(await seen()).toEqual(plain(front));
        // The other one's leaving moves nothing.
        await back.leave(box);
        expect(await seen()).toEqual(plain(front));
      }),
    );
  });

  it('moves family by family, where one network has both and the better one only IPv4', async () => {
    await withTestHost((test) =>
      withMachine(test, async ({ controller, box, back, join, seen }) => {
        await join('back');
        const only4 = await controller.createNetwork({
          name: 'only4',
          ipam: { pools: [{ subnet: '10.3.0.0/24' }] },
          options: { [labels.bridge.enableIpMasquerade]: false },
        });
        const end = await only4.createEndpoint({ name: 'end' });
        await end.join(box, { priority: 10 });
        expect(await seen()).toEqual({ ipv4: plain(end).ipv4, ipv6: plain(back).ipv6 });
        await end.leave(box);
        expect(await seen()).toEqual(plain(back));
      }),
    );
  });

  it('falls back to docker_gwbridge when the last network with a way out is left, and comes back from there', async () => {
    await withTestHost((test) =>
      withMachine(test, async ({ controller, box, front, join, seen }) => {
        const mesh = await controller.createNetwork({
          name: 'mesh',
          driver: 'mesh',
          ipam: { pools: [{ subnet: '10.4.0.0/24' }] },
        });
        await join('front');
        await (await mesh.createEndpoint({ name: 'peer' })).join(box);
        expect(await seen()).toEqual(plain(front));
        await front.leave(box);
        expect(
          controller
            .network('docker_gwbridge')
            ?.endpoints()
            .map(({ name }) => name),
        ).toEqual(['gateway_c1']);
        // It has IPv4 alone, behind the host's address.
        expect(await seen()).toEqual({ ipv4: '192.0.2.1', ipv6: 'nobody' });
        await join('front');
        expect(await seen()).toEqual(plain(front));
        expect(controller.network('docker_gwbridge')?.endpoints()).toEqual([]);
      }),
    );
  });
});
