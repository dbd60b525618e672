/** The runtime end to end: its daemon as a process of its own, real containers, and nothing left of them. */
import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { linuxWorld } from '../demo/linux-world.ts';
import { dump, leaked, readSettings, restoreSettings } from '../demo/machine.ts';
import { jsonReport, textReport } from '../demo/report.ts';
import { check, Stage, StepFailed } from '../demo/stage.ts';
import { House } from './house.ts';
import { leftovers } from './leftovers.ts';
import { instanceOf, Runtime } from './runtime.ts';

const PREFIX = 'libnetwork-runtime-';
const main = fileURLToPath(new URL('./main.js', import.meta.url));

/** A busybox web server that says its name. It is no first process, which the kernel would keep signals from. */
const serving = (name: string) => [
  'sh',
  '-c',
  `mkdir /tmp/www && echo hello from ${name} > /tmp/www/index.html && httpd -f -p 80 -h /tmp/www; echo ended`,
];
const waiting = ['sh', '-c', 'while :; do sleep 1000; done'];

const wget = (url: string, seconds = 5) => ['timeout', `${seconds}`, 'wget', '-q', '-O', '-', url];

/** Tells the story; the answer is the exit code. */
export async function demo({ json }: { readonly json: boolean }): Promise<number> {
  // Kept for the whole run: a second Ctrl-C must not cut off the cleaning up.
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)));
  const report = (json ? jsonReport : textReport)((line) => console.log(line));
  const world = linuxWorld();
  await sweep();
  const directory = await realpath(await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`)));
  const stage = new Stage(world, directory, report, interrupted.signal);
  const look = () => dump(world, directory, `libnetwork-${instanceOf(directory)}`);
  const [before, settings] = [await look(), await readSettings(world)];
  const house = new House(directory, main);
  let left: readonly string[] = [];
  try {
    await story(stage, house);
  } catch (error) {
    // It was reported, and counts.
    if (!(error instanceof StepFailed)) throw error;
  } finally {
    await house.kill();
    if (existsSync(join(directory, 'data')))
      await stage.afterwards('a runtime that clears finds nothing, or takes what there is', () =>
        clear(directory),
      );
    await stage.afterwards('the host is as it was', async () => {
      await restoreSettings(world, settings);
      left = leaked(before, await look());
      check(left.length === 0, 'nothing left', left);
    });
    await rm(directory, { recursive: true, force: true });
    await world.osl.close();
  }
  const ok = stage.results.every((result) => result.ok);
  report.end({ ok, kernel: 'linux', steps: stage.results, leaked: left });
  return ok ? 0 : 1;
}

async function story(stage: Stage, house: House): Promise<void> {
  const step = <T>(name: string, act: () => Promise<T>) => stage.step(name, act);
  const gets = async (from: string, url: string, name: string) => {
    const said = await house.exec(from, ...wget(url));
    check(said === `hello from ${name}\n`, `a greeting of ${name} from ${url}`, said);
  };
  const fails = async (from: string, url: string) =>
    check(!(await house.exec(from, ...wget(url, 1)).then(Boolean, () => false)), `no way to ${url}`);
  const fetched = async (port: number) => (await fetch(`http://127.0.0.1:${port}/`)).text();

  await step('start the runtime', () => house.start());
  await step('make the networks front and back', async () => {
    await house.ask('network', 'create', 'front');
    await house.ask('network', 'create', '--internal', 'back');
  });
  await step('run web on front, its port 80 published: libnetwork makes the namespace', () =>
    house.ask('run', '--name', 'web', '--network', 'front', '--publish', '80', '--', ...serving('web')),
  );
  await step('run db on back: runc makes the namespace and tells libnetwork by its hook', () =>
    house.ask('run', '--name', 'db', '--network', 'back', '--way', 'hook', '--', ...serving('db')),
  );
  await step('run client on front: libnetwork is told /proc/PID/ns/net before it starts', () =>
    house.ask('run', '--name', 'client', '--network', 'front', '--way', 'pid', '--', ...waiting),
  );
  const port = (await house.seen('web')).networks[0]?.ports[0]?.host ?? 0;
  stage.note(`\n${await picture(house)}\n`);
  await step('client gets http://web/ by name', () => gets('client', 'http://web/', 'web'));
  await step(`the host gets http://127.0.0.1:${port}/, the published port`, async () =>
    check((await fetched(port)) === 'hello from web\n', 'a greeting of web'),
  );
  await step('client does not get to db, by name or address: it is on another network', async () => {
    await fails('client', 'http://db/');
    await fails('client', `http://${(await house.seen('db')).networks[0]?.ipv4?.split('/')[0]}/`);
  });
  await step('connect the running client to back', () => house.ask('connect', 'back', 'client'));
  await step('client has eth1 and gets http://db/', async () => {
    const links = await house.exec('client', 'ip', '-o', 'link');
    check(links.includes('eth1'), 'an interface eth1', links);
    await gets('client', 'http://db/', 'db');
  });
  const before = await house.all();
  await step('kill -9 the runtime: the containers go on, and the published port', async () => {
    await house.kill();
    check((await fetched(port)) === 'hello from web\n', 'a greeting of web');
  });
  await step('start it again: the same containers, addresses and ports', async () => {
    await house.start();
    const [now, then] = [await house.all(), before].map((all) => JSON.stringify(all));
    check(now === then, `${then}`, now);
  });
  await step('all of it holds as before', async () => {
    await gets('client', 'http://web/', 'web');
    await gets('client', 'http://db/', 'db');
    check((await fetched(port)) === 'hello from web\n', 'a greeting of web');
  });
  await step('disconnect client from back: db is gone for it', async () => {
    await house.ask('disconnect', 'back', 'client');
    await fails('client', 'http://db/');
    await gets('client', 'http://web/', 'web');
  });
  await step('web ends by itself, and its port is closed', async () => {
    await house.exec('web', 'killall', 'httpd');
    for (const until = Date.now() + 10_000; (await house.all()).some(({ name }) => name === 'web'); ) {
      check(Date.now() < until, 'web to be gone');
      await sleep(50);
    }
    check(
      await fetched(port).then(
        () => false,
        () => true,
      ),
      `nothing at port ${port}`,
    );
  });
  await step('stop the others and remove the networks', async () => {
    for (const name of ['db', 'client']) await house.ask('stop', '--seconds', '0', name);
    for (const name of ['front', 'back']) await house.ask('network', 'rm', name);
  });
  await step('stop the runtime', () => house.stop());
}

async function picture(house: House): Promise<string> {
  const lines = (await house.all()).flatMap(({ name, pid, networks }) =>
    networks.map(({ network, interface: link, ipv4, ports }) => {
      const published = ports.map(({ host }) => ` ← 127.0.0.1:${host}`)[0] ?? '';
      return `  ${network.padEnd(6)} ─── ${link} ${ipv4?.padEnd(16)} ${name} (pid ${pid})${published}`;
    }),
  );
  return lines.sort().join('\n');
}

async function clear(directory: string): Promise<void> {
  const runtime = await Runtime.open(directory);
  try {
    await runtime.clear();
  } finally {
    await runtime.close();
  }
}

/** Takes away what demos left whose processes were killed: their directories tell their numbers. */
async function sweep(): Promise<void> {
  for (const directory of await leftovers(PREFIX)) {
    if (existsSync(join(directory, 'data'))) await clear(directory);
    await rm(directory, { recursive: true, force: true });
  }
}
