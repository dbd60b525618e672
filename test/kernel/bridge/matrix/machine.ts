/** A machine of the matrix on the real kernel, with rules and a bridge that are none of ours. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LibnetworkError } from '../../../../src/errors.ts';
import type { FirewallEngine } from '../../../../src/osl/firewall/firewall.ts';
import { linuxOsl } from '../../../../src/osl/linux/index.ts';
import { onHost } from '../../../../src/osl/onhost.ts';
import type { Namespace, Osl } from '../../../../src/osl/osl.ts';
import { buildNetworks, buildSurroundings, type World, type WorldOptions } from './world.ts';

export interface Machine {
  /** `undefined` where the engine is not to be had. */
  readonly world: World | undefined;
  readonly whyNot: string;
  /** Two namespaces on a bridge that somebody else made. */
  readonly strangers: readonly Namespace[];
  /** What `look` saw before anything of ours was there. */
  readonly before: unknown;
  /** The host's rules, settings and links. */
  look(): Promise<unknown>;
  remove(): Promise<void>;
}

/** A firewall of the host's administrator: it drops something, and has policies of its own. */
const FOREIGN_RULES = `
table inet admin {
  set friends { type ipv4_addr; elements = { 192.0.2.7 } }
  chain input {
    type filter hook input priority 10; policy accept;
    ip saddr @friends tcp dport 25 drop
  }
  chain forward {
    type filter hook forward priority 10; policy accept;
    ip saddr @friends drop
  }
}
table ip old {
  chain POSTROUTING {
    type nat hook postrouting priority 110;
    oifname "nowhere" masquerade
  }
}
`;

/** The administrator uses iptables too: a rule in Docker's chain for him, and the chains that iptables keeps. */
const FOREIGN_IPTABLES = (['iptables', 'ip6tables'] as const).flatMap((program) => {
  const friend = program === 'iptables' ? '192.0.2.7' : '2001:db8::7';
  const kept = ['raw PREROUTING', 'nat PREROUTING', 'nat OUTPUT', 'nat POSTROUTING'].flatMap((place) =>
    ['-A', '-D'].map((action) => ['-t', place.split(' ')[0], action, place.split(' ')[1], '-s', friend]),
  );
  const own = ['-N DOCKER-USER', `-A DOCKER-USER -s ${friend} -j DROP`, '-A FORWARD -j DOCKER-USER'];
  return [...kept.map((args) => args.join(' ')), ...own].map((args) => `${program} ${args}`);
});

/**
 * What the driver turns on where a network needs it (`ensureForwarding`), and what the kernel sets along with it.
 * Counters say nothing.
 */
const DOCUMENTED =
  /^(ipv4\/ip_forward|ipv[46]\/conf\/[^/]+\/forwarding|ipv4\/conf\/[^/]+\/accept_redirects|ipv6\/conf\/[^/]+\/accept_ra|.*nf_conntrack_count|.*\/route\/gc_.*)=/;

export async function openMachine(engine: FirewallEngine): Promise<Machine> {
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-matrix-${process.pid}-`));
  const kernel = linuxOsl();
  const path = (name: string) => join(directory, name);
  const host = await kernel.createNamespace(path('host'));
  const osl = onHost(kernel, host);
  const remove = async () => {
    for (const each of await kernel.listNamespaces(directory)) await kernel.deleteNamespace(each);
    await kernel.close();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const strangers = await addStrangers(osl, path);
    await output(host, 'nft', ['-f', '-'], FOREIGN_RULES);
    await output(host, 'sh', ['-ec', FOREIGN_IPTABLES.join('\n')]);
    const surroundings = await buildSurroundings({ osl, engine, path });
    const before = await look(host);
    const built = await buildUnlessMissing({ osl, engine, path }, surroundings);
    return { ...built, strangers, before, look: () => look(host), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function buildUnlessMissing(
  options: WorldOptions,
  surroundings: ReadonlyMap<string, Namespace>,
): Promise<{ world: World | undefined; whyNot: string }> {
  try {
    return { world: await buildNetworks(options, surroundings), whyNot: '' };
  } catch (error) {
    if (!LibnetworkError.is(error, 'NOT_IMPLEMENTED')) throw error;
    return { world: undefined, whyNot: error.message };
  }
}

async function addStrangers(
  { host, createNamespace }: Osl,
  path: (name: string) => string,
): Promise<Namespace[]> {
  await host.apply([{ op: 'createLink', name: 'theirs', link: { kind: 'bridge' }, up: true }]);
  return Promise.all(
    [1, 2].map(async (n) => {
      const namespace = await createNamespace(path(`stranger${n}`));
      await host.apply([
        {
          op: 'createLink',
          name: `theirs${n}`,
          link: { kind: 'veth', peer: { name: 'eth0', namespace } },
          master: 'theirs',
          up: true,
        },
      ]);
      await namespace.apply([
        { op: 'addAddress', link: 'eth0', address: `172.31.0.${n}/24` },
        { op: 'addAddress', link: 'eth0', address: `fd31::${n}/64`, noDad: true },
        { op: 'setLink', name: 'eth0', up: true },
      ]);
      return namespace;
    }),
  );
}

async function look(host: Namespace): Promise<unknown> {
  const settings = await output(host, 'sh', [
    '-c',
    'cd /proc/sys/net && (grep -rs "" ipv4 ipv6 bridge netfilter core/somaxconn; true) | sed "s/:/=/"',
  ]);
  return {
    rules: withoutCounts(await output(host, 'nft', ['list', 'ruleset'])),
    links: (await host.links()).map(({ name, kind, up, mtu, master }) => ({ name, kind, up, mtu, master })),
    settings: settings
      .split('\n')
      .filter((line) => !DOCUMENTED.test(line))
      .sort(),
  };
}

/** The rules, without how often each was met and in what order the tables' parts are listed. */
function withoutCounts(rules: string): readonly string[] {
  return rules
    .replaceAll(/counter packets \d+ bytes \d+/g, 'counter')
    .split('\n')
    .sort();
}

async function output(
  namespace: Namespace,
  file: string,
  args: readonly string[],
  input = '',
): Promise<string> {
  // A program that reads nothing may have ended before it was handed something.
  const stdin = input === '' ? 'ignore' : 'pipe';
  const child = namespace.spawn(file, args, { stdio: [stdin, 'pipe', 'inherit'] });
  const parts: Buffer[] = [];
  child.stdout?.on('data', (part: Buffer) => parts.push(part));
  child.stdin?.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}`);
  return Buffer.concat(parts).toString();
}
