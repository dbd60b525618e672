import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import type { Logger } from '../../../src/driverapi/driver.ts';
import { NetworkController } from '../../../src/index.ts';
import { FakeKernel, type FakeOsl, fakeOsl } from '../../../src/osl/fake/index.ts';
import { countingFaults, type Faults } from '../../../src/testing/faults.ts';
import { faultyStore } from '../../../src/testing/faultystore.ts';

/** A machine that outlives the process: its kernel, its disk, its run directory. */
export class World {
  readonly kernel = new FakeKernel();
  readonly backing = memoryBacking();
  readonly runDir = mkdtempSync(join(tmpdir(), 'libnetwork-crash-'));
  readonly complaints: string[] = [];

  /** Starts a process: a controller whose every kernel call and store write is a step of `faults`. */
  async open(
    faults: Faults = countingFaults(),
    activeSandboxes: readonly string[] = [],
  ): Promise<{ controller: NetworkController; osl: FakeOsl }> {
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
    const controller = await NetworkController.open({
      osl,
      store,
      runDir: this.runDir,
      activeSandboxes,
      logger,
    });
    return { controller, osl };
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

  /** The keys of all records. */
  async keys(): Promise<string[]> {
    const store = memoryStore({ backing: this.backing });
    const entries = await store.list('');
    await store.close();
    return entries.map((entry) => entry.key);
  }

  remove(): void {
    rmSync(this.runDir, { recursive: true, force: true });
  }
}
