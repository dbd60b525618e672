import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Sandbox } from 'libnetwork';
import type { World } from './world.ts';

/** `A` and `AAAA` ask for a name's addresses, `PTR` for an address's names. */
export interface Question {
  readonly type: 'A' | 'AAAA' | 'PTR';
  readonly name: string;
}

/** Starts the demo's web server in a sandbox; resolves once it listens. */
export async function startServer({ server }: World, sandbox: Sandbox): Promise<ChildProcess> {
  const child = sandbox.spawn(server.file, server.args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the server ended with code ${code}`);
  });
  if (child.stdout) await Promise.race([once(child.stdout, 'data'), ended]);
  // From here on its end is no surprise.
  ended.catch(() => undefined);
  return child;
}

/** Ends a program; resolves when it is gone. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill();
  await exit;
}

/** Asks a name server from inside a sandbox, as a program there would. */
export async function lookUp(
  world: World,
  sandbox: Sandbox,
  server: string,
  { type, name }: Question,
): Promise<readonly string[]> {
  const { file, args } = world.lookUp;
  const child = sandbox.spawn(file, [...args, server, type, name], { stdio: ['ignore', 'pipe', 'pipe'] });
  if (!child.stdout || !child.stderr) throw new Error('a child without pipes');
  const [[code], out, complaint] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ]);
  if (code !== 0) throw new Error(`asking ${server} for ${type} ${name} failed: ${complaint.trim()}`);
  return JSON.parse(out);
}
