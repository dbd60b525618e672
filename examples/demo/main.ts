/**
 * The main job of libnetwork, end to end. `npm run demo`; `--json` prints one JSON document instead;
 * `--fake` plays on the kernel in memory, which is also what happens where the real one can't be used.
 */
import { parseArgs } from 'node:util';
import { kernelAvailability } from 'libnetwork';
import { fakeWorld } from './fake-world.ts';
import { linuxWorld } from './linux-world.ts';
import { jsonReport, textReport } from './report.ts';
import { run } from './run.ts';

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, fake: { type: 'boolean', default: false } },
});
// Kept for the whole run: a shell and npm may both pass one Ctrl-C on, and cleaning up must not be cut off.
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)));

const report = (values.json ? jsonReport : textReport)((line) => console.log(line));
const obstacle = values.fake ? 'asked for with --fake' : obstacleToRealKernel();

if (obstacle === undefined) report.note('libnetwork demo on the real kernel\n');
else report.note(`libnetwork demo on the fake kernel, in memory: ${obstacle}\n`);

const world = obstacle === undefined ? linuxWorld() : await fakeWorld();
try {
  const outcome = await run(world, report, interrupted.signal);
  report.end(outcome);
  process.exitCode = outcome.ok ? 0 : 1;
} finally {
  await world.osl.close();
}

/** Why the real kernel can't be used here, and what would help; `undefined` when it can. */
function obstacleToRealKernel(): string | undefined {
  const { available, reason } = kernelAvailability();
  return available ? undefined : reason;
}
