/** A network with a policy, another network, and a machine beside the host, on any kernel. */
import type { Driver, DriverNetwork, EndpointPlace, PolicyRule } from '../../../../src/driverapi/driver.ts';
import { builtinDrivers } from '../../../../src/drivers/index.ts';
import { FAMILIES, type Family } from '../../../../src/ip.ts';
import { createIdm } from '../../../../src/ipam/idm.ts';
import { labels } from '../../../../src/labels.ts';
import type { Firewall, FirewallEngine } from '../../../../src/osl/firewall/firewall.ts';
import type { Namespace, Osl } from '../../../../src/osl/osl.ts';
import { silent } from '../../../../src/testing/driver-fixtures.ts';
import { endpoint, greet, greetUdp, join, neighbour, network } from '../../../unit/drivers/setting.ts';

/** The endpoints of the network with the policy, each with the label `app` of its own name. */
export const APPS = ['web', 'db', 'guest'] as const;
/** Everybody who asks and is asked. */
export const EVERYBODY = [...APPS, 'far', 'host', 'outside'] as const;
export type Who = (typeof EVERYBODY)[number];
export const PORTS = [80, 81] as const;

export const ADDRESSES: Readonly<Record<Who, Readonly<Record<Family, string>>>> = {
  web: { ipv4: '10.9.0.2', ipv6: 'fd00:9::2' },
  db: { ipv4: '10.9.0.3', ipv6: 'fd00:9::3' },
  guest: { ipv4: '10.9.0.4', ipv6: 'fd00:9::4' },
  far: { ipv4: '10.8.0.2', ipv6: 'fd00:8::2' },
  host: { ipv4: '10.9.0.1', ipv6: 'fd00:9::1' },
  outside: { ipv4: '192.0.2.2', ipv6: '2001:db8::2' },
};

export interface PolicyWorld {
  readonly osl: Osl;
  readonly driver: Driver;
  readonly firewall: Firewall;
  readonly front: DriverNetwork;
  readonly places: Readonly<Record<(typeof APPS)[number], EndpointPlace>>;
  readonly namespaces: ReadonlyMap<Who, Namespace>;
  setPolicy(policy: readonly PolicyRule[]): Promise<void>;
}

/** Of both families nothing is hidden: only the policy decides. */
const open = {
  [labels.bridge.gatewayMode.ipv4]: 'nat-unprotected',
  [labels.bridge.gatewayMode.ipv6]: 'nat-unprotected',
};

/** As an administrator says who wants no bridge's packets filtered: ours are all the same, where a policy asks for it. */
export async function hideBridged({ host }: Osl): Promise<void> {
  for (const tables of ['iptables', 'ip6tables'])
    await host.setSysctl(`net/bridge/bridge-nf-call-${tables}`, '0');
}

export async function buildPolicyWorld(
  osl: Osl,
  path: (name: string) => string,
  engine: FirewallEngine,
): Promise<PolicyWorld> {
  const make = builtinDrivers.bridge;
  if (make === undefined) throw new Error('there is no bridge driver');
  const firewall = await osl.host.firewall({ engine, table: 'libnetwork-policytest' });
  const driver = await make({
    osl,
    firewall,
    instance: 'policytest',
    runDir: '/run',
    numbers: createIdm,
    logger: silent,
  });
  await driver.restore({ networks: [], endpoints: [] });
  const outside = await neighbour(osl, path('outside'));
  const front = network({ options: open });
  const back = network({
    name: 'back',
    options: open,
    ipv4: [{ subnet: '10.8.0.0/24', gateway: '10.8.0.1/24', auxAddresses: {} }],
    ipv6: [{ subnet: 'fd00:8::/64', gateway: 'fd00:8::1/64', auxAddresses: {} }],
  });
  for (const each of [front, back]) await driver.createNetwork(each);
  const namespaces = new Map<Who, Namespace>([
    ['host', osl.host],
    ['outside', outside],
  ]);
  const place = (of: DriverNetwork, name: string, host: number): EndpointPlace => ({
    network: of,
    endpoint: endpoint(of, host, { name, labels: { app: name } }),
  });
  const places = { web: place(front, 'web', 2), db: place(front, 'db', 3), guest: place(front, 'guest', 4) };
  for (const app of APPS) namespaces.set(app, await join({ driver, osl }, places[app], path(app)));
  namespaces.set('far', await join({ driver, osl }, place(back, 'far', 2), path('far')));
  for (const family of FAMILIES)
    for (const [destination, gateway] of Object.entries(
      family === 'ipv4'
        ? { '10.9.0.0/24': '192.0.2.1', '10.8.0.0/24': '192.0.2.1' }
        : { 'fd00:9::/64': '2001:db8::1', 'fd00:8::/64': '2001:db8::1' },
    ))
      await outside.apply([{ op: 'addRoute', destination, family, gateway }]);
  for (const [name, namespace] of namespaces)
    for (const port of PORTS) {
      for (const address of ['0.0.0.0', '::']) await greet(namespace, address, port, name);
      await greetUdp(namespace, port, name);
    }
  return {
    osl,
    driver,
    firewall,
    front,
    places,
    namespaces,
    setPolicy: (policy) => driver.updateNetwork?.({ ...front, policy }) ?? Promise.resolve(),
  };
}
