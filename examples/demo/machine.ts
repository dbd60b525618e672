import type { World } from './world.ts';

/** What the product may have to switch on in the host, and the demo puts back. */
const switches = [
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/forwarding',
  'net/ipv4/conf/all/route_localnet',
  'net/ipv6/conf/all/forwarding',
  'net/ipv6/conf/default/forwarding',
];

/** Everything that the demo could leave behind, one line for each thing. */
export async function dump(world: World, directory: string, table: string): Promise<readonly string[]> {
  const { host } = world.osl;
  const [links, addresses, routes, mounts, settings] = await Promise.all([
    host.links(),
    host.addresses(),
    host.routes(),
    world.mountsUnder(directory),
    readSettings(world),
  ]);
  return [
    ...links.map((link) => `link ${link.name} ${link.kind}${link.alias ? ` (${link.alias})` : ''}`),
    ...addresses.map(({ link, address }) => `address ${address} on ${link}`),
    ...routes.map(({ destination, gateway, link }) => `route ${destination} via ${gateway ?? link}`),
    ...mounts.map((path) => `namespace ${path}`),
    ...(await rulesOf(world, table)),
    ...[...settings].map(([key, value]) => `setting ${key} = ${value}`),
  ];
}

/** What is there after and was not before. */
export function leaked(before: readonly string[], after: readonly string[]): readonly string[] {
  const known = new Set(before);
  return after.filter((line) => !known.has(line));
}

export async function readSettings(world: World): Promise<ReadonlyMap<string, string>> {
  const settings = new Map<string, string>();
  for (const key of switches) {
    const value = await world.osl.host.sysctl(key);
    if (value !== undefined) settings.set(key, value);
  }
  return settings;
}

/** The product leaves forwarding on, since others may rely on it by then; the demo puts it back. */
export async function restoreSettings(world: World, former: ReadonlyMap<string, string>): Promise<void> {
  const now = await readSettings(world);
  for (const [key, value] of former) {
    if (now.get(key) !== value) await world.osl.host.setSysctl(key, value);
  }
}

/** What a packet filter that should be empty still holds. */
async function rulesOf(world: World, table: string): Promise<readonly string[]> {
  const firewall = await world.osl.host.firewall({ engine: 'nftables', table });
  try {
    const { orphaned } = await firewall.sync([], { dryRun: true });
    return orphaned.map((rule) => `rule of ${table}: ${rule}`);
  } finally {
    await firewall.close();
  }
}
