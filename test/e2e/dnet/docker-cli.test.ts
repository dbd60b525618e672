import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Daemon, dockerClients, isBuilt, run, withDaemon } from '../../support/dnet.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { type Deviation, deviations, rewritten } from './deviations.ts';

interface Recording {
  readonly scenario: string;
  readonly argv: readonly string[];
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What client 28 printed against a Docker daemon of version 20.10. */
const recordings: readonly Recording[] = JSON.parse(
  readFileSync(new URL('../../golden/docker/cli.json', import.meta.url), 'utf8'),
);

/** Ids, times and random addresses are not to be compared. */
function plain(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, '<id>')
    .replace(/^[0-9a-f]{12}\b/gm, '<short id>')
    .replace(/"ID":"[0-9a-f]{12}"/g, '"ID":"<short id>"')
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)/g, '<time>')
    .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, '<mac>');
}

/** What was there beside the commands: containers, which are sandboxes here. */
async function prepare(daemon: Daemon, scenario: string): Promise<void> {
  const number = scenario.slice(0, 2);
  if (number === '40') {
    for (const containerId of ['recc', 'recd', 'recstopped'])
      expect((await daemon.send('POST', '/dnet/v1/sandboxes', { containerId })).status).toBe(201);
    await daemon.send('POST', '/networks/rec1/connect', { Container: 'recc' });
    await daemon.send('POST', '/networks/none/connect', { Container: 'recd' });
  }
  // In the recording it is stopped, and not shown.
  const stopped = { Container: 'recstopped' };
  if (number === '50') await daemon.send('POST', '/networks/rec3/disconnect', stopped);
  if (number === '59') await daemon.send('POST', '/networks/rec3/connect', stopped);
  // There it has an address that it will never get, and the network is in use.
  if (number === '70') await daemon.send('POST', '/networks/rec2/connect', stopped);
  if (number === '70')
    for (const id of ['recc', 'recd']) await daemon.send('DELETE', `/dnet/v1/sandboxes/${id}`);
}

interface Outcome {
  readonly scenario: string;
  readonly exit: number | null;
  readonly stdout: unknown;
  readonly stderr: unknown;
}

/** What is to come: the recording, or what differs from it by name. */
function expected({ scenario, exit, stdout, stderr }: Recording, major: number): Outcome {
  const own: Partial<Deviation> =
    deviations[scenario]?.find(({ client }) => client === undefined || client === major) ?? {};
  let text = plain(stdout);
  for (const [recorded, ours] of rewritten[scenario] ?? []) text = text.replaceAll(recorded, ours);
  // The older client leaves this line away.
  const said = major === 20 ? plain(stderr).replace(/^exit status 1\n/m, '') : plain(stderr);
  return {
    scenario,
    exit: own.exit ?? exit,
    stdout: matching(own.stdout ?? text),
    stderr: matching(own.stderr ?? said),
  };
}

function matching(wanted: string | RegExp): unknown {
  return typeof wanted === 'string' ? wanted : expect.stringMatching(wanted);
}

const clients = await Promise.all(
  dockerClients.map(async (path) => {
    const { stdout } = await run(path, ['--version']);
    return { path, version: /version ([\d.]+)/.exec(stdout)?.[1] ?? 'unknown' };
  }),
);
const kernels = [
  { name: 'the fake kernel', real: false, skip: '' },
  { name: 'the real kernel', real: true, skip: canUseKernel ? '' : whyNot },
];
const WAIT = 180_000;

describe.skipIf(!isBuilt)('the stock docker client with dnet (after npm run build)', () => {
  it.skipIf(clients.length > 0)('is skipped without a docker client: install docker.io', () => undefined);

  for (const { path, version } of clients) {
    const major = Number(version.split('.')[0]);
    for (const { name, real, skip } of kernels) {
      it.skipIf(skip !== '')(
        `prints with docker ${version} on ${name} what it prints with a Docker daemon${skip && ` (skipped: ${skip})`}`,
        { timeout: WAIT },
        async () => {
          await withDaemon({ real }, async (daemon) => {
            const outcomes: Outcome[] = [];
            const wanted: Outcome[] = [];
            // The version that was spoken in the recording.
            const env = { DOCKER_HOST: daemon.host, DOCKER_API_VERSION: '1.41' };
            for (const recording of recordings) {
              const { scenario, argv } = recording;
              await prepare(daemon, scenario);
              const ran = await run(path, argv, { env });
              outcomes.push({
                scenario,
                exit: ran.code,
                stdout: plain(ran.stdout),
                stderr: plain(ran.stderr),
              });
              wanted.push(expected(recording, major));
            }
            expect(outcomes).toEqual(wanted);
          });
        },
      );
    }

    it(`agrees with docker ${version} on a version, and takes its newer flags`, {
      timeout: WAIT,
    }, async () => {
      await withDaemon({}, async (daemon) => {
        const docker = async (...args: string[]) => {
          const { code, stdout, stderr } = await run(path, args, { env: { DOCKER_HOST: daemon.host } });
          if (code !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
          return stdout;
        };
        await docker(
          'network',
          'create',
          '--ipv6',
          '--subnet',
          '10.81.0.0/24',
          '--subnet',
          'fd81::/64',
          'both',
        );
        await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1' });
        const newer = major >= 28 ? ['--gw-priority', '7'] : [];
        await docker('network', 'connect', '--ip', '10.81.0.9', '--ip6', 'fd81::9', ...newer, 'both', 'c1');
        const [network] = JSON.parse(await docker('network', 'inspect', 'both'));
        expect(network).toMatchObject({
          EnableIPv6: true,
          IPAM: { Config: [{ Subnet: '10.81.0.0/24' }, { Subnet: 'fd81::/64' }] },
          Containers: { c1: { Name: 'c1', IPv4Address: '10.81.0.9/24', IPv6Address: 'fd81::9/64' } },
        });
        if (major >= 28) {
          expect(network.EnableIPv4).toBe(true);
          await docker('network', 'create', '--ipv4=false', '--ipv6', '--subnet', 'fd82::/64', 'six');
          expect(JSON.parse(await docker('network', 'inspect', 'six'))).toMatchObject([
            { EnableIPv4: false, EnableIPv6: true },
          ]);
        }
        expect(
          await docker('network', 'ls', '-q', '--filter', 'dangling=true', '--filter', 'name=six'),
        ).toMatch(major >= 28 ? /^[0-9a-f]{12}\n$/ : /^$/);
        expect(await docker('ps', '--format', '{{.Names}}')).toBe('c1\n');
        // Whole seconds, as the client sends them.
        const until = String(Math.floor(Date.now() / 1000) + 1);
        const span = ['--since', '10m', '--until', until];
        const told = await docker('events', ...span, '--filter', 'event=connect', '--format', '{{json .}}');
        expect(JSON.parse(told)).toMatchObject({
          Type: 'network',
          Action: 'connect',
          Actor: { Attributes: { container: 'c1', name: 'both', type: 'bridge' } },
        });
      });
    });
  }
});
