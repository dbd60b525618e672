import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernelAvailability } from '../../src/osl/linux/availability.ts';
import { linuxOsl } from '../../src/osl/linux/index.ts';
import { onHost } from '../../src/osl/onhost.ts';
import type { Namespace, Osl } from '../../src/osl/osl.ts';

const availability = kernelAvailability();

/** True where tests may use the real kernel: `describe.skipIf(!canUseKernel)`. */
export const canUseKernel: boolean = availability.available;

/** Why `canUseKernel` is false; empty when it is true. */
export const whyNot: string = availability.reason;

export interface TestHost {
  /** The real kernel, but its `host` is a namespace made for this test: nothing reaches the machine's own. */
  readonly osl: Osl;
  /** The same as `osl.host`. */
  readonly host: Namespace;
  /** An empty directory for namespaces and files, gone after the test. */
  readonly directory: string;
  /** The path of a namespace in `directory`. */
  path(name: string): string;
  /** Makes a namespace in `directory`; it is deleted after the test. */
  create(name: string): Promise<Namespace>;
}

/** Deletes what tests left behind whose process was killed: their directories tell its number. */
async function sweep(): Promise<void> {
  const kernel = linuxOsl();
  for (const name of await readdir(tmpdir())) {
    const pid = /^libnetwork-(?:[a-z]+-)?(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await remove(kernel, join(tmpdir(), name));
  }
  await kernel.close();
}

/** With all namespaces in it, also those of a controller's sandboxes below. */
async function remove(kernel: Osl, directory: string): Promise<void> {
  const below = await readdir(directory, { recursive: true, withFileTypes: true });
  const directories = below
    .filter((each) => each.isDirectory())
    .map((each) => join(each.parentPath, each.name));
  for (const each of [directory, ...directories])
    for (const path of await kernel.listNamespaces(each)) await kernel.deleteNamespace(path);
  await rm(directory, { recursive: true, force: true });
}

let swept: Promise<void> | undefined;

/**
 * Runs a test on the real kernel with a host of its own, and deletes every namespace in its directory afterwards,
 * also when the test fails.
 */
export async function withTestHost<T>(work: (test: TestHost) => Promise<T>): Promise<T> {
  swept ??= sweep();
  await swept;
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-`));
  const kernel = linuxOsl();
  const path = (name: string) => join(directory, name);
  try {
    const host = await kernel.createNamespace(path('host'));
    const osl = onHost(kernel, host);
    return await work({ osl, host, directory, path, create: (name) => kernel.createNamespace(path(name)) });
  } finally {
    await remove(kernel, directory);
    await kernel.close();
  }
}
