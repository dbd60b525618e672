import { readFile } from 'node:fs/promises';
import { linuxOsl } from 'libnetwork';
import { GREETING, PUBLISHED, UNPUBLISHED, type World } from './world.ts';

const server = `
const { createServer } = require('node:http');
const listen = (port) => new Promise((listening) =>
  createServer((request, response) => response.end(${JSON.stringify(`${GREETING}\n`)})).listen(port, listening));
Promise.all([${PUBLISHED}, ${UNPUBLISHED}].map(listen)).then(() => console.log('listening'));
`;

const lookUp = `
const [server, type, name] = process.argv.slice(1);
const resolver = new (require('node:dns').promises.Resolver)({ timeout: 2000, tries: 1 });
resolver.setServers([server]);
const asked = type === 'PTR' ? resolver.reverse(name) : resolver.resolve(name, type);
asked.then((answers) => console.log(JSON.stringify(answers)));
`;

/** The real kernel. Needs root; no other program is started than Node itself. */
export function linuxWorld(): World {
  return {
    kind: 'linux',
    osl: linuxOsl(),
    server: { file: process.execPath, args: ['-e', server] },
    lookUp: { file: process.execPath, args: ['-e', lookUp] },
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
