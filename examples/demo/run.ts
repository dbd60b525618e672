import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ControllerOptions } from 'libnetwork';
import { dump, leaked, readSettings, restoreSettings } from './machine.ts';
import type { Outcome, Report } from './report.ts';
import { Stage, StepFailed } from './stage.ts';
import { cleanUp, tell } from './steps.ts';
import type { World } from './world.ts';

/** Tells the story in a world, and leaves that world as it was, also when a step does not hold. */
export async function run(world: World, report: Report, signal: AbortSignal): Promise<Outcome> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'libnetwork-demo-')));
  try {
    return await tellAndCompare(new Stage(world, directory, report, signal));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function tellAndCompare(stage: Stage): Promise<Outcome> {
  const { world, directory } = stage;
  // An instance of its own: another controller on this machine, or another demo, is never touched.
  const instance = `demo-${process.pid}`;
  const options: ControllerOptions = {
    dataDir: join(directory, 'data'),
    runDir: join(directory, 'run'),
    osl: world.osl,
    instance,
  };
  const look = () => dump(world, directory, `libnetwork-${instance}`);
  let left: readonly string[] = [];
  try {
    const [before, settings] = await stage.step('note how the host is', () =>
      Promise.all([look(), readSettings(world)]),
    );
    try {
      await tell(stage, options);
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      await stage.afterwards('clean up after the failure', () => cleanUp(options));
    } finally {
      await stage.afterwards('find the host as it was', async () => {
        await restoreSettings(world, settings);
        left = leaked(before, await look());
        if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
      });
    }
  } catch (error) {
    // A step that did not hold was reported as such.
    if (!(error instanceof StepFailed)) throw error;
  }
  const ok = left.length === 0 && stage.results.every((result) => result.ok);
  return { ok, kernel: world.kind, steps: stage.results, leaked: left };
}
