/** Two hosts on one wire, each a namespace with an overlay driver of its own, and containers on them. */
import type { Driver, DriverNetwork, Peer } from '../../../src/driverapi/driver.ts';
import type { Keyring } from '../../../src/driverapi/keyring.ts';
import { overlayDriver } from '../../../src/drivers/overlay/overlay.ts';
import { FAMILIES, type Family } from '../../../src/ip.ts';
import { createIdm } from '../../../src/ipam/idm.ts';
import { labels } from '../../../src/labels.ts';
import type { Change, Namespace, Osl } from '../../../src/osl/osl.ts';
import { endpointOf, networkOf, silent } from '../../../src/testing/driver-fixtures.ts';
import type { TestHost } from '../../support/kernel.ts';

export interface Container {
  readonly namespace: Namespace;
  readonly peer: Peer;
}

export interface OverlayHost {
  readonly name: string;
  readonly namespace: Namespace;
  readonly driver: Driver;
  readonly address: string;
  /** The n-th address of the network's (first, unless told) subnets. */
  run(n: number, segment?: number, network?: DriverNetwork): Promise<Container>;
}

export interface World {
  readonly network: DriverNetwork;
  readonly hosts: readonly [OverlayHost, OverlayHost];
  /** Tells each host of the other's containers. */
  introduce(containers: readonly (readonly [OverlayHost, Container])[]): Promise<void>;
}

export const UNDERLAY: Readonly<Record<Family, (n: number) => string>> = {
  ipv4: (n) => `192.0.2.${n}`,
  ipv6: (n) => `2001:db8::${n}`,
};

export async function buildWorld(
  test: TestHost,
  underlay: Family,
  more: Partial<DriverNetwork> = {},
): Promise<World> {
  const network = overlayNetwork(1, more);
  const made: OverlayHost[] = [];
  const [one, two] = await wiredHosts(test);
  for (const [i, namespace] of [one, two].entries())
    made.push(await overlayHost(test, network, namespace, `h${i + 1}`, UNDERLAY[underlay](i + 1)));
  const [first, second] = made;
  if (!first || !second) throw new Error('there are two hosts');
  return {
    network,
    hosts: [first, second],
    introduce: async (containers) => {
      for (const host of made) {
        const set = containers.filter(([owner]) => owner !== host).map(([, { peer }]) => peer);
        await host.driver.updatePeers?.(network, { set, removed: [] });
      }
    },
  };
}

/** The n-th network that a driver may be given. */
export function overlayNetwork(n: number, more: Partial<DriverNetwork> = {}): DriverNetwork {
  const open = () => Promise.reject(new Error('unused'));
  const subject = { name: 'overlay', factory: overlayDriver, open };
  const options = { [labels.overlay.vxlanIds]: '5001,5002' };
  return networkOf(subject, n, { options, ...more });
}

/** Two namespaces that reach each other in both families, by `UNDERLAY`. */
export async function wiredHosts(test: TestHost): Promise<readonly [Namespace, Namespace]> {
  const [one, two] = [await test.create('one'), await test.create('two')];
  for (const namespace of [one, two]) await namespace.setSysctl('net/ipv6/conf/default/accept_dad', '0');
  await one.apply([
    { op: 'createLink', name: 'eth0', link: { kind: 'veth', peer: { name: 'eth0', namespace: two } } },
  ]);
  for (const [i, namespace] of [one, two].entries()) {
    const n = i + 1;
    await namespace.apply([
      { op: 'addAddress', link: 'eth0', address: `${UNDERLAY.ipv4(n)}/24`, noDad: true },
      { op: 'addAddress', link: 'eth0', address: `${UNDERLAY.ipv6(n)}/64`, noDad: true },
      { op: 'setLink', name: 'eth0', up: true },
    ]);
  }
  return [one, two];
}

/** A host with a driver that has made a network, and runs containers on it, unless told on another one. */
export async function overlayHost(
  test: TestHost,
  network: DriverNetwork,
  namespace: Namespace,
  name: string,
  address: string,
  keyring?: Keyring,
): Promise<OverlayHost> {
  const osl: Osl = { ...test.osl, host: namespace };
  const firewall = await namespace.firewall({ engine: 'none', table: 'libnetwork-overlay' });
  const parts = { osl, firewall, instance: 'test', runDir: test.path(`run-${name}`), logger: silent };
  const driver = await overlayDriver({ ...parts, address, numbers: createIdm, keyring });
  await driver.restore({ networks: [], endpoints: [] });
  await driver.createNetwork(network);
  const run: OverlayHost['run'] = async (n, segment = 0, on = network) => {
    const sandbox = await test.create(`${name}-${on.name}-c${n}-${segment}`);
    const at = { ...on, ipv4: on.ipv4.slice(segment), ipv6: on.ipv6.slice(segment) };
    const endpoint = endpointOf(at, n, { macAddress: `02:42:0a:09:0${segment}:0${n}` });
    const { routes = [] } = await driver.join({
      network: on,
      endpoint,
      namespace: sandbox,
      interfaceName: 'eth0',
    });
    const changes: Change[] = FAMILIES.flatMap((family) => {
      const cidr = endpoint[family];
      return cidr === undefined ? [] : [{ op: 'addAddress', link: 'eth0', address: cidr, noDad: true }];
    });
    changes.push({ op: 'setLink', name: 'eth0', up: true });
    for (const { destination, gateway } of routes)
      changes.push({
        op: 'addRoute',
        destination,
        gateway,
        family: destination.includes(':') ? 'ipv6' : 'ipv4',
      });
    await sandbox.apply(changes);
    const { id, ipv4, ipv6, macAddress = '' } = endpoint;
    return { namespace: sandbox, peer: { id, macAddress, ipv4, ipv6, via: address } };
  };
  return { name, namespace, driver, address, run };
}

export const plain = (cidr: string | undefined): string => cidr?.split('/')[0] ?? '';
