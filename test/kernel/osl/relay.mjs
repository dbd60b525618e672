// Serves ports from a process of its own, whose thread is killed on request. Told the compiled sources and the path of
// a namespace; prints a line of JSON for each thing that it did.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { text } from 'node:stream/consumers';
import threads from 'node:worker_threads';

const [directory, path] = process.argv.slice(2);
const started = [];
threads.Worker = class extends threads.Worker {
  constructor(...args) {
    super(...args);
    started.push(this);
  }
};
syncBuiltinESMExports();
const { linuxOsl } = await import(`${directory}/src/osl/linux/index.js`);

const warnings = [];
const osl = linuxOsl({ logger: { warn: (message) => warnings.push(message) } });
const host = await osl.openNamespace(path);
const descriptors = () => readdirSync('/proc/self/fd').length;
const told = {};

/** The thread closes what has ended a moment later. */
async function fewest(isEnough) {
  let least = descriptors();
  for (let i = 0; i < (isEnough(0) ? 500 : 25) && !isEnough(least); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    least = Math.min(least, descriptors());
  }
  return least;
}

// The servers are another process's, so that this one may be blocked.
const server = host.spawn(
  process.execPath,
  [
    '-e',
    `const echo = require('net').createServer((c) => c.pipe(c)).listen(80, '127.0.0.1');
   const udp = require('dgram').createSocket('udp4');
   udp.on('message', (data, from) => udp.send(data, from.port, from.address));
   echo.on('listening', () => udp.bind(80, '127.0.0.1', () => console.log('ready')));`,
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
await once(server.stdout, 'data');

const target = { address: '127.0.0.1', port: 80 };
// What is opened once, at the first use, is not counted.
const warm = await host.servePort({ protocol: 'tcp', address: '::', port: 8079 }, target);
const first = await host.connectTcp('::1', 8079);
first.end('warm');
await text(first);
warm.release();
(await host.holdPort({ protocol: 'tcp', address: '::', port: 8079 })).release();
const before = await fewest(() => false);
const tcp = await host.servePort({ protocol: 'tcp', address: '::', port: 8080 }, target);
const udp = await host.servePort({ protocol: 'udp', address: '::', port: 8080 }, target);

const client = (script) =>
  execFileSync('nsenter', [`--net=${path}`, process.execPath, '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
const askTcp = `const c = require('net').connect(8080, '::1'); let said = '';
  c.on('data', (d) => { said += d; }); c.on('end', () => console.log(said)); c.on('error', (e) => console.log(e.code)); c.end('by tcp');`;
const askUdp = `const s = require('dgram').createSocket('udp6'); const ask = () => s.send('by udp', 8080, '::1');
  s.on('message', (d) => { console.log(String(d)); process.exit(); }); setInterval(ask, 200); ask();`;

// Nothing else runs in this thread until the clients have ended.
told.whileBlocked = [client(askTcp), client(askUdp)].map((each) => each.trim());

const stream = await host.connectTcp('::1', 8080);
stream.on('error', () => undefined);
// A thread that is ended while it opens a socket leaves that open: this one has opened all that it will.
stream.write('first');
await once(stream, 'data');
const ended = text(stream);
await started[0].terminate();
// The port is still ours, and who comes now waits for the next thread.
told.heldBetween = await host
  .holdPort({ protocol: 'tcp', address: '::', port: 8080 })
  .catch((error) => error.errno);
const early = await host.connectTcp('::1', 8080);
const answer = text(early);
early.end('early');
told.early = await answer;
told.endOfTheFirst = await ended.catch(() => '');
told.threads = started.length;
told.warnings = warnings;
told.afterwards = [client(askTcp), client(askUdp)].map((each) => each.trim());

tcp.release();
udp.release();
tcp.release();
const again = await Promise.all([
  host.holdPort({ protocol: 'tcp', address: '::', port: 8080 }),
  host.holdPort({ protocol: 'udp', address: '::', port: 8080 }),
]);
told.freeAgain = again.map(({ port }) => port);
for (const each of again) each.release();
told.descriptorsLeft = (await fewest((count) => count <= before)) - before;
server.kill();
await once(server, 'exit');
await host.close();
await osl.close();
console.log(JSON.stringify(told));
