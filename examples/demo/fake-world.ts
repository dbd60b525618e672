import { createServer } from 'node:http';
import dnsPacket from 'dns-packet';
import { FakeKernel, type FakeProcess, fakeOsl } from 'libnetwork/osl/fake';
import { GREETING, PUBLISHED, UNPUBLISHED, type World } from './world.ts';

/** The kernel in memory: it forwards, filters and translates packets, and its programs are functions. */
export async function fakeWorld(): Promise<World> {
  const kernel = new FakeKernel();
  const programs = {
    server: program((process) => serve(kernel, process)),
    'look-up': program((process) => lookUp(kernel, process)),
  };
  const osl = fakeOsl({ kernel, programs });
  // As on any machine once it has started.
  return {
    kind: 'fake',
    osl,
    server: { file: 'server', args: [] },
    lookUp: { file: 'look-up', args: [] },
    mountsUnder: async (directory) =>
      kernel
        .namespaces()
        .flatMap((netns) => kernel.pathsOf(netns))
        .filter((path) => path.startsWith(directory)),
  };
}

/** A program that fails ends as one of Node's would: with its error on stderr, and code 1. */
function program(main: (process: FakeProcess) => Promise<void>): (process: FakeProcess) => void {
  return (process) => {
    main(process).catch((error: unknown) => {
      process.stderr.write(String(error));
      process.exit(1);
    });
  };
}

async function serve(kernel: FakeKernel, process: FakeProcess): Promise<void> {
  const osl = fakeOsl({ kernel });
  const here = await osl.openNamespace(process.namespacePath);
  const http = createServer((_request, response) => response.end(`${GREETING}\n`));
  for (const port of [PUBLISHED, UNPUBLISHED]) {
    for (const address of ['0.0.0.0', '::']) {
      await here.listenTcp(address, port, (stream) => http.emit('connection', stream));
    }
  }
  process.onKill(() => {
    // Its sockets go with the process, and its hold on the namespace.
    osl.close().finally(() => process.exit(0));
  });
  process.stdout.write('listening\n');
}

async function lookUp(kernel: FakeKernel, process: FakeProcess): Promise<void> {
  const [server = '', type = '', name = ''] = process.args;
  const osl = fakeOsl({ kernel });
  const here = await osl.openNamespace(process.namespacePath);
  const socket = await here.bindUdp('127.0.0.1', 0);
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.onMessage(resolve);
    setTimeout(() => reject(new Error('no answer')), 2000).unref();
  });
  const question =
    type === 'PTR'
      ? { type: 'PTR' as const, name: reverseName(name) }
      : { type: type === 'AAAA' ? ('AAAA' as const) : ('A' as const), name };
  const query = dnsPacket.encode({
    type: 'query',
    id: 1,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [question],
  });
  socket.send(query, { address: server, port: 53 });
  const { answers = [] } = dnsPacket.decode(await answer);
  process.stdout.write(
    JSON.stringify(answers.flatMap((record) => ('data' in record ? String(record.data) : []))),
  );
  await osl.close();
  process.exit(0);
}

/** The name that an address has in the reverse zones (RFC 1035 3.5, RFC 3596 2.5). */
function reverseName(address: string): string {
  if (!address.includes(':')) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  const [head = '', tail = ''] = address.split('::');
  const [before, after] = [head, tail].map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array.from({ length: 8 - (before?.length ?? 0) - (after?.length ?? 0) }, () => '0');
  const digits = [...(before ?? []), ...zeros, ...(after ?? [])]
    .map((group) => group.padStart(4, '0'))
    .join('');
  return `${[...digits].reverse().join('.')}.ip6.arpa`;
}
