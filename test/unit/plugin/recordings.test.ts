/**
 * What a real Docker daemon asked a plugin in recorded situations (`test/golden/plugin`), and what a controller asks
 * in the same ones: the same requests, in the same order, with the same bodies, whatever the plugin answers.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { countingFaults } from '../../../src/testing/faults.ts';
import { type Asked, handshake, RecordingPlugin, type Reply } from '../../support/recordingplugin.ts';
import { World } from '../crash/world.ts';
import { DockerCommands } from './dockercommands.ts';

interface Exchange {
  readonly method: string;
  readonly body: string;
  readonly status: number;
  readonly reply: unknown;
}
interface Step {
  readonly command: string;
  readonly exit: number;
  readonly exchanges: readonly Exchange[];
}

/** Where we are not as Docker is, and why. Each changes what is expected of us from what was recorded. */
const deviations: readonly { readonly why: string; readonly of: (asked: string[]) => string[] }[] = [
  {
    why: 'it asks for the same information twice in a row; once tells as much',
    of: (asked) => asked.filter((each, i) => !(each.includes('EndpointOperInfo') && asked[i - 1] === each)),
  },
  {
    why: 'it gives a subnet back while the network still has it; ours is free for others when the network is gone',
    of: (asked) => {
      const isDelete = (each: string) => each.startsWith('NetworkDriver.DeleteNetwork');
      return [...asked.filter(isDelete), ...asked.filter((each) => !isDelete(each))];
    },
  },
];

const directory = new URL('../../golden/plugin/', import.meta.url);
const files = readdirSync(directory).sort();
/** A daemon's restart goes on from the state that the scenario before it left. */
const follows: Readonly<Record<string, string>> = {
  '21-daemon-restart-replay.json': '20-capabilities-not-asked-again-after-plugin-restart.json',
};

function stepsOf(file: string): readonly Step[] {
  const { steps } = JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as { steps: Step[] };
  return steps;
}

let world: World;
let plugin: RecordingPlugin;
let docker: DockerCommands;
/** What the plugin answers to the requests of the step under way, by method. */
let replies: Map<string, Reply[]>;

beforeEach(async () => {
  world = new World();
  replies = new Map();
  plugin = await new RecordingPlugin(answer).start();
  docker = new DockerCommands(await open());
});
afterEach(async () => {
  await docker.controller.close();
  await plugin.stop();
  world.remove();
});

async function open() {
  const { controller } = await world.open(countingFaults(), [], {
    plugins: plugin.options,
    // The first one that the recorded daemon had to give beside its own.
    defaultAddressPools: [
      { base: '172.18.0.0/16', size: 16 },
      { base: '172.19.0.0/16', size: 16 },
    ],
  });
  return controller;
}

function answer(asked: Asked, response: ServerResponse): Reply | undefined {
  const reply = replies.get(asked.method)?.shift() ?? { body: handshake[asked.method] ?? {} };
  const { InterfaceName } = reply.body as { InterfaceName?: { SrcName: string } };
  if (InterfaceName === undefined) return reply;
  void makeLink(InterfaceName.SrcName).then(() => response.end(JSON.stringify(reply.body)));
  return undefined;
}

/** What the recorded plugin makes when it is asked to join. */
async function makeLink(name: string): Promise<void> {
  const osl = fakeOsl({ kernel: world.kernel });
  await osl.host.apply([{ op: 'createLink', name, link: { kind: 'veth', peer: { name: `${name}h` } } }]);
  await osl.close();
}

describe.each(files)('%s', (file) => {
  it('is what we ask too', async () => {
    const before = follows[file];
    for (const step of before === undefined ? [] : stepsOf(before)) await play(step);
    for (const step of stepsOf(file)) await compare(step, await play(step));
  });
});

