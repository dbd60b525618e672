import { BlockList } from 'node:net';
import type { Namespace, Osl, Route } from 'libnetwork/osl';

/** A machine next to the host, played by a namespace: what the rest of the network may reach, and may not. */
export interface Outside {
  readonly namespace: Namespace;
  readonly address: string;
  /** The host's address on the link between the two. */
  readonly hostAddress: string;
  remove(): Promise<void>;
}

/** Makes the neighbour at `path` and a link to it, with a /30 that is nowhere in the host's routes. */
export async function makeOutside(osl: Osl, path: string): Promise<Outside> {
  const link = `demo${process.pid}`;
  const [hostAddress, address] = freeTransit(await osl.host.routes('ipv4'));
  const namespace = await osl.createNamespace(path);
  const remove = async () => {
    await osl.host.deleteLink(link);
    await namespace.close();
    await osl.deleteNamespace(path);
  };
  try {
    await osl.host.apply([
      {
        op: 'createLink',
        name: link,
        link: { kind: 'veth', peer: { name: 'eth0', namespace } },
        up: true,
        alias: 'the outside of the libnetwork demo',
      },
      { op: 'addAddress', link, address: `${hostAddress}/30` },
    ]);
    await namespace.apply([
      { op: 'addAddress', link: 'eth0', address: `${address}/30` },
      { op: 'setLink', name: 'eth0', up: true },
      { op: 'addRoute', destination: 'default', family: 'ipv4', gateway: hostAddress, link: 'eth0' },
    ]);
  } catch (error) {
    await remove();
    throw error;
  }
  return { namespace, address, hostAddress, remove };
}

/** Two addresses of a /30 in 198.18.0.0/15 (RFC 2544, kept for tests between devices) that no route covers. */
function freeTransit(routes: readonly Route[]): readonly [host: string, outside: string] {
  const taken = new BlockList();
  for (const { destination } of routes) {
    const [network, length] = destination.split('/');
    if (network && length && length !== '0') taken.addSubnet(network, Number(length), 'ipv4');
  }
  for (let third = process.pid % 256, tries = 0; tries < 256; tries++, third = (third + 1) % 256) {
    const addresses = [0, 1, 2, 3].map((last) => `198.18.${third}.${last}`);
    const [, host, outside] = addresses;
    if (host && outside && !addresses.some((address) => taken.check(address))) return [host, outside];
  }
  throw new Error('the host has routes to all of 198.18.0.0/16: no room for the demo’s neighbour');
}
