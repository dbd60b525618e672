/**
 * The untrusted code: it tries everything on its list and prints what came of it. It runs alone in a container, where
 * there is nothing but Node: no import of anything else.
 */
import { createSocket } from 'node:dgram';
import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Act, Timed } from './attempts.ts';

const [, , list = ''] = process.argv;
const lists: readonly (readonly Timed[])[] = JSON.parse(await readFile(list, 'utf8'));
for (const attempts of lists)
  await Promise.all(
    attempts.map(async ({ id, act, patienceMs }) => {
      const said = await attempt(act, id, patienceMs).then(
        (answer) => ({ answer }),
        (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
      );
      console.log(JSON.stringify({ id, ...said }));
    }),
  );

// Addresses that did not answer are still waited for.
process.exit();

function attempt(act: Act, id: string, patienceMs: number): Promise<string> {
  switch (act.by) {
    case 'tcp':
      return fetched(act.to, act.port, id, patienceMs);
    case 'udp':
      return answered(act.to, act.port, id, patienceMs);
    case 'dns':
      return asked(act, id, patienceMs);
  }
}

/** From whichever address answers first. */
async function fetched(to: string, port: number, id: string, patienceMs: number): Promise<string> {
  const addresses = await lookup(to, { all: true });
  return Promise.any(addresses.map(({ address }) => fetchedFrom(address, port, id, patienceMs)));
}

function fetchedFrom(host: string, port: number, id: string, patienceMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: patienceMs });
    let text = '';
    socket.on('connect', () =>
      socket.write(`GET /${id} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('end', () => resolve(text.split('\r\n\r\n')[1] ?? ''));
    socket.on('timeout', () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
  });
}

function answered(to: string, port: number, id: string, patienceMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => socket.emit('error', new Error('no answer')), patienceMs);
    socket.on('message', (data) => {
      clearTimeout(timer);
      socket.close();
      resolve(data.toString());
    });
    socket.on('error', (error) => {
      clearTimeout(timer);
      socket.close();
      reject(error);
    });
    socket.bind(0, () => {
      if (!to.includes(':')) socket.setBroadcast(true);
      socket.send(id, port, to);
    });
  });
}

async function asked(
  { name, type, server }: Extract<Act, { by: 'dns' }>,
  id: string,
  patienceMs: number,
): Promise<string> {
  const resolver = new Resolver({ timeout: patienceMs, tries: 1 });
  if (server !== undefined) resolver.setServers([server]);
  const answer: unknown = await resolver.resolve(name, type);
  return `${id}: ${JSON.stringify(answer)}`;
}
