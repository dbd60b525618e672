/** The whole state of a fake kernel as plain data: no indexes, no random values, everything in a stable order. */
import { formatAddress } from '../../ip.ts';
import type { Table } from '../firewall/model.ts';
import type { FakeKernel } from './kernel.ts';
import { tablesOf } from './netns.ts';
import type { LinkState, NetnsState } from './state.ts';
import { initialSysctls } from './sysctls.ts';
import { viewAddress, viewNeighbour, viewRoute } from './views.ts';
import { dumpXfrm } from './xfrm.ts';

export interface KernelDump {
  /** By path, `host`, or `#<id>` for one that only handles hold. */
  readonly namespaces: Readonly<Record<string, NetnsDump>>;
  /** Paths with a file and no mount. */
  readonly halfMade: readonly string[];
  readonly processes: readonly string[];
}

export interface NetnsDump {
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly neighbours: readonly string[];
  /** What differs from a new namespace's. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly tables: readonly Table[];
  /** IPsec's associations and policies, without keys. */
  readonly xfrm: readonly string[];
  readonly sockets: readonly string[];
}

export function dump(kernel: FakeKernel): KernelDump {
  const named = kernel
    .namespaces()
    .map((netns) => [nameOf(kernel, netns), dumpNetns(kernel, netns)] as const);
  const mounted = new Set(kernel.namespaces().flatMap((netns) => kernel.pathsOf(netns)));
  return {
    namespaces: Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1))),
    halfMade: kernel.paths().filter((path) => !mounted.has(path)),
    processes: kernel
      .processes()
      .map((p) => `${p.file} ${p.args.join(' ')} in ${nameOf(kernel, p.namespace)}`),
  };
}

/** The name of a namespace for people: its path, or its number where only handles hold it. */
export function nameOf(kernel: FakeKernel, netns: NetnsState): string {
  const paths = kernel.pathsOf(netns);
  return paths.length > 0 ? paths.join(' ') : `#${netns.id}`;
}

function dumpNetns(kernel: FakeKernel, netns: NetnsState): NetnsDump {
  return {
    links: [...netns.links.values()].map((link) => dumpLink(kernel, link)).sort(),
    addresses: netns.addresses
      .map(viewAddress)
      .filter((a) => a.scope !== 'link')
      .map((a) => `${a.link} ${a.address}`)
      .sort(),
    routes: netns.routes
      .map(viewRoute)
      .filter((r) => r.destination !== 'fe80::/64')
      .map((r) => `${r.destination} via ${r.gateway ?? '-'} by ${r.link} scope ${r.scope} metric ${r.metric}`)
      .sort(),
    neighbours: netns.neighbours
      .map(viewNeighbour)
      .map((n) => `${n.link} ${n.family} ${n.address ?? '-'} ${n.macAddress}`)
      .sort(),
    sysctls: dumpSysctls(netns),
    tables: tablesOf(netns),
    xfrm: dumpXfrm(netns),
    sockets: [...netns.sockets]
      .map((s) => `${s.protocol} ${s.family} ${s.address ? formatAddress(s.address) : '*'} ${s.port}`)
      .sort(),
  };
}

function dumpLink(kernel: FakeKernel, link: LinkState): string {
  const other = link.peer ?? link.parent;
  const facts = [
    `${link.name} ${link.kind} ${link.up ? 'up' : 'down'} mtu ${link.mtu} group ${link.group}`,
    link.macChosen ? `mac ${link.mac}` : undefined,
    link.alias === undefined ? undefined : `alias ${link.alias}`,
    link.master === undefined ? undefined : `in ${link.master.name}`,
    other === undefined ? undefined : `with ${nameOf(kernel, other.home)} ${other.name}`,
    link.hairpin ? 'hairpin' : undefined,
    link.filterBridged ? 'filtered' : undefined,
  ];
  return facts.filter((fact) => fact !== undefined).join(' ');
}

function dumpSysctls(netns: NetnsState): Record<string, string> {
  const initial = new Map<string, string>();
  initialSysctls(undefined, initial);
  const changed = [...netns.sysctls]
    .filter(
      ([key, value]) =>
        value !== (initial.get(key) ?? initial.get(key.replace(/\/conf\/[^/]+\//, '/conf/default/'))),
    )
    .filter(([key]) => !/^net\/ipv6\/conf\/[^/]+\/mtu$/.test(key));
  return Object.fromEntries(changed.sort(([a], [b]) => (a < b ? -1 : 1)));
}
