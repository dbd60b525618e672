/** Policies, proven by packets: every pair, over tcp, udp and icmp in both families, by both engines and in memory. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { FAMILIES, type Family } from '../../../src/ip.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, isClosed, udpClient } from '../../unit/drivers/setting.ts';
import { pairs, SCENES, type Scene } from './policy/scenes.ts';
import {
  ADDRESSES,
  buildPolicyWorld,
  hideBridged,
  PORTS,
  type PolicyWorld,
  type Who,
} from './policy/world.ts';

type By = 'tcp' | 'udp' | 'icmp';
interface Question {
  readonly from: Who;
  readonly to: Who;
  readonly family: Family;
  readonly by: By;
  readonly port: number;
}

const QUESTIONS: readonly Question[] = pairs.flatMap(([from, to]) =>
  FAMILIES.flatMap((family) => [
    ...(['tcp', 'udp'] as const).flatMap((by) => PORTS.map((port) => ({ from, to, family, by, port }))),
    { from, to, family, by: 'icmp' as const, port: 0 },
  ]),
);

const show = ({ from, to, family, by, port }: Question) => `${from} -> ${to} ${by} ${port} ${family}`;
const expected = (scene: Scene) =>
  QUESTIONS.filter(({ from, to, by, port }) => scene.passes(from, to, by, port)).map(show);

/** A first try is short, as most that fail never answer; what should pass has more time on a busy machine. */
async function passes(world: PolicyWorld, question: Question, patience: number): Promise<boolean> {
  const from = world.namespaces.get(question.from);
  const address = ADDRESSES[question.to][question.family];
  if (from === undefined) throw new Error(`there is no ${question.from}`);
  if (question.by === 'icmp') return (await from.ping(address, { timeoutMs: patience })) !== undefined;
  if (question.by === 'tcp') return (await ask(from, address, question.port, patience)) === question.to;
  const client = await udpClient(from, address);
  try {
    return (await client.ask(question.port, patience)) === question.to;
  } finally {
    client.close();
  }
}

async function seen(world: PolicyWorld, scene: Scene): Promise<string[]> {
  const should = new Set(expected(scene));
  const answers = await Promise.all(
    QUESTIONS.map(
      async (question) =>
        (await passes(world, question, 700)) ||
        (should.has(show(question)) && (await passes(world, question, 5_000))),
    ),
  );
  return QUESTIONS.filter((_, i) => answers[i]).map(show);
}

describe('policies in memory', () => {
  it.for(SCENES.map((scene) => ({ scene, title: scene.title })))('$title', async ({ scene }) => {
    const osl = fakeOsl();
    const path = (name: string) => `/run/policy/${name}`;
    const world = await buildPolicyWorld(osl, path, 'nftables');
    await hideBridged(osl);
    await world.setPolicy(scene.policy);
    const found = QUESTIONS.filter(({ from, to, family, by, port }) => {
      const answer = osl.kernel.reaches(
        from === 'host' ? 'host' : path(from),
        ADDRESSES[to][family],
        by === 'icmp' ? { protocol: by } : { protocol: by, port },
      );
      return answer.reaches;
    }).map(show);
    expect(found).toEqual(expected(scene));
  });
});

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `policies on the real kernel, by %s ${whyNot}`,
  (engine) => {
    it('let the same packets pass as they say, one after the other', { timeout: 120_000 }, async () => {
      await withTestHost(async ({ osl, path }) => {
        const world = await buildPolicyWorld(osl, path, engine);
        await hideBridged(osl);
        for (const scene of SCENES) {
          await world.setPolicy(scene.policy);
          expect(await seen(world, scene), scene.title).toEqual(expected(scene));
        }
        await world.firewall.close();
      });
    });

    it('leave what was allowed once alone, and refuse what begins later', async () => {
      await withTestHost(async ({ osl, path }) => {
        const world = await buildPolicyWorld(osl, path, engine);
        const at = (who: Who) => world.namespaces.get(who) as Namespace;
        await echo(at('db'), 90);
        const streams = await Promise.all(
          FAMILIES.map((family) => at('web').connectTcp(ADDRESSES.db[family], 90)),
        );
        for (const stream of streams) expect(await says(stream, 'before')).toBe('before');
        await world.setPolicy([{ to: { endpoint: 'db' }, action: 'deny' }]);
        for (const stream of streams) expect(await says(stream, 'after')).toBe('after');
        for (const family of FAMILIES) expect(await isClosed(at('web'), ADDRESSES.db[family], 90)).toBe(true);
        for (const stream of streams) stream.destroy();
        await world.firewall.close();
      });
    });

    it('know an endpoint by its labels of now, and forget it when it leaves', async () => {
      await withTestHost(async ({ osl, path }) => {
        const world = await buildPolicyWorld(osl, path, engine);
        const guest = world.namespaces.get('guest') as Namespace;
        await world.setPolicy([
          { from: { labels: { trusted: 'yes' } }, to: { endpoint: 'db' }, action: 'allow' },
          { to: { endpoint: 'db' }, action: 'deny' },
        ]);
        expect(await isClosed(guest, ADDRESSES.db.ipv4, 80)).toBe(true);
        const { network, endpoint } = world.places.guest;
        await world.driver.relabel?.({ network, endpoint: { ...endpoint, labels: { trusted: 'yes' } } });
        expect(await ask(guest, ADDRESSES.db.ipv4, 80)).toBe('db');
        await world.driver.leave(world.places.guest);
        expect(JSON.stringify(world.firewall.intents())).not.toContain(ADDRESSES.guest.ipv4);
        await world.firewall.close();
      });
    });

    it('let a forged source out of the network no more than a known one', async () => {
      await withTestHost(async ({ osl, path }) => {
        const world = await buildPolicyWorld(osl, path, engine);
        const guest = world.namespaces.get('guest') as Namespace;
        await world.setPolicy([{ from: { endpoint: 'guest' }, to: 'outside', action: 'deny' }]);
        const heard: string[] = [];
        const sink = await (world.namespaces.get('outside') as Namespace).bindUdp('0.0.0.0', 9);
        sink.onMessage((data) => heard.push(String(data)));
        await guest.apply([{ op: 'addAddress', link: 'eth0', address: '10.9.0.77/24' }]);
        const send = async (address: string, text: string) => {
          const socket = await guest.bindUdp(address, 0);
          socket.send(Buffer.from(text), { address: ADDRESSES.outside.ipv4, port: 9 });
          socket.close();
        };
        await send('10.9.0.77', 'forged');
        await world.setPolicy([]);
        // By the same way, so that what was sent before would be there by now.
        const next = async () => {
          await send(ADDRESSES.guest.ipv4, 'known');
          return heard.at(-1);
        };
        await expect.poll(next, { timeout: 10_000 }).toBe('known');
        expect(heard).not.toContain('forged');
        await world.firewall.close();
      });
    });
  },
);

/** Says everything back. */
async function echo(namespace: Namespace, port: number): Promise<void> {
  for (const address of ['0.0.0.0', '::'])
    await namespace.listenTcp(address, port, (stream) => {
      stream.on('error', () => stream.destroy());
      stream.pipe(stream);
    });
}

async function says(stream: Duplex, text: string): Promise<string> {
  stream.write(text);
  const [answer] = (await once(stream, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
  return String(answer);
}
