/** A real Docker daemon that uses our bridge driver and our IPAM, both served as its plugins. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DockerMachine, whyNoDocker } from './machine.ts';

const obstacle = whyNoDocker();
const MINUTES = 60_000;

describe.skipIf(obstacle !== undefined)(`a real Docker daemon with our plugins ${obstacle ?? ''}`, () => {
  let machine: DockerMachine;
  let before: Awaited<ReturnType<DockerMachine['look']>>;
  const docker = (...args: string[]) => machine.docker(...args);

  beforeAll(async () => {
    machine = await DockerMachine.start();
    await machine.importImage('bb');
    before = await machine.look();
  }, 3 * MINUTES);
  afterAll(() => machine?.end(), 2 * MINUTES);

  const run = (name: string, ...more: string[]) =>
    docker(
      'run',
      '-d',
      '--restart',
      'always',
      '--stop-timeout',
      '0',
      '--name',
      name,
      '--net',
      'front',
      ...more,
    );
  const addressOf = async (name: string) => {
    const networks = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}';
    const [ipv4 = '', ipv6 = ''] = (await docker('container', 'inspect', '-f', networks, name)).split(' ');
    return { ipv4, ipv6 };
  };
  const ping = async (from: string, to: string) => {
    const { ipv4, ipv6 } = await addressOf(to);
    await docker('exec', from, 'ping', '-c', '1', '-W', '10', ipv4);
    await docker('exec', from, 'ping6', '-c', '1', '-W', '10', ipv6);
  };
  // Not by busybox: its wget looks names up even where there are none, which a static one may not survive.
  const client =
    "fetch('http://127.0.0.1:18080/').then((r) => r.text()).then((text) => process.stdout.write(text))";
  const fetchPublished = () => machine.run(process.execPath, '-e', client);
  const running = async (name: string) => {
    await expect
      .poll(() => docker('container', 'inspect', '-f', '{{.State.Running}}', name), { timeout: MINUTES })
      .toBe('true');
  };

  it(
    'creates a network and starts containers that reach each other, by both families',
    async () => {
      await docker(
        'network',
        'create',
        '-d',
        'ours',
        '--ipam-driver',
        'ours',
        '--ipv6',
        '--subnet',
        'fd66::/64',
        'front',
      );
      await run('alpha', 'bb', 'sleep', '100000');
      await run('beta', 'bb', 'sleep', '100000');
      // The pool is of our IPAM's choosing, and the addresses are those that it gave.
      expect(await addressOf('alpha')).toEqual({ ipv4: '10.66.0.2', ipv6: 'fd66::2' });
      await ping('alpha', 'beta');
      await docker('exec', 'alpha', 'ping', '-c', '1', '-W', '10', 'beta');
      const { links } = await machine.look();
      expect(links.filter((name) => name.startsWith('br-'))).toHaveLength(1);
      expect(links.filter((name) => name.startsWith('v'))).toHaveLength(2);
    },
    3 * MINUTES,
  );

  it(
    'publishes a port',
    async () => {
      await run('web', '-p', '18080:80', 'bb', 'httpd', '-f', '-p', '80', '-h', '/www');
      await expect.poll(() => fetchPublished().catch(String), { timeout: MINUTES }).toBe('it works\n');
    },
    3 * MINUTES,
  );

  it(
    'says no in the words of our driver',
    async () => {
      const second = docker(
        'network',
        'create',
        '-d',
        'ours',
        '--ipam-driver',
        'ours',
        '--subnet',
        '10.66.0.0/24',
        'back',
      );
      await expect(second).rejects.toThrow(/remote: .*10\.66\.0\.0\/24 overlaps/);
    },
    3 * MINUTES,
  );

  it(
    'stops a container and starts it again',
    async () => {
      await docker('stop', '-t', '0', 'alpha');
      await docker('start', 'alpha');
      await ping('alpha', 'beta');
      await ping('beta', 'alpha');
    },
    3 * MINUTES,
  );

  it(
    'lives through the end of the plugin: containers are reached meanwhile, and can be stopped afterwards',
    async () => {
      await machine.tell('restart plugin');
      await ping('alpha', 'beta');
      expect(await fetchPublished()).toBe('it works\n');
      await docker('stop', '-t', '0', 'beta');
      await docker('start', 'beta');
      await ping('beta', 'alpha');
    },
    3 * MINUTES,
  );

  it(
    'lives through the end of the daemon, which starts its containers again',
    async () => {
      await machine.tell('restart docker');
      for (const name of ['alpha', 'beta', 'web']) await running(name);
      await ping('alpha', 'beta');
      await expect.poll(() => fetchPublished().catch(String), { timeout: MINUTES }).toBe('it works\n');
    },
    3 * MINUTES,
  );

  it(
    'leaves nothing behind: no link, no rule, no record',
    async () => {
      await docker('rm', '-f', 'alpha', 'beta', 'web');
      await docker('network', 'rm', 'front');
      const after = await machine.look();
      expect(after.links).toEqual(before.links);
      expect(after.rules).toEqual(before.rules);
      expect(after.kept).toEqual(before.kept);
      await machine.tell('stop');
    },
    3 * MINUTES,
  );
});
