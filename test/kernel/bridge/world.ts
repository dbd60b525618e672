/** The driver suite's world on the real kernel: a namespace plays the host, and nothing reaches the machine's own. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxOsl } from '../../../src/osl/linux/index.ts';
import { onHost } from '../../../src/osl/onhost.ts';
import type { Link, Namespace } from '../../../src/osl/osl.ts';
import type { DriverWorld, OpenWorld } from '../../../src/testing/driver.ts';

/** The directory of each world's machine: a process's end leaves it, `removeMachines` does not. */
const machines = new Map<DriverWorld, string>();

export async function openKernelWorld({ after }: OpenWorld): Promise<DriverWorld> {
  const known = after && machines.get(after);
  // A process that has ended watches its rules no more.
  await after?.firewall.close();
  const directory = known ?? (await mkdtemp(join(tmpdir(), `libnetwork-driver-${process.pid}-`)));
  const kernel = linuxOsl();
  const path = (name: string) => join(directory, name);
  const host = await kernel.createNamespace(path('host'));
  const osl = onHost(kernel, host);
  const sandboxes = new Map<string, Namespace>();
  const world: DriverWorld = {
    osl,
    runDir: directory,
    firewall: await host.firewall({ engine: 'nftables', table: 'libnetwork-contract' }),
    async sandbox(name) {
      const known = sandboxes.get(name) ?? (await osl.createNamespace(path(name)));
      sandboxes.set(name, known);
      return known;
    },
    async endSandbox(name) {
      await sandboxes.get(name)?.close();
      sandboxes.delete(name);
      await osl.deleteNamespace(path(name));
      await emptied(host);
    },
    dump: () => dump([host, ...sandboxes.values()]),
    close: () => kernel.close(),
  };
  machines.set(world, directory);
  return world;
}

/** Removes the namespaces and files of all worlds. */
export async function removeMachines(): Promise<void> {
  const kernel = linuxOsl();
  for (const directory of new Set(machines.values())) {
    for (const each of [directory, join(directory, 'overlay')])
      for (const path of await kernel.listNamespaces(each)) await kernel.deleteNamespace(path);
    await rm(directory, { recursive: true, force: true });
  }
  await kernel.close();
  machines.clear();
}

/** The kernel takes the links of a namespace that ended away in the background. */
async function emptied(host: Namespace): Promise<void> {
  const end = Date.now() + 5_000;
  while (Date.now() < end) {
    const veths = (await host.links()).filter(({ kind }) => kind === 'veth');
    if (veths.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('the links of a namespace that ended are still there');
}

async function dump(namespaces: readonly Namespace[]): Promise<unknown> {
  return Promise.all(
    namespaces.map(async (namespace) => ({
      links: (await namespace.links()).map(showLink).sort(),
      addresses: (await namespace.addresses())
        .filter(({ scope }) => scope !== 'link')
        .map(({ link, address }) => `${link} ${address}`)
        .sort(),
      routes: (await namespace.routes())
        .filter(({ destination }) => destination !== 'fe80::/64')
        .map(({ destination, gateway, link }) => `${destination} ${gateway} ${link}`)
        .sort(),
      sockets: lines(await output(namespace, 'ss', ['-Hlntu'])),
      rules: lines((await output(namespace, 'nft', ['list', 'ruleset'])).replaceAll(LATCH, '')),
      forwarding: [
        await namespace.sysctl('net/ipv4/ip_forward'),
        await namespace.sysctl('net/ipv6/conf/all/forwarding'),
      ],
    })),
  );
}

function showLink({ name, kind, up, mtu, alias, master, group }: Link): string {
  return `${name} ${kind} ${up ? 'up' : 'down'} ${mtu} ${alias} ${master} ${group}`;
}

/** A latch is its process's, and ends with it: no part of what a restart finds. */
const LATCH = /^table inet \S+-latch \{.*\n(.*\n)*?\}\n/gm;

function lines(text: string): string[] {
  return text.split('\n').sort();
}

/** What a program of the machine's says. */
async function output(namespace: Namespace, file: string, args: readonly string[]): Promise<string> {
  const child = namespace.spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const parts: Buffer[] = [];
  child.stdout?.on('data', (part: Buffer) => parts.push(part));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}`);
  return Buffer.concat(parts).toString();
}
