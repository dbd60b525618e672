// Runs test/uml in User-Mode Linux: `node scripts/uml/run.mjs [vitest's filters]`, as root or not.
// For what the machine's own kernel may have been built without: ipvlan, 802.1q, dummy, VLAN filtering, ESP.
// A Debian kernel boots as a process, with this machine's files as its root, read-only. It has no network but what
// the tests make in it. The last line is `N passed, N failed, N skipped`; the exit code is 0 when nothing failed,
// also when nothing could be run: then the line before says why.
import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the machine inside has, in bytes. */
const MEMORY = 1 << 30;
const LIMIT_MS = 480_000;
const MODULES = '/usr/lib/uml/modules';
const here = fileURLToPath(new URL('.', import.meta.url));
const project = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const reason = whyNot();
if (reason !== undefined) skip(reason);
else process.exitCode = await run(process.argv.slice(2));

function whyNot() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'it needs Linux on x86-64';
  const missing = [];
  if (find('linux.uml') === undefined || !existsSync(MODULES)) missing.push('user-mode-linux');
  if (find('modprobe') === undefined) missing.push('kmod');
  if (missing.length === 0) return undefined;
  return `install ${missing.join(' and ')}: apt-get install --no-install-recommends ${missing.join(' ')}`;
}

function find(program) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin'];
  return directories.map((directory) => join(directory, program)).find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(error.code)) return false;
    throw error;
  }
}

async function run(filters) {
  const results = mkdtempSync(join(tmpdir(), `libnetwork-uml-${process.pid}-`));
  try {
    writeFileSync(join(results, 'arguments'), filters.join(' '));
    const ended = await boot(results);
    return report(results, ended);
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
}

/** Boots, and shows what is printed inside. Resolves with how it ended. */
function boot(results) {
  const options = [
    ...[`mem=${MEMORY >> 20}M`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'loglevel=1', 'panic=-1'],
    ...['con=null', 'con0=null,fd:1', `uml_dir=${results}/`, 'umid=uml'],
    ...[`init=${here}init.sh`, `UML_PROJECT=${project}`, `UML_RESULTS=${results}`, `UML_NODE=${process.execPath}`],
  ];
  // A process group of its own: what runs inside are processes out here, to be ended together.
  const kernel = spawn(find('linux.uml'), options, {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
    env: { ...process.env, ...preload(results), TMPDIR: memoryDirectory(results) },
  });
  const end = () => {
    try {
      process.kill(-kernel.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => (end(), process.exit(1)));
  return new Promise((resolve) => {
    const timer = setTimeout(() => (end(), resolve(`it took longer than ${LIMIT_MS / 1000} s`)), LIMIT_MS);
    const done = (text) => (clearTimeout(timer), end(), resolve(text));
    kernel.once('error', (error) => done(error.message));
    kernel.once('exit', (code, signal) => done(signal ? `it was ended by ${signal}` : `it ended with ${code}`));
  });
}

/** For processors whose registers are more than the kernel inside makes room for: see xstate.c. */
function preload(results) {
  const library = join(results, 'xstate.so');
  const { status } = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, `${here}xstate.c`], { stdio: 'ignore' });
  return status === 0 ? { LD_PRELOAD: library } : {};
}

/** Where the file is that the machine inside has as its memory: in memory, where there is room. */
function memoryDirectory(otherwise) {
  const shared = '/dev/shm';
  if (!existsSync(shared)) return otherwise;
  const { bavail, bsize } = statfsSync(shared);
  return bavail * bsize > MEMORY ? shared : otherwise;
}

/** The tests' own result; where the kernel did not even start them, a skip; where it died on the way, a failure. */
function report(results, ended) {
  if (!existsSync(join(results, 'started'))) return skip(`User-Mode Linux did not boot here: ${ended}`);
  const path = join(results, 'vitest.json');
  if (!existsSync(path)) return summary(0, 1, 0, `the tests inside left no report: ${ended}`);
  const { success, testResults } = JSON.parse(readFileSync(path, 'utf8'));
  const tests = testResults.flatMap((file) => file.assertionResults);
  const count = (status) => tests.filter((test) => test.status === status).length;
  const [passed, failed] = [count('passed'), count('failed')];
  // A file that could not be loaded, or an error outside of a test, is in no test's status.
  return summary(passed, !success && failed === 0 ? 1 : failed, tests.length - passed - failed);
}

function skip(why) {
  return summary(0, 0, 1, `skipped: the tests in User-Mode Linux were not run; ${why}`);
}

function summary(passed, failed, skipped, note) {
  if (note !== undefined) console.log(note);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}
