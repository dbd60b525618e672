/** firewalld as it is installed, in a namespace of its own: on a private message bus, with a private configuration. */
import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Namespace } from '../../../../src/osl/osl.ts';

const run = promisify(execFile);
const PROGRAMS = ['firewalld', 'firewall-cmd', 'dbus-daemon', 'setpriv'];
const START_MS = 60_000;
/** `firewall-cmd` itself waits for an answer for ever. */
const ANSWER_MS = 20_000;
const END_MS = 10_000;

/** Why there can be no daemon here; empty when there can. */
export const whyNoFirewalld: string = (() => {
  const missing = PROGRAMS.filter((program) => !isInstalled(program));
  return missing.length === 0 ? '' : `there is no ${missing.join(', no ')}: install the package firewalld`;
})();

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)));
}

/** Anybody may say anything: it is private by its socket's place. */
const configuration = (socket: string): string => `<busconfig>
  <type>system</type>
  <listen>unix:path=${socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_destination="*"/><allow send_type="signal"/>
    <allow receive_sender="*"/><allow receive_type="signal"/>
  </policy>
</busconfig>
`;

export class FirewallDaemon {
  /** The address of its bus. */
  readonly bus: string;
  readonly #place: Namespace;
  readonly #directory: string;
  readonly #env: NodeJS.ProcessEnv;
  #bus: ChildProcess | undefined;
  #daemon: ChildProcess | undefined;

  constructor(place: Namespace, directory: string) {
    this.#place = place;
    this.#directory = join(directory, 'firewalld');
    this.bus = `unix:path=${join(this.#directory, 'bus')}`;
    this.#env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.bus };
  }

  async openBus(): Promise<void> {
    await mkdir(join(this.#directory, 'etc'), { recursive: true });
    const file = join(this.#directory, 'bus.conf');
    await writeFile(file, configuration(join(this.#directory, 'bus')));
    this.#bus = this.#spawn('dbus-daemon', [`--config-file=${file}`, '--nofork', '--nopidfile']);
    await until(async () => existsSync(join(this.#directory, 'bus')));
  }

  async start(): Promise<void> {
    const etc = join(this.#directory, 'etc');
    this.#daemon = this.#spawn('firewalld', ['--nofork', '--nopid', `--system-config=${etc}`]);
    await until(async () => {
      try {
        return (await this.cmd('--state')).includes('running');
      } catch {
        // It is not there yet, and says so by its exit code.
        return false;
      }
    });
  }

  async stop(): Promise<void> {
    await end(this.#daemon);
    this.#daemon = undefined;
  }

  async close(): Promise<void> {
    await this.stop();
    await end(this.#bus);
  }

  /** What `firewall-cmd` prints. @throws after 20 s without an answer */
  async cmd(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('firewall-cmd', [...args], {
      env: this.#env,
      timeout: ANSWER_MS,
      killSignal: 'SIGKILL',
    });
    return stdout.trim();
  }

  /** The links in our zone. */
  async members(): Promise<readonly string[]> {
    const list = await this.cmd('--zone=libnetwork', '--list-interfaces');
    return list
      .split(' ')
      .filter((name) => name !== '')
      .sort();
  }

  /** It ends with this process, however that ends. */
  #spawn(program: string, args: readonly string[]): ChildProcess {
    const found = (process.env.PATH ?? '')
      .split(':')
      .map((folder) => join(folder, program))
      .find(existsSync);
    return this.#place.spawn('setpriv', ['--pdeathsig', 'KILL', found ?? program, ...args], {
      env: this.#env,
      stdio: 'ignore',
    });
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill();
  const deaf = setTimeout(() => child.kill('SIGKILL'), END_MS);
  await ended;
  clearTimeout(deaf);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + START_MS; Date.now() < end; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('firewalld did not start');
}
