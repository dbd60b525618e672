/** A bridge driver on the real kernel, in a namespace that plays the host. */
import type { DriverNetwork, EndpointPlace, PortRequest } from '../../../src/driverapi/driver.ts';
import { builtinDrivers } from '../../../src/drivers/index.ts';
import { createIdm } from '../../../src/ipam/idm.ts';
import type { FirewallEngine } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { silent } from '../../../src/testing/driver-fixtures.ts';
import type { TestHost } from '../../support/kernel.ts';
import { endpoint, greet, join, neighbour, network } from '../../unit/drivers/setting.ts';

export const BOTH = { ipv4: true, ipv6: true };
export const port = (container: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  container,
  ...more,
});

export async function bridgeOn({ osl, host }: TestHost, engine: FirewallEngine = 'nftables') {
  const make = builtinDrivers.bridge;
  if (make === undefined) throw new Error('there is no bridge driver');
  const firewall = await host.firewall({ engine, table: `libnetwork-${process.pid}` });
  const instance = `test-${process.pid}`;
  const driver = await make({ osl, firewall, instance, runDir: '/run', numbers: createIdm, logger: silent });
  await driver.restore({ networks: [], endpoints: [] });
  return { osl, host, driver, firewall };
}

/** A network with a server on port 80 in one container, a second container, and a machine beside the host. */
export async function setUp(
  test: TestHost,
  ports: readonly PortRequest[],
  more: Partial<DriverNetwork> = {},
  engine: FirewallEngine = 'nftables',
) {
  const setting = await bridgeOn(test, engine);
  const outside = await neighbour(test.osl, test.path('neighbour'));
  const front = network(more);
  await setting.driver.validateNetwork?.(front);
  await setting.driver.createNetwork(front);
  const place: EndpointPlace = { network: front, endpoint: endpoint(front, 2, { ports }) };
  const web = await join(setting, place, test.path('web'));
  const other = await join(setting, { network: front, endpoint: endpoint(front, 3) }, test.path('other'));
  await serve(web, 'web');
  return { ...setting, outside, front, place, web, other };
}

async function serve(namespace: Namespace, name: string): Promise<void> {
  for (const address of ['0.0.0.0', '::']) await greet(namespace, address, 80, name);
}
