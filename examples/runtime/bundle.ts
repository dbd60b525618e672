/** What `runc` starts a container from: a root file system, and a `config.json` of the OCI runtime specification. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Container {
  readonly id: string;
  readonly command: readonly string[];
  readonly rootfs: string;
  /** Of this file system's paths, by their places in the container; for reading only. */
  readonly files: Readonly<Record<string, string>>;
  /** A network namespace that is there. Without one `runc` makes one. */
  readonly networkNamespace?: string | undefined;
  /** Called when the namespaces are made and before anything runs in them. */
  readonly createRuntime?: { readonly path: string; readonly args: readonly string[] } | undefined;
  /** A name for its cgroup that no other container of this machine has. */
  readonly cgroup: string;
  /** @default 0, with no more capabilities than to open low ports and to ping */
  readonly user?: number | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

const file = (type: string, destination: string, ...options: readonly string[]) => ({
  destination,
  type,
  source: type,
  options,
});

/** The `config.json` of a container. */
export function ociConfig(container: Container): object {
  const { id, command, rootfs, networkNamespace, createRuntime, cgroup, user = 0, annotations } = container;
  const capabilities = user === 0 ? ['CAP_NET_BIND_SERVICE', 'CAP_NET_RAW'] : [];
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: user, gid: user },
      args: command,
      env: ['PATH=/bin', 'HOME=/tmp'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    hostname: id,
    annotations,
    mounts: [
      file('proc', '/proc'),
      file('tmpfs', '/dev', 'nosuid', 'strictatime', 'mode=755', 'size=64k'),
      file('devpts', '/dev/pts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'),
      file('sysfs', '/sys', 'nosuid', 'noexec', 'nodev', 'ro'),
      file('tmpfs', '/tmp', 'nosuid', 'nodev', 'mode=1777', 'size=16m'),
      // Bound to their inodes: libnetwork writes them in place, so that a container sees every change.
      ...Object.entries(container.files).map(([destination, source]) => ({
        destination,
        source,
        type: 'bind',
        options: ['bind', 'ro', 'nosuid', 'nodev'],
      })),
    ],
    ...(createRuntime && { hooks: { createRuntime: [createRuntime] } }),
    linux: {
      cgroupsPath: `/${cgroup}`,
      resources: { devices: [{ allow: false, access: 'rwm' }], pids: { limit: 128 } },
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
        { type: 'network', ...(networkNamespace && { path: networkNamespace }) },
      ],
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

/** A root file system of busybox alone at `path`, unless it is there. @throws Error where busybox is missing */
export async function busyboxRootfs(path: string): Promise<string> {
  if (existsSync(path)) return path;
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((each) => existsSync(each));
  if (busybox === undefined) throw new Error('busybox is missing (Debian: apt-get install busybox-static)');
  const unfinished = `${path}.new`;
  await rm(unfinished, { recursive: true, force: true });
  for (const each of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
    await mkdir(join(unfinished, each), { recursive: true });
  // What is bound to these can't be made in a file system for reading only.
  for (const each of ['hosts', 'resolv.conf']) await writeFile(join(unfinished, 'etc', each), '');
  await copyFile(busybox, join(unfinished, 'bin', 'busybox'));
  const { stdout } = await promisify(execFile)(busybox, ['--list']);
  const names = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox');
  await Promise.all(names.map((name) => symlink('busybox', join(unfinished, 'bin', name))));
  await rename(unfinished, path);
  return path;
}
