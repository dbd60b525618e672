/**
 * A world of the example's own: a namespace that plays the host, one that plays the outside and answers everything,
 * and a controller on that host. Nothing here touches the machine's network.
 */
import { mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxOsl, type Network, NetworkController } from 'libnetwork';
import { type Change, type Namespace, type Osl, onHost } from 'libnetwork/osl';
import { leftovers } from '../runtime/leftovers.ts';
import { Runc } from '../runtime/runc.ts';
import { ALLOWED, BRIDGE, EVIL, HOST, METADATA, NEIGHBOUR, OUTSIDE, STRANGER } from './addresses.ts';
import { Witness } from './witness.ts';

const PREFIX = 'libnetwork-egress-';

export class Lab {
  readonly directory: string;
  readonly controller: NetworkController;
  readonly host: Namespace;
  readonly witness = new Witness();
  readonly #osl: Osl;
  #closing: Promise<void> | undefined;

  private constructor(directory: string, osl: Osl, controller: NetworkController) {
    this.directory = directory;
    this.#osl = osl;
    this.host = osl.host;
    this.controller = controller;
  }

  static async open(firewall: 'nftables' | 'iptables'): Promise<Lab> {
    const kernel = linuxOsl();
    await sweep(kernel);
    const directory = await realpath(await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`)));
    try {
      const osl = onHost(kernel, await kernel.createNamespace(join(directory, 'host')));
      const hostResolvConf = join(directory, 'resolv.conf');
      await writeFile(hostResolvConf, `nameserver ${OUTSIDE.ipv4}\n`);
      const options = { osl, firewall, instance: `egress-${process.pid}`, hostResolvConf };
      const controller = await NetworkController.open({ ...options, runDir: join(directory, 'run') });
      const lab = new Lab(directory, osl, controller);
      await lab.#buildOutside(await kernel.createNamespace(join(directory, 'outside')));
      return lab;
    } catch (error) {
      await clear(kernel, directory);
      await kernel.close();
      throw error;
    }
  }

  /** The namespace of a container, to serve or look from. */
  async namespaceOf(container: string): Promise<Namespace> {
    return this.#osl.openNamespace(this.controller.sandbox(container)?.namespacePath ?? '');
  }

  /** The host's link-local address on the sandbox's network, as the sandbox writes it. */
  async linkLocal(): Promise<string> {
    const addresses = await this.host.addresses(BRIDGE);
    const found = addresses.find(({ address }) => address.startsWith('fe80:'));
    return `${found?.address.split('/')[0]}%eth0`;
  }

  /** A container on the same network as the sandbox, and one on another with a published port. */
  async addOthers(network: Network): Promise<void> {
    const other = await this.controller.createNetwork({
      name: 'other',
      ipam: { pools: [{ subnet: '10.67.0.0/24' }] },
    });
    const published = [{ protocol: 'tcp', container: 443, host: STRANGER.published }] as const;
    for (const [on, name, options] of [
      [network, NEIGHBOUR.name, { ipv4: NEIGHBOUR.ipv4, ipv6: NEIGHBOUR.ipv6 }],
      [other, 'stranger', { ipv4: STRANGER.ipv4, ports: published }],
    ] as const) {
      const endpoint = await on.createEndpoint({ name, ...options });
      await endpoint.join(await this.controller.createSandbox({ containerId: name }));
      const namespace = await this.namespaceOf(name);
      for (const address of ['0.0.0.0', '::']) {
        await this.witness.web(namespace, address, 443, name);
        await this.witness.udp(namespace, address, 5353, name);
      }
    }
    for (const address of ['0.0.0.0', '::'])
      for (const port of [22, 443]) await this.witness.web(this.host, address, port, 'host');
  }

  /** May be called again, also while it is under way. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.witness.close();
    for (const sandbox of this.controller.sandboxes()) await sandbox.delete();
    for (const network of this.controller.networks()) await network.delete();
    await this.controller.close();
    await clear(this.#osl, this.directory);
    await this.#osl.close();
  }

  async #buildOutside(outside: Namespace): Promise<void> {
    const places = [
      ...ALLOWED.map(({ name, ipv4, ipv6 }) => ({ name, addresses: [ipv4, ipv6] })),
      { name: EVIL.name, addresses: [EVIL.ipv4, EVIL.ipv6] },
      { name: 'metadata', addresses: [METADATA.ipv4, METADATA.ipv6] },
      { name: 'name server', addresses: [OUTSIDE.ipv4, OUTSIDE.ipv6] },
    ];
    const add = (address: string, length = ''): Change => {
      const whole = length || (address.includes(':') ? '/128' : '/32');
      return { op: 'addAddress', link: 'uplink', address: `${address}${whole}`, noDad: true };
    };
    const peer = { name: 'uplink', namespace: outside };
    await this.host.apply([
      { op: 'setLink', name: 'lo', up: true },
      { op: 'createLink', name: 'uplink', link: { kind: 'veth', peer }, up: true },
      add(HOST.ipv4, '/24'),
      add(HOST.ipv6, '/64'),
    ]);
    await outside.apply([
      { op: 'setLink', name: 'uplink', up: true },
      add(OUTSIDE.ipv4, '/24'),
      add(OUTSIDE.ipv6, '/64'),
      ...places.slice(0, -1).flatMap(({ addresses }) => addresses.map((each) => add(each))),
    ]);
    // All that is nowhere else is outside, also what no router of this world would carry.
    await this.host.apply([
      { op: 'addRoute', destination: 'default', family: 'ipv4', gateway: OUTSIDE.ipv4, link: 'uplink' },
      { op: 'addRoute', destination: 'default', family: 'ipv6', gateway: OUTSIDE.ipv6, link: 'uplink' },
    ]);
    for (const { name, addresses } of places)
      for (const address of addresses) {
        for (const port of [53, 80, 443]) await this.witness.web(outside, address, port, name);
        await this.witness.udp(outside, address, 443, name);
      }
    for (const address of [OUTSIDE.ipv4, OUTSIDE.ipv6]) await this.witness.names(outside, address);
  }
}

/** What is left of an example that was killed: its directory tells its number. */
async function sweep(osl: Osl): Promise<void> {
  for (const directory of await leftovers(PREFIX)) await clear(osl, directory);
}

async function clear(osl: Osl, directory: string): Promise<void> {
  const runc = new Runc(join(directory, 'runc'));
  for (const { id } of await runc.list()) await runc.delete(id);
  const below = await readdir(directory, { recursive: true, withFileTypes: true });
  const directories = below.filter((each) => each.isDirectory());
  for (const at of [directory, ...directories.map((each) => join(each.parentPath, each.name))])
    for (const path of await osl.listNamespaces(at)) await osl.deleteNamespace(path);
  await rm(directory, { recursive: true, force: true });
}
