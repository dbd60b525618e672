/** The keys under `/proc/sys/net` that a network stack reads, with the values of a new namespace on Linux 6. */
import { invalid, LibnetworkError } from '../../errors.ts';
import { FAMILIES, type Family } from '../../ip.ts';
import { takesIpv6 } from './limits.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NetnsState } from './state.ts';

const machine: Readonly<Record<string, string>> = {
  'net/bridge/bridge-nf-call-arptables': '1',
  'net/bridge/bridge-nf-call-ip6tables': '1',
  'net/bridge/bridge-nf-call-iptables': '1',
  'net/core/somaxconn': '4096',
  'net/ipv4/icmp_echo_ignore_all': '0',
  'net/ipv4/ip_default_ttl': '64',
  'net/ipv4/ip_local_port_range': '32768\t60999',
  'net/ipv4/ip_local_reserved_ports': '',
  'net/ipv4/ip_nonlocal_bind': '0',
  'net/ipv4/ip_unprivileged_port_start': '1024',
  'net/ipv4/ping_group_range': '1\t0',
  'net/ipv4/neigh/default/gc_thresh1': '128',
  'net/ipv4/neigh/default/gc_thresh2': '512',
  'net/ipv4/neigh/default/gc_thresh3': '1024',
  'net/ipv6/bindv6only': '0',
  'net/ipv6/ip_nonlocal_bind': '0',
  'net/netfilter/nf_conntrack_max': '262144',
};

const perLink: Readonly<Record<'ipv4' | 'ipv6', Readonly<Record<string, string>>>> = {
  ipv4: {
    accept_local: '0',
    accept_redirects: '1',
    arp_announce: '0',
    arp_filter: '0',
    arp_ignore: '0',
    arp_notify: '0',
    forwarding: '0',
    log_martians: '0',
    promote_secondaries: '0',
    proxy_arp: '0',
    route_localnet: '0',
    rp_filter: '0',
    send_redirects: '1',
  },
  ipv6: {
    accept_dad: '1',
    accept_ra: '1',
    accept_ra_defrtr: '1',
    accept_redirects: '1',
    addr_gen_mode: '0',
    autoconf: '1',
    dad_transmits: '1',
    disable_ipv6: '0',
    forwarding: '0',
    hop_limit: '64',
    keep_addr_on_down: '0',
    mtu: '1280',
    proxy_ndp: '0',
    use_tempaddr: '0',
  },
};

/** Keys whose value is text; every other one takes a whole number. */
const textual = /(?:_range|_ports)$/;
/** `ip_forward` is another name of one setting. */
const alias: Readonly<Record<string, string>> = { 'net/ipv4/ip_forward': 'net/ipv4/conf/all/forwarding' };

/**
 * Fills the table of a new namespace. IPv4's `all` and `default` come from the host's, IPv6's do not
 * (`net.core.devconf_inherit_init_net` 0).
 */
export function initialSysctls(host: NetnsState | undefined, into: Map<string, string>): void {
  for (const [key, value] of Object.entries(machine)) into.set(key, value);
  for (const family of ['ipv4', 'ipv6'] as const) {
    for (const [name, value] of Object.entries(perLink[family])) {
      for (const scope of ['all', 'default']) {
        const key = `net/${family}/conf/${scope}/${name}`;
        into.set(key, (family === 'ipv4' ? host?.sysctls.get(key) : undefined) ?? value);
      }
    }
  }
}

/** A new link gets the namespace's `default` values; those of IPv6 while its MTU is large enough for it. */
export function addLinkSysctls(link: LinkState): void {
  addFamily(link, 'ipv4');
  if (takesIpv6(link)) addFamily(link, 'ipv6');
}

function addFamily(link: LinkState, family: Family): void {
  const { sysctls } = link.home;
  for (const name of Object.keys(perLink[family])) {
    const value = name === 'mtu' ? String(link.mtu) : sysctls.get(`net/${family}/conf/default/${name}`);
    sysctls.set(`net/${family}/conf/${link.name}/${name}`, value ?? '0');
  }
}

/** The settings of IPv6 come and go with the MTU that it needs. */
export function fitSysctls(link: LinkState): void {
  const { sysctls } = link.home;
  const there = sysctls.has(`net/ipv6/conf/${link.name}/disable_ipv6`);
  if (there && !takesIpv6(link)) for (const key of linkKeys(link, ['ipv6'])) sysctls.delete(key);
  if (!there && takesIpv6(link)) addFamily(link, 'ipv6');
}

export function removeLinkSysctls(link: LinkState): void {
  for (const key of linkKeys(link)) link.home.sysctls.delete(key);
}

/** Carries a link's settings to its new name. */
export function renameLinkSysctls(link: LinkState, newName: string): void {
  for (const key of linkKeys(link)) {
    const value = link.home.sysctls.get(key);
    if (value === undefined) continue;
    link.home.sysctls.delete(key);
    link.home.sysctls.set(key.replace(`/conf/${link.name}/`, `/conf/${newName}/`), value);
  }
}

function linkKeys(link: LinkState, families: readonly Family[] = FAMILIES): string[] {
  return families.flatMap((family) =>
    Object.keys(perLink[family]).map((name) => `net/${family}/conf/${link.name}/${name}`),
  );
}

export function readSysctl(netns: NetnsState, key: string): string | undefined {
  checkKey(key);
  return netns.sysctls.get(alias[key] ?? key);
}

/** The keys that a write changes, with their new value. The caller acts on `disable_ipv6`. */
export function writeSysctl(netns: NetnsState, key: string, value: string): readonly string[] {
  checkKey(key);
  const real = alias[key] ?? key;
  if (!netns.sysctls.has(real))
    throw new LibnetworkError('NOT_FOUND', `there is no sysctl ${key}`, {
      field: 'key',
      value: key,
      errno: 'ENOENT',
    });
  const text = value.trim();
  if (!textual.test(real) && !/^-?\d+$/.test(text)) throw new Refusal('EINVAL');
  const changed = [real, ...followers(netns, real)];
  for (const name of changed) netns.sysctls.set(name, text);
  return changed;
}

/** `all` of some settings writes every link's too (inet_forward_change, addrconf_fixup_forwarding). */
function followers(netns: NetnsState, key: string): string[] {
  const match = /^net\/(ipv4|ipv6)\/conf\/all\/(forwarding|disable_ipv6)$/.exec(key);
  if (match === null) return [];
  const [, family, name] = match;
  const scopes = ['default', ...[...netns.links.values()].map((link) => link.name)];
  return scopes.map((scope) => `net/${family}/conf/${scope}/${name}`).filter((k) => netns.sysctls.has(k));
}

function checkKey(key: string): void {
  const parts = key.split('/');
  if (
    parts[0] !== 'net' ||
    parts.length < 2 ||
    parts.some((part) => part === '' || part === '..' || part === '.')
  )
    throw invalid('key', key, 'must be a key under net/, with slashes');
}

/** A link's setting, joined with that of `all` as the kernel joins it for this key. */
export function linkSetting(link: LinkState, family: 'ipv4' | 'ipv6', name: string): number {
  const of = (scope: string): number =>
    Number(link.home.sysctls.get(`net/${family}/conf/${scope}/${name}`) ?? '0');
  const joined = family === 'ipv4' && name !== 'forwarding';
  return joined ? Math.max(of('all'), of(link.name)) : of(link.name);
}

export function flag(netns: NetnsState, key: string): boolean {
  return Number(netns.sysctls.get(alias[key] ?? key) ?? '0') !== 0;
}
