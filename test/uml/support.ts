import { expect } from 'vitest';
import { LibnetworkError } from '../../src/errors.ts';
import { LinuxNamespace } from '../../src/osl/linux/index.ts';
import type { Change, LinkSpec, Namespace, XfrmState } from '../../src/osl/osl.ts';
import { canUseKernel, withTestHost } from '../support/kernel.ts';

/** Inside `npm run test:uml` nothing is skipped: what is missing there fails. */
const inside = process.env.LIBNETWORK_UML === '1';

/** What these tests need and many kernels are built without. */
const PARTS = {
  ipvlan: { kind: 'ipvlan', parent: 'p', mode: 'l2' },
  vlan: { kind: 'vlan', parent: 'p', id: 7 },
  dummy: { kind: 'dummy' },
  'vlan filtering': { kind: 'bridge', vlanFiltering: true },
} as const satisfies Record<string, LinkSpec>;

/** Why tests of encryption can't run on this kernel; empty when they can. */
export async function whyNoEsp(): Promise<string> {
  if (inside) return '';
  if (!canUseKernel) return '(needs root; or: npm run test:uml)';
  return withTestHost(({ host }) =>
    linux(host)
      .applyXfrm([{ op: 'addState', state: association('10.9.0.1', '10.9.0.2') }])
      .then(
        () => '',
        (error: unknown) => {
          if (LibnetworkError.is(error) && error.errno !== 'EPERM')
            return `(this kernel has no ESP: ${error.errno}; npm run test:uml)`;
          throw error;
        },
      ),
  );
}

/** What the real kernel offers beyond the contract. */
export function linux(namespace: Namespace): LinuxNamespace {
  if (namespace instanceof LinuxNamespace) return namespace;
  throw new Error('not on the real kernel');
}

/** How packets from one address to another are encrypted. */
export function association(source: string, destination: string, more: Partial<XfrmState> = {}): XfrmState {
  return {
    source,
    destination,
    spi: 0x1000,
    reqid: 7,
    mode: 'transport',
    key: Uint8Array.from({ length: 20 }, (_, i) => i),
    icvBits: 128,
    replayWindow: 32,
    esn: false,
    ...more,
  };
}

/** Why tests of a kind of link can't run on this kernel; empty when they can. */
export async function whyNot(part: keyof typeof PARTS): Promise<string> {
  if (inside) return '';
  if (!canUseKernel) return '(needs root; or: npm run test:uml)';
  return withTestHost(async ({ host }) => {
    await host.apply([{ op: 'createLink', name: 'p', link: { kind: 'veth', peer: { name: 'q' } } }]);
    const made = host.apply([{ op: 'createLink', name: 'x', link: PARTS[part] }]);
    return made.then(
      () => '',
      (error: unknown) => {
        if (LibnetworkError.is(error) && error.errno === 'EOPNOTSUPP')
          return `(this kernel has no ${part}: npm run test:uml)`;
        throw error;
      },
    );
  });
}

/** One network in each family. */
export const nets = [
  { family: 'ipv4', at: (net: number, host: number) => `10.9.${net}.${host}`, length: 24 },
  { family: 'ipv6', at: (net: number, host: number) => `fd00:9:0:${net}::${host}`, length: 64 },
] as const;

export type Net = (typeof nets)[number];

export function address(link: string, net: Net, number: number, host: number): Change {
  return { op: 'addAddress', link, address: `${net.at(number, host)}/${net.length}`, noDad: true };
}

export const up = (name: string): Change => ({ op: 'setLink', name, up: true });

/** A pair of links between two namespaces, both up. */
export async function wire(
  [here, name]: readonly [Namespace, string],
  [there, peer]: readonly [Namespace, string],
): Promise<void> {
  await here.apply([
    { op: 'createLink', name, link: { kind: 'veth', peer: { name: peer, namespace: there } }, up: true },
  ]);
  await there.apply([up(peer)]);
}

/** Waits until an address answers: carriers and IPv6's own addresses come a little after the links. */
export async function reaches(from: Namespace, to: string): Promise<void> {
  const ask = async () => (await from.ping(to, { timeoutMs: 500 })) !== undefined;
  await expect.poll(ask, { timeout: 10_000, interval: 50, message: `${to} answers` }).toBe(true);
}

/** That an address does not answer. What would make it answer must be proven to work, beside or before. */
export async function doesNotReach(from: Namespace, to: string): Promise<void> {
  const answer = from.ping(to, { timeoutMs: 300 }).catch((error: unknown) => {
    if (LibnetworkError.is(error, 'UNAVAILABLE')) return undefined;
    throw error;
  });
  expect(await answer).toBeUndefined();
}
