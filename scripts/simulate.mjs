// Runs the simulation of crashes and failures for as long as it is told, or replays one seed:
//   npm run simulate -- --seconds 600
//   npm run simulate -- --seed 12345
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    first: { type: 'string' },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, got ${value}`);
  process.exit(2);
}

const settings = {
  LIBNETWORK_SIMULATE_SECONDS: values.seconds,
  LIBNETWORK_CRASH_POINTS: String(Number.MAX_SAFE_INTEGER),
  ...(values.seed === undefined ? {} : { LIBNETWORK_SEED: values.seed }),
  ...(values.first === undefined ? {} : { LIBNETWORK_FIRST_SEED: values.first }),
};
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const args = [vitest, 'run', 'test/unit/crash/simulate'];
const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...settings } });
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
