/** What runs in a container: a web server on port 8080, and a client that is told by lines what to fetch. */
import { Resolver } from 'node:dns/promises';
import { createServer, get } from 'node:http';
import { serve } from './protocol.ts';

const [greeting = ''] = process.argv.slice(2);
const listening = new Promise<boolean>((resolve) => {
  createServer((_, response) => response.end(greeting)).listen(8080, '::', () => resolve(true));
});

const resolver = new Resolver({ timeout: 2000, tries: 2 });
resolver.setServers(['127.0.0.11']);

serve(
  {
    ready: () => listening,
    resolve: ({ name, family }: { name: string; family: 4 | 6 }) =>
      family === 4 ? resolver.resolve4(name) : resolver.resolve6(name),
    fetch: ({ address, port = 8080 }: { address: string; port?: number }) => fetchText(address, port),
  },
  async () => undefined,
);

function fetchText(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, timeout: 3000, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    request.on('timeout', () => request.destroy(new Error(`no answer from ${host}`)));
    request.on('error', reject);
  });
}
