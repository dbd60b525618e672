import { mkdtempSync, rmSync, unwatchFile, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Entry } from '../../../src/datastore/datastore.ts';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import type { Logger } from '../../../src/driverapi/driver.ts';
import { vethName } from '../../../src/ids.ts';
import { type ControllerOptions, NetworkController, type Sandbox, type Waits } from '../../../src/index.ts';
import { FakeKernel, type FakeOsl, fakeOsl } from '../../../src/osl/fake/index.ts';
import { countingFaults, type Faults } from '../../../src/testing/faults.ts';
import { faultyStore } from '../../../src/testing/faultystore.ts';

/** A machine that outlives the process: its kernel, its disk, its run directory. */
export class World {
  readonly kernel: FakeKernel;
  readonly backing = memoryBacking();
  readonly runDir = mkdtempSync(join(tmpdir(), 'libnetwork-crash-'));
  /** The host's list of name servers. */
  readonly resolvConf = join(this.runDir, 'resolv.conf');
  readonly complaints: string[] = [];

  /** With a kernel it is another controller's share of the same machine: a disk and a run directory. */
  constructor(kernel = new FakeKernel()) {
    this.kernel = kernel;
    writeFileSync(this.resolvConf, 'nameserver 192.0.2.53\n');
  }

  /** Starts a process: a controller whose every kernel call and store write is a step of `faults`. */
  async open(
    faults: Faults = countingFaults(),
    activeSandboxes: readonly string[] = [],
    more: ControllerOptions = {},
    waits: Waits = {},
  ): Promise<{ controller: NetworkController; osl: FakeOsl }> {
    // A dead process watches no files.
    faults.onCrash(() => unwatchFile(this.resolvConf));
    const osl = fakeOsl({ kernel: this.kernel, faults });
    const store = faultyStore(memoryStore({ backing: this.backing }), faults);
    const complain = (message: string, facts?: object): void => {
      // The last words of a dying process are heard by nobody.
      if (faults.crashed) return;
      const error = facts && 'error' in facts ? ` (${String(facts.error)})` : '';
      this.complaints.push(`${message}${error}`);
    };
    const quiet = (): void => {
      // What is not worth a complaint is not kept.
    };
    const logger: Logger = { debug: quiet, info: quiet, warn: complain, error: complain };
    const parts = { osl, store, runDir: this.runDir, hostResolvConf: this.resolvConf, logger };
    const controller = await NetworkController.open({ ...parts, activeSandboxes, ...more }, waits);
    return { controller, osl };
  }

  /** The namespace that a container's runtime makes; it is the runtime's, and no controller's. */
  runtimePath(container: string): string {
    const path = `${this.runDir}/runtime/${container}`;
    this.kernel.mount(path);
    return path;
  }

  /** The end of all runtimes. */
  endRuntimes(): void {
    for (const path of this.kernel.paths(`${this.runDir}/runtime`)) this.kernel.unmount(path);
  }

  /** Everything in the kernel that a controller could leave, as data. Sysctls of the host are its policy. */
  dump(): unknown {
    const { namespaces, ...rest } = this.kernel.dump();
    return {
      ...rest,
      namespaces: Object.fromEntries(
        Object.entries(namespaces).map(([path, { sysctls: _, ...netns }]) => [path, netns]),
      ),
    };
  }

  /** Everything that is stored. */
  async entries(): Promise<readonly Entry[]> {
    const store = memoryStore({ backing: this.backing });
    const entries = await store.list('');
    await store.close();
    return entries;
  }

  /** Stores something behind the controller's back. */
  async put(key: string, value: unknown): Promise<void> {
    const store = memoryStore({ backing: this.backing });
    await store.put(key, value);
    await store.close();
  }

  /** The keys of all records. */
  async keys(): Promise<string[]> {
    return (await this.entries()).map((entry) => entry.key);
  }

  /** Takes away what an endpoint consists of, behind the controller's back. */
  async vandalise(victim: {
    readonly endpointId: string;
    readonly sandbox: Sandbox;
    readonly missing: readonly ('record' | 'namespace' | 'link')[];
  }): Promise<void> {
    const osl = fakeOsl({ kernel: this.kernel });
    if (victim.missing.includes('link')) await osl.host.deleteLink(vethName(victim.endpointId));
    if (victim.missing.includes('namespace')) await osl.deleteNamespace(victim.sandbox.namespacePath);
    await osl.close();
    if (!victim.missing.includes('record')) return;
    const store = memoryStore({ backing: this.backing });
    for (const { key } of await store.list(''))
      if (key.includes(`/${victim.endpointId}/`)) await store.delete(key);
    await store.close();
  }

  remove(): void {
    // A process that crashed has not done it.
    unwatchFile(this.resolvConf);
    rmSync(this.runDir, { recursive: true, force: true });
  }
}
