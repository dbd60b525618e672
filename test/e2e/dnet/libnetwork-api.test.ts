import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type Answer, type Daemon, isBuilt, withDaemon } from '../../support/dnet.ts';

interface Exchange {
  readonly case: string;
  readonly method: string;
  readonly target: string;
  readonly body: string | null;
  readonly status: number;
  readonly contentType: string | null;
  readonly reply: string;
}

/** What libnetwork's own daemon answered. */
const exchanges: readonly Exchange[] = JSON.parse(
  readFileSync(new URL('../../golden/libnetwork/api.json', import.meta.url), 'utf8'),
);

/** Where our answer differs, and why. */
const deviations: Readonly<Record<string, readonly [status: number, text: RegExp, why: string]>> = {
  list: [200, /"name":"bridge".*"name":"host".*"name":"none"/, 'host and none are there too'],
  'create duplicate': [403, /^network with name n1 already exists\n$/, 'names are unique here'],
  'create bad type': [404, /^unknown driver "nosuch": there are /, 'in this package’s words'],
  'create bad JSON': [400, /^Invalid body: /, 'the parser has words of its own'],
  'delete joined endpoint': [403, /^endpoint ep1 .*is joined to a sandbox/, 'in this package’s words'],
  'delete network in use': [403, /^network n1 has active endpoints: ep1 /, 'in this package’s words'],
  'versioned path': [200, /"name":"n2"/, 'host and none are there, the second n1 is not'],
};

/** Ids and paths of the recording, and ours for them. */
class Known {
  readonly #pairs: (readonly [recorded: string, ours: string])[] = [];

  learn(recorded: string, ours: string): void {
    const [a, b] = [recorded, ours].map((text) => /^"([0-9a-f]{64})"\n$/.exec(text)?.[1]);
    if (a && b) this.#pairs.push([a, b]);
  }

  translate(text: string): string {
    let result = text;
    for (const [a, b] of this.#pairs)
      result = result.replaceAll(a, b).replaceAll(a.slice(0, 12), b.slice(0, 12));
    return result;
  }

  /** The start of an id, as in `partial-id=8ad8`. */
  prefix(text: string): string {
    const [first] = this.#pairs;
    return first && text.endsWith(`=${first[0].slice(0, 4)}`)
      ? text.replace(/=.*/, `=${first[1].slice(0, 12)}`)
      : text;
  }
}

describe.skipIf(!isBuilt)('libnetwork’s own API (after npm run build)', () => {
  it('answers as the original did, but for what is told above', { timeout: 120_000 }, async () => {
    await withDaemon({}, async (daemon) => {
      const known = new Known();
      const answers: unknown[] = [];
      const wanted: unknown[] = [];
      for (const { case: name, method, target, body, status, contentType, reply } of exchanges) {
        const path = known.prefix(known.translate(target.replace('/v1.19', '')));
        const text = body === null ? undefined : known.translate(body);
        const headers = text === undefined ? {} : { 'content-type': 'application/json' };
        const answer = await daemon.ask(method, `/libnetwork${path}`, { body: text, headers });
        known.learn(reply, answer.text);
        const own = deviations[name];
        const keys = answer.text.replaceAll(`${daemon.directory}/run/default/netns`, '/var/run/docker/netns');
        answers.push([name, answer.status, answer.headers['content-type'], keys]);
        wanted.push([
          name,
          own?.[0] ?? status,
          own ? expect.anything() : (contentType ?? undefined),
          own ? expect.stringMatching(own[1]) : known.translate(reply),
        ]);
      }
      expect(answers).toEqual(wanted);
    });
  });

  it('answers at the root too, where the original client asks, beside Docker’s API', async () => {
    await withDaemon({}, async (daemon) => {
      const client = new OriginalClient(daemon);
      const id = await client.create('/networks', { name: 'mh1', network_type: 'bridge' });
      await client.create('/services', { name: 'svc1', network_name: 'mh1' });
      expect(await client.networks()).toContainEqual(['mh1', 'bridge']);
      expect(await client.lookup('mh1')).toBe(id);
      expect(await client.lookup(id.slice(0, 10))).toBe(id);
      expect((await daemon.ask('GET', '/networks?name=nosuch')).text).toBe('null\n');
      expect((await daemon.ask('GET', `/networks/${id}`)).json).toMatchObject({
        name: 'mh1',
        id,
        type: 'bridge',
      });
      expect((await daemon.ask('GET', '/services?network=mh1')).json).toMatchObject([
        { name: 'svc1', network: 'mh1' },
      ]);
      expect((await daemon.ask('DELETE', `/networks/${id}`)).status).toBe(403);
    });
  });
});

/** Looks things up as the original's client does. */
class OriginalClient {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  async create(path: string, body: object): Promise<string> {
    const answer = await this.#daemon.send('POST', path, body);
    expect([answer.status, answer.headers['content-type']]).toEqual([201, 'application/json']);
    return String(answer.json);
  }