/** Runs a recorded command on our side. What it asks the plugin is answered as it was recorded. */
async function play(step: Step): Promise<readonly Asked[]> {
  replies = new Map();
  for (const { method, status, reply } of step.exchanges)
    replies.set(method, [...(replies.get(method) ?? []), { status, body: reply }]);
  const from = plugin.asked.length;
  const restarts = step.command.startsWith('(');
  if (step.exchanges.length === 0 && !step.command.includes('docker rm ')) return [];
  try {
    await (restarts ? docker.restart(open) : docker.run(step.command));
    expect(step.exit, step.command).toBe(0);
  } catch (error) {
    if (step.exchanges.length === 0) return [];
    if (!LibnetworkError.is(error)) throw error;
    // What the plugin said reaches the caller, in Docker's words.
    const said = step.exchanges.flatMap(({ reply }) => Object.values(reply as object)).filter(isRefusal);
    expect(error.message).toContain(said[0]);
    expect(step.exit, `${step.command}: ${error.message}`).not.toBe(0);
  }
  return plugin.asked.slice(from);
}

function isRefusal(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('peerplug ');
}

async function compare(step: Step, asked: readonly Asked[]): Promise<void> {
  const names = new Names(step.command);
  const recorded = step.exchanges.map(({ method, body }) => names.line(method, body));
  const ours = new Names(step.command);
  const got = asked.map(({ method, rawBody }) => ours.line(method, rawBody));
  const wanted = deviations.reduce((all, deviation) => deviation.of(all), recorded);
  const activates = wanted.some((line) => line.startsWith('Plugin.Activate'));
  const questions = new Set(Object.keys(handshake));
  const comparable = got.filter((line) => activates || !questions.has(line.split(' ')[0] ?? ''));
  // Docker removes several containers at once: their requests are mixed.
  const several = /^docker rm -f \S+ \S+/.test(step.command);
  if (several) expect([...comparable].sort(), step.command).toEqual([...wanted].sort());
  else expect(comparable, step.command).toEqual(wanted);
}

/** Requests without what differs from run to run: ids, paths, made-up MAC addresses, the order of exposed ports. */
class Names {
  readonly #ids = new Map<string, string>();
  readonly #command: string;

  constructor(command: string) {
    this.#command = command;
  }

  line(method: string, body: string): string {
    const plain = body
      .trim()
      .replace(/"(NetworkID|EndpointID)":"([0-9a-f]{64})"/g, (_, kind, id) => `"${kind}":"${this.#name(id)}"`)
      .replace(/"SandboxKey":"[^"]+"/, '"SandboxKey":"…"')
      .replace(/[0-9a-f]{2}(:[0-9a-f]{2}){5}/g, (mac) => (this.#command.includes(mac) ? mac : 'made up'))
      .replace(
        /"com.docker.network.endpoint.exposedports":\[([^\]]*)\]/,
        (_, ports) => `"exposedports":[${this.#sorted(ports)}]`,
      );
    return `${method} ${plain}`.trim();
  }

  #name(id: string): string {
    const name = this.#ids.get(id) ?? `id ${this.#ids.size + 1}`;
    this.#ids.set(id, name);
    return name;
  }

  #sorted(ports: string): string {
    return (ports.match(/\{[^}]*\}/g) ?? []).sort().join();
  }
}

it('sends the headers that Docker sends, and no body where there are no arguments', async () => {
  const [create] = stepsOf('01-net-and-ipam.json');
  if (create) await play(create);
  expect(plugin.methods).toContain('NetworkDriver.CreateNetwork');
  for (const { headers, rawBody, method } of plugin.asked) {
    expect(headers).toMatchObject({
      accept: 'application/vnd.docker.plugins.v1.2+json',
      'content-length': String(Buffer.byteLength(rawBody)),
      host: 'plugin.moby.localhost',
    });
    expect(headers['content-type']).toBeUndefined();
    if (method in handshake) expect(rawBody).toBe('');
    else expect(rawBody).toMatch(/^\{.*\}\n$/);
  }
});
