/** The files of a sandbox: `/etc/hosts` and `/etc/resolv.conf`, computed from its records. */
import { rm } from 'node:fs/promises';
import type { Core } from './core.ts';
import { kernelFileError } from './fileerrors.ts';
import { isGatewayEndpoint } from './gateway.ts';
import {
  addEntries,
  buildHosts,
  entriesOf,
  type HostEntry,
  ownNames,
  parseHosts,
  removeEntries,
} from './hostfiles/etchosts.ts';
import {
  editInPlace,
  type HostPaths,
  readHostResolvConf,
  writeInPlace,
  writeResolvConf,
} from './hostfiles/files.ts';
import { type Generated, generate } from './hostfiles/resolvconf.ts';
import { FAMILIES } from './ip.ts';
import { plain } from './pools.ts';
import type { SandboxRecord } from './records.ts';
import { RESOLVER_ADDRESS } from './resolver/resolver.ts';
import type { SandboxEntry } from './sandbox.ts';
import { together } from './undo.ts';

/** Where a sandbox's files are: where the caller says, else in a directory of its own under `runDir`. */
export function sandboxFiles(
  runDir: string,
  id: string,
  hosts: string | undefined,
  resolvConf: string | undefined,
): SandboxRecord['files'] {
  const directory = `${runDir}/files/${id.slice(0, 12)}`;
  return {
    hosts: hosts ?? `${directory}/hosts`,
    resolvConf: resolvConf ?? `${directory}/resolv.conf`,
    directory: hosts === undefined || resolvConf === undefined ? directory : undefined,
  };
}

/** Where the host's name servers are listed. A list that the caller names has no second one behind it. */
export function hostPaths({ hostResolvConf: path }: Core): HostPaths {
  return path === undefined ? {} : { main: path, systemd: path };
}

/** What the sandbox's `resolv.conf` says, and whom its name server asks. */
export async function resolvConfOf(core: Core, record: SandboxRecord): Promise<Generated> {
  const hostNetwork = record.namespace.kind === 'host';
  return generate({
    hostFile: await readHostResolvConf(hostPaths(core)),
    ...record.dns,
    embedded: hostNetwork ? undefined : RESOLVER_ADDRESS,
    hostNetwork,
  });
}

/** Writes both files of a new sandbox. @throws FORBIDDEN, naming the path, where it can't be written */
export async function writeNewFiles(entry: SandboxEntry, resolvConf: string): Promise<void> {
  const { files } = entry.record;
  entry.hostLines = ownLines(entry);
  const hosts = addEntries(fixedHosts(entry.record), entry.hostLines);
  // Both ended before a failure is told: what undoes it must not meet a file that is just being made.
  await together('write the files', [
    writeInPlace(files.hosts, hosts).catch(kernelFileError('write', files.hosts, 'hostsPath')),
    writeResolvConf(files.resolvConf, resolvConf).catch(
      kernelFileError('write', files.resolvConf, 'resolvConfPath'),
    ),
  ]);
}

/**
 * Brings both files up to date after settings they follow from have changed from `before`. What others wrote stays:
 * their lines of the hosts file, and a `resolv.conf` that somebody edited. May be repeated after a failure.
 */
export async function rewriteFiles(
  entry: SandboxEntry,
  before: SandboxRecord,
  resolvConf: string,
): Promise<void> {
  const { hosts } = entry.record.files;
  const own = ownLines(entry);
  const lines = [...extraLines(entry.record), ...own];
  const former = [...extraLines(before), ...entry.hostLines, ...lines];
  await Promise.all([
    // A file that somebody has emptied is begun anew.
    editInPlace(hosts, (content) =>
      addEntries(removeEntries(content || buildHosts({}), former), lines),
    ).catch(kernelFileError('write', hosts)),
    writeServers(entry, resolvConf),
  ]);
  entry.hostLines = own;
}

/** Writes `resolv.conf` alone. */
export async function writeServers({ record: { files } }: SandboxEntry, resolvConf: string): Promise<void> {
  await writeResolvConf(files.resolvConf, resolvConf).catch(
    kernelFileError('write', files.resolvConf, 'resolvConfPath'),
  );
}

/** Lets the sandbox's name server ask other servers from now on. */
export function followServers({ resolver }: SandboxEntry, { upstreams, ndotsSet }: Generated): void {
  resolver?.follow(upstreams, ndotsSet);
}

/** Brings the sandbox's own lines in `/etc/hosts` up to date; lines that others wrote stay. */
export async function updateHosts(entry: SandboxEntry): Promise<void> {
  const before = entry.hostLines;
  const after = ownLines(entry);
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  const { hosts } = entry.record.files;
  await editInPlace(hosts, (content) => addEntries(removeEntries(content, before), after)).catch(
    kernelFileError('write', hosts, 'hostsPath'),
  );
  entry.hostLines = after;
}

/** What `/etc/hosts` says whatever the sandbox is joined to. */
function fixedHosts(record: SandboxRecord): string {
  return buildHosts({ extraHosts: extraLines(record) });
}

function extraLines({ extraHosts }: SandboxRecord): HostEntry[] {
  return Object.entries(extraHosts).map(([name, address]) => ({ address, names: [name] }));
}

/** The sandbox's host name for each of its addresses. */
function ownLines({ record, endpoints }: SandboxEntry): HostEntry[] {
  const names = ownNames(record.hostname, record.domainname);
  if (names.length === 0) return [];
  const shown = [...endpoints.values()].filter((endpoint) => !isGatewayEndpoint(endpoint));
  return shown.flatMap(({ record: { join, ...held } }) =>
    FAMILIES.flatMap((family) => {
      const address = held[family]?.address;
      return join === undefined || address === undefined ? [] : [{ address: plain(address), names }];
    }),
  );
}

/**
 * Takes up the own lines of a sandbox that was there before this process. Those of endpoints that have not outlived
 * that go.
 */
export async function adoptHosts(core: Core, entry: SandboxEntry): Promise<void> {
  const { record } = entry;
  entry.hostLines = ownLines(entry);
  const known = new Set([...parseHosts(fixedHosts(record)), ...entry.hostLines].map(textOf));
  const names = ownNames(record.hostname, record.domainname);
  const isLeft = (each: HostEntry) => !known.has(textOf(each));
  try {
    await editInPlace(record.files.hosts, (content) =>
      removeEntries(content, entriesOf(content, names).filter(isLeft)),
    );
  } catch (error) {
    core.logger.warn(`${record.files.hosts} may name addresses that are gone`, { error });
  }
}

function textOf({ address, names }: HostEntry): string {
  return [address, ...names].join(' ');
}

/** Removes what was made under `runDir`; files at the caller's paths are the caller's. */
export async function removeFiles(record: SandboxRecord): Promise<void> {
  const { directory, resolvConf } = record.files;
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  if (directory === undefined || !resolvConf.startsWith(`${directory}/`))
    await rm(`${resolvConf}.hash`, { force: true });
}
