// A controller whose name servers run in a thread, put to the test; prints what it found as one line of JSON.
// Arguments: the directory of the compiled sources, and a directory of its own.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import packet from 'dns-packet';

const [compiled, directory] = process.argv.slice(2);
const { NetworkController } = await import(`${compiled}/src/index.js`);
const client = fileURLToPath(new URL('./client.mjs', import.meta.url));
const threads = [];
process.on('worker', (thread) => threads.push(thread));
const warnings = [];
const note = (message) => warnings.push(message);
const logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };

const controller = await NetworkController.open({
  runDir: directory,
  instance: `busy-${process.pid}`,
  dns: { worker: true, ttl: 7 },
  logger,
});
const network = await controller.createNetwork({
  name: 'front',
  dns: { records: { db: ['10.1.1.1'] }, forward: 'none' },
});
const sandbox = await controller.createSandbox({ containerId: 'c1' });
const web = await network.createEndpoint({ name: 'web' });
await web.join(sandbox);

/** Nothing else runs in this thread until the client has ended, so only the other one can have answered. */
function ask(name) {
  const inside = [`--net=${sandbox.namespacePath}`, process.execPath, client, 'udp', name, 'A', '0'];
  const reply = JSON.parse(execFileSync('nsenter', inside, { encoding: 'utf8' }));
  return reply.rcode === 'NOERROR'
    ? reply.answers.map(({ data, ttl }) => `${data} ${ttl}`)
    : (reply.rcode ?? 'silence');
}

/** Asks as soon as something has changed, again and again. */
async function changes(count) {
  const socket = await (await openInside()).bindUdp('127.0.0.1', 0);
  socket.onMessage((message) => {
    const { questions, answers } = packet.decode(message);
    waiting.get(questions[0].name)?.(answers[0]?.data);
  });
  const wrong = [];
  for (let i = 0; i < count; i++) {
    const endpoint = await network.createEndpoint({ name: `e${i}` });
    await endpoint.join(await other());
    if ((await once(socket, `e${i}`)) !== endpoint.ipv4.split('/')[0]) wrong.push(`${i} after its join`);
    await endpoint.delete({ force: true });
    if ((await once(socket, `e${i}`)) !== undefined) wrong.push(`${i} after its end`);
  }
  socket.close();
  return wrong;
}

const waiting = new Map();
let second;
async function other() {
  second ??= await controller.createSandbox({ containerId: 'c2' });
  return second;
}

let osl;
async function openInside() {
  const { linuxOsl } = await import(`${compiled}/src/osl/linux/index.js`);
  osl ??= linuxOsl();
  return osl.openNamespace(sandbox.namespacePath);
}

/** Asks from this thread; the first address, or none. */
function once(socket, name) {
  const question = packet.encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] });
  const answer = new Promise((resolve) => {
    waiting.set(name, resolve);
  });
  socket.send(question, { address: '127.0.0.11', port: 53 });
  return answer;
}

async function untilAnswered() {
  for (let i = 0; i < 100; i++) {
    const found = await sandbox.dnsCounters().catch(() => undefined);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the name server did not come back');
}

const found = {
  blocked: [ask('web'), ask('db'), ask('elsewhere.example')],
  counters: await sandbox.dnsCounters(),
  wrong: await changes(20),
};
const descriptors = () => readdirSync('/proc/self/fd').length;
const before = descriptors();
for (let i = 0; i < 3; i++) {
  await threads.at(-1).terminate();
  await untilAnswered();
}
Object.assign(found, {
  afterDeath: [ask('web'), ask('db')],
  threads: threads.length,
  warnings,
  leakedDescriptors: descriptors() - before,
});
await sandbox.delete();
await second?.delete();
await network.delete();
await controller.close();
await osl?.close();
console.log(JSON.stringify(found));
