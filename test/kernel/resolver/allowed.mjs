// Name servers in a thread, whose answers to allowed names wait for this one; prints what it found as one line of
// JSON. Arguments: the directory of the compiled sources, and the path of a sandbox's namespace.
import { pathToFileURL } from 'node:url';
import packet from 'dns-packet';

const [compiled, path] = process.argv.slice(2);
const source = (name) => import(`${compiled}/src/${name}.js`);
const { linuxOsl } = await source('osl/linux/index');
const { NameTable } = await source('resolver/names');
const { NameServerThread } = await source('resolver/threadservers');

const osl = linuxOsl();
const namespace = await osl.openNamespace(path);
const names = new NameTable();
names.setSandbox({ id: 's1', networks: ['n1'] });
names.setNetwork({ id: 'n1', name: 'front', allow: ['*.example'], records: { 'db.example': ['10.1.1.2'] } });

const events = [];
const warnings = [];
/** What becomes of the next name. */
let verdict = async () => undefined;
const servers = new NameServerThread({
  oslModule: pathToFileURL(`${compiled}/src/osl/linux/index.js`).href,
  hostPath: path,
  names,
  limits: { allowMs: 2000 },
  logger: { warn: (message, { error }) => warnings.push(`${message}: ${error?.code ?? error}`) },
  onAllowed: async (network, name, addresses) => {
    events.push(`${network} ${name} ${addresses.map((it) => `${it.address} ${it.ttlSeconds}`)}`);
    await verdict();
    events.push('let through');
  },
});
const upstream = await namespace.bindUdp('127.0.0.20', 53);
upstream.onMessage((message, from) => {
  const { id, questions } = packet.decode(message);
  const answers = [{ type: 'A', name: questions[0].name, ttl: 5, data: '192.0.2.1' }];
  upstream.send(packet.encode({ type: 'response', id, questions, answers }), from);
});
const server = await servers.start(
  {
    sandboxId: 's1',
    upstreams: [{ address: '127.0.0.20', from: 'sandbox' }],
    ndotsSet: false,
    firewallTable: `libnetwork-test-${process.pid}`,
  },
  namespace,
);

async function ask(name) {
  const socket = await namespace.bindUdp('127.0.0.1', 0);
  const answer = new Promise((resolve) => {
    socket.onMessage((reply) => resolve(packet.decode(reply)));
  });
  socket.send(packet.encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] }), {
    address: '127.0.0.11',
    port: 53,
  });
  const { rcode, answers } = await answer;
  socket.close();
  events.push(`${rcode} ${answers.map((it) => it.data)}`);
}

await ask('db.example');
await ask('a.example');
verdict = () => Promise.reject(new Error('no firewall'));
await ask('b.example');
verdict = () => new Promise(() => undefined);
await ask('c.example');
const { failed } = await server.counters();
await server.close();
await servers.close();
upstream.close();
await osl.close();
console.log(JSON.stringify({ events, warnings, failed }));
