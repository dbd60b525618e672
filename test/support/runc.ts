import { accessSync, constants, existsSync } from 'node:fs';
import { hasProgram } from './daemon.ts';
import { canUseKernel, whyNot } from './kernel.ts';

/** Why containers can't be started here, with these programs beside `runc`; empty where they can. */
export function obstacleToContainers(programs: readonly string[], built: string): string {
  if (!canUseKernel) return whyNot;
  const missing = ['runc', ...programs].find((name) => !hasProgram(name));
  if (missing !== undefined) return `the program ${missing} is missing`;
  if (!existsSync(built)) return 'not built: npm run build:examples';
  // Of version 1, where each controller has a tree of its own, or of version 2.
  const cgroups = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup'].find((path) => existsSync(path));
  try {
    accessSync(cgroups ?? '/sys/fs/cgroup', constants.W_OK);
    return '';
  } catch (error) {
    return `no cgroup can be made: ${error instanceof Error ? error.message : error}`;
  }
}
