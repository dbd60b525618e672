import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Sandbox } from 'libnetwork';
import { linuxOsl } from 'libnetwork/osl';
import { GREETING, PUBLISHED, type Question, type RunningServer, UNPUBLISHED, type World } from './world.ts';

/** The program of web's container. It says so when it listens on both ports. */
const server = `
const { createServer } = require('node:http');
const listen = (port) => new Promise((listening) =>
  createServer((request, response) => response.end(${JSON.stringify(`${GREETING}\n`)})).listen(port, listening));
Promise.all([${PUBLISHED}, ${UNPUBLISHED}].map(listen)).then(() => console.log('listening'));
`;

/** A program of client's container: asks one question of the name server given, and prints the answers. */
const lookUp = `
const [server, type, name] = process.argv.slice(1);
const resolver = new (require('node:dns').promises.Resolver)({ timeout: 2000, tries: 1 });
resolver.setServers([server]);
const asked = type === 'PTR' ? resolver.reverse(name) : resolver.resolve(name, type);
asked.then((answers) => console.log(JSON.stringify(answers)));
`;

/** The real kernel. Needs root; no other program is started than Node itself. */
export async function linuxWorld(): Promise<World> {
  return {
    kind: 'linux',
    osl: await linuxOsl(),
    startServer: async (sandbox) => {
      const child = sandbox.spawn(process.execPath, ['-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
      await firstWords(child);
      return running(child);
    },
    lookUp: async (sandbox, server, question) => JSON.parse(await ask(sandbox, server, question)),
    mountsUnder: async (directory) => {
      const mounts = await readFile('/proc/self/mountinfo', 'utf8');
      return mounts
        .split('\n')
        .filter((line) => line.includes(' - nsfs '))
        .map((line) => line.split(' ')[4] ?? '')
        .filter((path) => path.startsWith(directory));
    },
  };
}

async function firstWords(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the server ended with code ${code}`);
  });
  if (child.stdout) await Promise.race([once(child.stdout, 'data'), ended]);
  // From here on its end is no surprise.
  ended.catch(() => undefined);
}

function running(child: ChildProcess): RunningServer {
  return {
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    },
  };
}

async function ask(sandbox: Sandbox, server: string, { type, name }: Question): Promise<string> {
  const child = sandbox.spawn(process.execPath, ['-e', lookUp, server, type, name], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (!child.stdout || !child.stderr) throw new Error('a child without pipes');
  const [[code], out, complaint] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ]);
  if (code !== 0) throw new Error(`asking ${server} for ${type} ${name} failed: ${complaint.trim()}`);
  return out;
}
