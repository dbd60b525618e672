/** `/etc/hosts` as text: build, add, remove, update. Pure; `files.ts` reads and writes. Source: hosts(5). */
import { isIP } from 'node:net';
import { invalid } from '../errors.ts';

/** One line: an address and its names, the canonical one first. */
export interface HostEntry {
  readonly address: string;
  readonly names: readonly string[];
}

export interface HostsOptions {
  readonly hostname?: string | undefined;
  readonly domainname?: string | undefined;
  /** The sandbox's own addresses, which its host name gets; without prefix length. */
  readonly addresses?: readonly string[] | undefined;
  readonly extraHosts?: readonly HostEntry[] | undefined;
  /** The sandbox's `lo` has `::1`; false leaves out every IPv6 line. Default true. */
  readonly ipv6?: boolean | undefined;
}

const LOCAL4: HostEntry = { address: '127.0.0.1', names: ['localhost'] };
const LOCAL6: readonly HostEntry[] = [
  { address: '::1', names: ['localhost', 'ip6-localhost', 'ip6-loopback'] },
  { address: 'fe00::', names: ['ip6-localnet'] },
  { address: 'ff00::', names: ['ip6-mcastprefix'] },
  { address: 'ff02::1', names: ['ip6-allnodes'] },
  { address: 'ff02::2', names: ['ip6-allrouters'] },
];

/**
 * The hosts file of a sandbox: loopback names, extra hosts in their order, then the own addresses.
 * @throws INVALID_ARGUMENT for a text that is no address or no host name
 */
export function buildHosts(options: HostsOptions): string {
  const names = ownNames(options.hostname, options.domainname);
  const own = names.length === 0 ? [] : (options.addresses ?? []).map((address) => ({ address, names }));
  const entries = [LOCAL4, ...LOCAL6, ...(options.extraHosts ?? []), ...own];
  const kept = options.ipv6 === false ? entries.filter((entry) => isIP(entry.address) === 4) : entries;
  return kept.map(line).join('');
}

/** The names of a sandbox's own line: `host.domain host`, or `host` alone. */
export function ownNames(hostname: string | undefined, domainname?: string): readonly string[] {
  if (!hostname) return [];
  const full = domainname ? `${hostname}.${domainname}` : hostname;
  const [first = full] = full.split('.', 1);
  return first === full ? [full] : [full, first];
}

/** Adds lines at the end. @throws INVALID_ARGUMENT as `buildHosts` */
export function addEntries(content: string, entries: readonly HostEntry[]): string {
  if (entries.length === 0) return content;
  const start = content === '' || content.endsWith('\n') ? content : `${content}\n`;
  return start + entries.map(line).join('');
}

/** Removes the lines of these addresses; with `names`, only those with exactly these names. Comments stay. */
export function removeEntries(
  content: string,
  entries: readonly { readonly address: string; readonly names?: readonly string[] | undefined }[],
): string {
  const isRemoved = (text: string) => {
    const [address, ...names] = words(text);
    return entries.some(
      (it) => it.address === address && (it.names === undefined || it.names.join(' ') === names.join(' ')),
    );
  };
  return eachLine(content, (text) => (isRemoved(text) ? undefined : text));
}

/** Gives the lines whose first name is `hostname`, or starts with it and a dot, another address. */
export function updateAddress(content: string, address: string, hostname: string): string {
  checkEntry({ address, names: [hostname] });
  return eachLine(content, (text) => {
    const [old, first] = words(text);
    if (old === undefined || first === undefined) return text;
    return first === hostname || first.startsWith(`${hostname}.`) ? text.replace(old, address) : text;
  });
}

/** The lines with an address, comments left out. */
export function parseHosts(content: string): readonly HostEntry[] {
  return content.split('\n').flatMap((text) => {
    const [address, ...names] = words(text);
    return address === undefined || names.length === 0 ? [] : [{ address, names }];
  });
}

/** The lines that `addEntries` has written for these names; none that differs in as much as a blank. */
export function entriesOf(content: string, names: readonly string[]): readonly HostEntry[] {
  const there = new Set(content.split('\n'));
  const wanted = names.join(' ');
  return parseHosts(content).filter(
    (entry) => entry.names.join(' ') === wanted && there.has(`${entry.address}\t${wanted}`),
  );
}

function words(text: string): readonly string[] {
  return (text.split('#', 1)[0] ?? '').split(/\s+/).filter((word) => word !== '');
}

/** Maps lines; `undefined` drops one together with its newline. */
function eachLine(content: string, map: (text: string) => string | undefined): string {
  const lines = content.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return lines.map((text) => map(text) ?? '').join('');
}

function line(entry: HostEntry): string {
  checkEntry(entry);
  return `${entry.address}\t${entry.names.join(' ')}\n`;
}

/** Names are one printable word each: a blank, a newline or a `#` would forge lines or comments. */
function checkEntry(entry: HostEntry): void {
  if (isIP(entry.address) === 0)
    throw invalid('hosts.address', entry.address, 'must be an IPv4 or IPv6 address');
  if (entry.names.length === 0) throw invalid('hosts.names', entry.names, 'must have at least one name');
  for (const name of entry.names) checkHostname('hosts.names', name);
}

/** @throws INVALID_ARGUMENT for an empty name, a longer one than 253 bytes, or one with blanks, `#` or control codes */
export function checkHostname(field: string, name: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control codes are what is refused here
  if (!/^[^\s#\x00-\x1f\x7f]{1,253}$/.test(name))
    throw invalid(
      field,
      name,
      'must be a host name of 1 to 253 characters without blanks, # or control codes',
    );
}
