/** Runs untrusted code: in a container with nothing but Node, as nobody, in a network namespace of libnetwork's. */
import { existsSync } from 'node:fs';
import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from 'libnetwork';
import { ociConfig } from '../runtime/bundle.ts';
import { Runc } from '../runtime/runc.ts';
import type { Timed } from './attempts.ts';

const NOBODY = 65_534;
/** The libraries that a dynamically linked Node needs. */
const LIBRARIES = ['/lib', '/lib64', '/usr/lib'];

/** What came of an attempt, as the code itself tells. */
export type Told = { readonly id: string } & ({ readonly answer: string } | { readonly error: string });

export async function runUntrusted(
  directory: string,
  sandbox: Sandbox,
  lists: readonly (readonly Timed[])[],
): Promise<readonly Told[]> {
  const bundle = join(directory, 'cell');
  const [rootfs, list] = [join(bundle, 'rootfs'), join(bundle, 'attempts.json')];
  await mkdir(rootfs, { recursive: true });
  await writeFile(list, JSON.stringify(lists));
  const libraries = await Promise.all(
    LIBRARIES.filter((path) => existsSync(path)).map(async (path) => [path, await realpath(path)]),
  );
  const config = ociConfig({
    id: 'guest',
    command: ['/node', '/untrusted.mjs', '/attempts.json'],
    rootfs,
    user: NOBODY,
    files: {
      ...Object.fromEntries(libraries),
      '/node': await realpath(process.execPath),
      '/untrusted.mjs': fileURLToPath(new URL('./untrusted.js', import.meta.url)),
      '/attempts.json': list,
      '/etc/hosts': sandbox.hostsPath,
      '/etc/resolv.conf': sandbox.resolvConfPath,
    },
    networkNamespace: sandbox.namespacePath,
    cgroup: `libnetwork-egress-${process.pid}`,
  });
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
  const printed = await new Runc(join(directory, 'runc')).run('guest', bundle);
  return printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
