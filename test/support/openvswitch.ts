/** An Open vSwitch of the test's own, in a namespace that plays its host. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Namespace } from '../../src/osl/osl.ts';
import { bound } from './bound.ts';

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const PROGRAMS = [
  '/usr/sbin/ovsdb-server',
  '/usr/sbin/ovs-vswitchd',
  '/usr/bin/ovsdb-tool',
  '/usr/sbin/ethtool',
];

/** Why there can be none; empty when there can. */
export function whyNoSwitch(): string {
  const missing = [SCHEMA, ...PROGRAMS].filter((path) => !existsSync(path));
  return missing.length === 0 ? '' : '(needs the packages openvswitch-switch and ethtool)';
}

export interface TestSwitch {
  /** The socket of its database. */
  readonly database: string;
  stop(): Promise<void>;
}

/** Starts both programs with their files in a directory; the switch is in the host's namespace. */
export async function startSwitch(host: Namespace, directory: string): Promise<TestSwitch> {
  await mkdir(directory, { recursive: true });
  const [conf, database] = [`${directory}/conf.db`, `${directory}/db.sock`];
  execFileSync('/usr/bin/ovsdb-tool', ['create', conf, SCHEMA]);
  const env = { ...process.env, OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory };
  const children: ChildProcess[] = [];
  const run = (file: string, ...args: string[]) => {
    const logged = ['-vconsole:off', '-vfile:info', `--log-file=${directory}/log`];
    const child = host.spawn(...bound(file, [...args, ...logged]), { stdio: 'ignore', env });
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  };
  try {
    const server = run(
      '/usr/sbin/ovsdb-server',
      conf,
      `--remote=punix:${database}`,
      `--unixctl=${directory}/db.ctl`,
    );
    await waitFor(database, server);
    // The one row that all else hangs on, which the service's start script makes elsewhere.
    execFileSync('/usr/bin/ovs-vsctl', [`--db=unix:${database}`, '--no-wait', 'init']);
    const vswitchd = run('/usr/sbin/ovs-vswitchd', `unix:${database}`, `--unixctl=${directory}/vswitchd.ctl`);
    await waitFor(`${directory}/vswitchd.ctl`, vswitchd);
  } catch (error) {
    await stop();
    throw error;
  }
  return { database, stop };
}

async function waitFor(path: string, child: ChildProcess): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(20)) {
    if (existsSync(path)) return;
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`);
  }
  throw new Error(`${path} did not appear`);
}
