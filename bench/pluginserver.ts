/** The other process of `plugin.ts`: the built-in IPAM as a plugin, until its standard input ends. */
import { join } from 'node:path';
import { createIpam } from 'libnetwork/ipam';
import { serveIpam } from 'libnetwork/plugin';

const [directory = '.'] = process.argv.slice(2);
const server = await serveIpam(createIpam(), { socket: join(directory, 'bench.sock') });
console.log('ready');
process.stdin.resume();
process.stdin.on('end', () => void server.close());
