/** `npm run example:runtime -- demo`; the other commands are in `commands.ts`. Needs root, `runc` and busybox. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { execute, USAGE } from './commands.ts';
import { demo } from './demo.ts';
import { Runc } from './runc.ts';
import { Runtime } from './runtime.ts';
import { ask, serve } from './server.ts';

const words = process.argv.slice(2);
// What comes after the command is the command's.
const at = words.findIndex((word, i) => !word.startsWith('-') && words[i - 1] !== '--directory');
const command = at < 0 ? [] : words.slice(at);
const { values } = parseArgs({
  args: at < 0 ? words : words.slice(0, at),
  options: {
    directory: { type: 'string', default: '/var/lib/libnetwork-runtime' },
    json: { type: 'boolean', default: false },
  },
});
const directory = resolve(values.directory);
const socket = join(directory, 'socket');

try {
  process.exitCode = await act(command);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

async function act([name, ...args]: readonly string[]): Promise<number> {
  switch (name) {
    case undefined:
      throw new Error(USAGE);
    case 'daemon':
      return daemon(args);
    case 'demo':
      return demo({ json: values.json });
    case 'exec': {
      const [container, ...program] = args;
      if (container === undefined || program.length === 0) throw new Error(USAGE);
      return new Runc(join(directory, 'runc')).exec(container, program);
    }
    case 'logs': {
      const container = (await new Runc(join(directory, 'runc')).list()).find(({ id }) => id === args[0]);
      if (container === undefined) throw new Error(`no container ${args[0]} is running`);
      process.stdout.write(await readFile(join(container.bundle, 'log')));
      return 0;
    }
    default:
      show(await ask(socket, command));
      return 0;
  }
}

async function daemon(args: string[]): Promise<number> {
  const { values: options } = parseArgs({ args, options: { 'resolv-conf': { type: 'string' } } });
  const say = (message: string, facts?: object) => console.error(message, facts ?? '');
  const silent = () => undefined;
  const runtime = await Runtime.open(directory, {
    logger: { debug: silent, info: silent, warn: say, error: say },
    hostResolvConf: options['resolv-conf'],
  });
  const close = await serve(socket, (words) => execute(runtime, words));
  console.log(`listening at ${socket}`);
  await new Promise((stopped) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stopped);
  });
  await close();
  await runtime.close();
  return 0;
}

function show(answer: unknown): void {
  if (answer === null) return;
  if (values.json) console.log(JSON.stringify(answer));
  else if (Array.isArray(answer)) console.table(answer.map(flat));
  else console.log(answer);
}

/** Lists within a row as text. */
function flat(row: object): object {
  const text = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : value);
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [key, text(value)]));
}
