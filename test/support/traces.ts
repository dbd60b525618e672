import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What programs that work in a directory have on this machine: processes, mounts, and cgroups by their prefix. */
export async function traces(directory: string, cgroup: string): Promise<string[]> {
  const root = await readdir('/sys/fs/cgroup', { withFileTypes: true });
  const found: string[] = [];
  for (const place of ['', ...root.filter((each) => each.isDirectory()).map(({ name }) => name)])
    for (const name of await readdir(join('/sys/fs/cgroup', place)).catch(() => []))
      if (name.startsWith(cgroup)) found.push(`cgroup ${join(place, name)}`);
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  found.push(...mounts.split('\n').filter((line) => line.includes(directory)));
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // Who has ended meanwhile has nothing; whom nobody has waited for yet has ended too (proc_pid_stat(5)).
    const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    if (/^ [ZX] /.test((await read('stat')).replace(/^.*\)/s, ''))) continue;
    const command = (await read('cmdline')).replaceAll('\0', ' ');
    const isInside = (await read('cgroup')).includes(`/${cgroup}`);
    if (isInside || command.includes(directory)) found.push(`process ${pid} ${command}`);
  }
  return found;
}
