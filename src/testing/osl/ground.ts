/** What every test of the osl contract stands on: fresh handles and namespaces, cleaned up also when it fails. */
import { expect, it } from 'vitest';
import { LibnetworkError } from '../../errors.ts';
import type { Family } from '../../ip.ts';
import type { Change, CreateLink, LinkKind, Namespace, Osl } from '../../osl/osl.ts';

export interface OslSuite {
  /** Of the implementation, for the tests' titles. */
  readonly name: string;
  /**
   * A new handle to the kernel. All of them see the same namespaces, as processes do. `spawn` must find the
   * programs `echo`, `sleep`, and `false`.
   */
  readonly open: () => Osl | Promise<Osl>;
  /** A directory of the tests' own for the paths of namespaces. It need not exist. */
  readonly scratch: () => string;
  /** Leaves an empty file at a path of an existing directory, as a crash before the mount does. */
  readonly leaveFile: (path: string) => void | Promise<void>;
  /** Tests that the implementation does not pass, by title, and why: they are skipped, and their titles say so. */
  readonly deviations?: Readonly<Record<string, string>>;
  /** Kinds of links, and what else, that the kernel was built without. */
  readonly lacks?: readonly (LinkKind | 'vlan filtering' | 'esp')[];
}

/** What a test gets. `host` only plays the host: the machine's own namespace is never touched. */
export interface Ground {
  readonly osl: Osl;
  readonly host: Namespace;
  readonly directory: string;
  readonly path: (name: string) => string;
  /** A new namespace at `path(name)`. */
  readonly create: (name: string) => Promise<Namespace>;
  /** One more handle, as of a second process. */
  readonly open: () => Promise<Osl>;
}

export type Promised = (title: string, keep: (ground: Ground) => Promise<void>) => void;

let grounds = 0;

/** Registers tests that each get a ground of their own. */
export function promisesOf(suite: OslSuite): Promised {
  return (title, keep) => {
    const reason = suite.deviations?.[title];
    if (reason !== undefined) it.skip(`${title} (not kept: ${reason})`, () => undefined);
    else it(title, async () => await onGround(suite, keep));
  };
}

async function onGround(suite: OslSuite, keep: (ground: Ground) => Promise<void>): Promise<void> {
  const directory = `${suite.scratch()}/${++grounds}`;
  const path = (name: string): string => `${directory}/${name}`;
  const osl = await suite.open();
  const opened = [osl];
  const open = async (): Promise<Osl> => {
    const more = await suite.open();
    opened.push(more);
    return more;
  };
  try {
    const create = async (name: string): Promise<Namespace> => {
      const namespace = await osl.createNamespace(path(name));
      // Addresses count at once: IPv6 forwards nothing by a link whose link-local address is still being checked.
      for (const scope of ['all', 'default'])
        await namespace.setSysctl(`net/ipv6/conf/${scope}/accept_dad`, '0');
      return namespace;
    };
    await keep({ osl, host: await create('host'), directory, path, create, open });
  } finally {
    const cleaner = await suite.open();
    for (const left of await cleaner.listNamespaces(directory)) await cleaner.deleteNamespace(left);
    for (const handle of [...opened, cleaner]) await handle.close();
  }
}

/** The facts of the error that the changes end with; `undefined` when all were done. */
export async function refusal(
  work: Promise<unknown>,
): Promise<{ code: string; errno: string | undefined; operation: string | undefined } | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    const { code, errno, operation } = error;
    return { code, errno, operation };
  }
}

/** Carriers, ends of namespaces, and addresses follow a little later: asks again until the answer is right. */
export async function eventually<T>(ask: () => Promise<T>, expected: unknown): Promise<void> {
  await expect.poll(ask, { timeout: 5000, interval: 5 }).toEqual(expected);
}

export const bridge = (name: string, more: Partial<CreateLink> = {}): CreateLink => ({
  op: 'createLink',
  name,
  link: { kind: 'bridge' },
  ...more,
});

export const veth = (
  name: string,
  peer: string,
  inside?: Namespace,
  more: Partial<CreateLink> = {},
): CreateLink => ({
  op: 'createLink',
  name,
  link: { kind: 'veth', peer: { name: peer, namespace: inside } },
  ...more,
});

export const up = (name: string): Change => ({ op: 'setLink', name, up: true });

/** The same network in both families: everything that is promised is promised for both. */
export const nets = [
  {
    family: 'ipv4',
    any: '0.0.0.0',
    loopback: '127.0.0.1',
    subnet: '10.9.0.0/24',
    length: 24,
    at: (n: number) => `10.9.0.${n}`,
    elsewhere: '10.88.0.0/16',
    far: '192.0.2.7',
  },
  {
    family: 'ipv6',
    any: '::',
    loopback: '::1',
    subnet: 'fd00:9::/64',
    length: 64,
    at: (n: number) => `fd00:9::${n}`,
    elsewhere: 'fd00:88::/32',
    far: '2001:db8::7',
  },
] as const satisfies readonly { family: Family; [key: string]: unknown }[];
export type Net = (typeof nets)[number];

export const address = (net: Net, link: string, n: number): Change => ({
  op: 'addAddress',
  link,
  address: `${net.at(n)}/${net.length}`,
  noDad: true,
});

/** A link carries packets: it runs, and has the link-local address that IPv6 asks its neighbours from. */
export async function ready(net: Net, namespace: Namespace, link: string): Promise<void> {
  await eventually(async () => (await namespace.link(link))?.running, true);
  if (net.family === 'ipv6')
    await eventually(async () => (await namespace.addresses(link)).some((a) => a.scope === 'link'), true);
}

/** Two namespaces with a cable between: `eth0` with number 1 here and 2 there. */
export async function cable(net: Net, here: Namespace, there: Namespace): Promise<void> {
  await here.apply([veth('eth0', 'eth0', there), address(net, 'eth0', 1), up('eth0')]);
  await there.apply([address(net, 'eth0', 2), up('eth0')]);
  await ready(net, here, 'eth0');
  await ready(net, there, 'eth0');
}

/** Namespaces on a bridge `br0` of the host, whose own number is 1; theirs are 2, 3, ... */
export async function bridged(net: Net, ground: Ground, names: readonly string[]): Promise<Namespace[]> {
  const { host } = ground;
  await host.apply([bridge('br0'), address(net, 'br0', 1), up('br0')]);
  const inside: Namespace[] = [];
  for (const [i, name] of names.entries()) {
    const namespace = await ground.create(name);
    inside.push(namespace);
    await host.apply([veth(`v-${name}`, 'eth0', namespace, { master: 'br0', up: true })]);
    await namespace.apply([
      address(net, 'eth0', i + 2),
      up('eth0'),
      { op: 'addRoute', destination: 'default', family: net.family, gateway: net.at(1) },
    ]);
    await ready(net, namespace, 'eth0');
    await ready(net, host, 'br0');
  }
  return inside;
}