  async networks(): Promise<unknown[]> {
    const { json } = await this.#daemon.ask('GET', '/networks');
    return (json as { name: string; type: string }[]).map(({ name, type }) => [name, type]);
  }

  /** By name, then by the start of an id. */
  async lookup(name: string): Promise<string | undefined> {
    const ids = ({ json }: Answer) => (json as { id: string }[] | null)?.map(({ id }) => id) ?? [];
    const [byName] = ids(await this.#daemon.ask('GET', `/networks?name=${name}`));
    return byName ?? ids(await this.#daemon.ask('GET', `/networks?partial-id=${name}`))[0];
  }
}

interface Driven {
  readonly command: string;
  readonly exchanges: readonly {
    readonly request: string;
    readonly status: number;
    readonly reply: string;
  }[];
  readonly exit: number;
  readonly stdout: string;
}

/**
 * What libnetwork's own client, built from its source, sent to this daemon for each of its commands, what it was
 * answered, and what it printed. Ids stand as `{id 1}`, in the order in which they came.
 */
const driven: readonly Driven[] = JSON.parse(
  readFileSync(new URL('../../golden/libnetwork/client.json', import.meta.url), 'utf8'),
);

/** Ids as they are, and as the recording has them. */
class Ids {
  readonly #named = new Map<string, string>();

  /** What a reply of ours says, in the recording's terms. */
  plain(text: string): string {
    let result = text.replace(/\b[0-9a-f]{64}\b/g, (id) => {
      const name = this.#named.get(id) ?? `{id ${this.#named.size + 1}}`;
      this.#named.set(id, name);
      return name;
    });
    for (const [id, name] of this.#named)
      result = result.replaceAll(id.slice(0, 12), name.replace('id', 'short id'));
    return result
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '{time}')
      .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, '{mac}')
      .replace(/\bfd[0-9a-f]{2}(:[0-9a-f]{1,4}){2}::/g, '{ula}::')
      .replace(/there are bridge, .*\n/, 'there are {drivers}\n');
  }

  /** The bytes of a request with the ids of now: they are as long. */
  filled(text: string): string {
    let result = text;
    for (const [id, name] of this.#named) result = result.replaceAll(name, id);
    return result;
  }
}

/** Sends bytes as they are; the answer, as long as its head says. */
async function rawly(daemon: Daemon, bytes: string): Promise<{ status: number; reply: string }> {
  const socket = createConnection(daemon.socket);
  socket.write(bytes);
  let received = '';
  for await (const chunk of socket) {
    received += String(chunk);
    const [head = '', ...rest] = received.split('\r\n\r\n');
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    const reply = rest.join('\r\n\r\n');
    if (rest.length > 0 && Buffer.byteLength(reply) >= length)
      return { status: Number(head.split(' ')[1]), reply };
  }
  throw new Error(`the daemon hung up: ${received}`);
}

describe.skipIf(!isBuilt)('libnetwork’s own client (after npm run build)', () => {
  it('is answered byte for byte as it was when it drove this daemon', async () => {
    await withDaemon({}, async (daemon) => {
      const ids = new Ids();
      for (const { command, exchanges: sent } of driven) {
        const answers = [];
        for (const { request } of sent) {
          const { status, reply } = await rawly(daemon, ids.filled(request));
          const told = reply.replaceAll(`${daemon.directory}/run/default`, '<run>');
          answers.push({ request, status, reply: ids.plain(told) });
        }
        expect({ command, answers }).toEqual({ command, answers: sent });
      }
    });
  });

  it('may leave the network of a service away: it is the default one', async () => {
    await withDaemon({}, async (daemon) => {
      await daemon.send('POST', '/networks', { name: 'another' });
      const { json } = await daemon.ask('GET', '/networks?name=');
      expect((json as { name: string }[]).map(({ name }) => name)).toEqual(['bridge']);
    });
  });

  it('can’t choose the id of a network, from which the names of its links and rules are made', async () => {
    await withDaemon({}, async (daemon) => {
      const answer = await daemon.send('POST', '/networks', { name: 'mine', id: 'mhid' });
      expect([answer.status, answer.text]).toEqual([
        501,
        'the id of a network can not be chosen: leave it out\n',
      ]);
      expect((await daemon.ask('GET', '/networks?name=mine')).text).toBe('null\n');
    });
  });
});
