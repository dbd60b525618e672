/** The command line as a person at the keyboard has it: words, codes, formats, colours, completion, programs. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually, hasProgram } from '../../support/daemon.ts';
import { type Daemon, isBuilt, program, run, withDaemon } from '../../support/dnet.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';

/** Runs a command that is to succeed. */
async function done(daemon: Daemon, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await daemon.dnet(...args);
  if (code !== 0) throw new Error(`dnet ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

/** A network, a sandbox, and an endpoint with a published port in it. */
async function furnished(daemon: Daemon): Promise<void> {
  await done(daemon, 'network', 'create', '--subnet', '10.84.0.0/24', '--label', 'tier=front', 'front');
  await done(daemon, 'sandbox', 'create', 'c1');
  await done(daemon, 'endpoint', 'create', '-p', '8080:80', 'front', 'web');
  await done(daemon, 'endpoint', 'join', 'front', 'web', 'c1');
}

describe.skipIf(!isBuilt)('what a command ends with (after npm run build)', () => {
  it('a code that tells the kind of failure, words that name what failed, and a next step', async () => {
    await withDaemon({}, async (daemon) => {
      await furnished(daemon);
      const nowhere = `unix://${daemon.directory}/nobody`;
      const cases: readonly (readonly [code: number, words: RegExp, args: readonly string[]])[] = [
        [2, /unknown command 'bogus'[\s\S]*dnet network --help/, ['network', 'bogus']],
        [2, /unknown option '--bogus'[\s\S]*dnet network ls --help/, ['network', 'ls', '--bogus']],
        [2, /missing required argument/, ['network', 'create']],
        [2, /^dnet: name: must be letters, digits/, ['network', 'create', 'bad name!']],
        [2, /^dnet: ip-range: no matching --subnet for 10\.9\.0\.0\/25/, rangeElsewhere],
        [2, /^dnet: the template of --format: /, ['network', 'ls', '--format', '{{.Name']],
        [2, /^dnet: publish: must be \[ADDRESS:\]/, ['endpoint', 'create', '-p', 'http', 'front', 'x']],
        [3, /^dnet: no such network: nosuch\n {2}`dnet network ls` tells/, ['network', 'inspect', 'nosuch']],
        [3, /^dnet: no such sandbox: nosuch\n {2}`dnet sandbox ls` tells/, ['sandbox', 'inspect', 'nosuch']],
        [3, /^dnet: unknown driver "nosuch": there are bridge/, ['network', 'create', '-d', 'nosuch', 'x']],
        [4, /^dnet: network with name front already exists\n$/, ['network', 'create', 'front']],
        [4, /is in network front already, by its endpoint web/, ['network', 'connect', 'front', 'c1']],
        [5, /^dnet: network front has active endpoints: web .*delete them/, ['network', 'rm', 'front']],
        [5, /^dnet: bridge is a predefined network/, ['network', 'rm', 'bridge']],
        [5, /leave first, or delete with force/, ['endpoint', 'rm', 'front', 'web']],
        [6, /no daemon can be reached at .*Start one with `dnet daemon`/, ['-H', nowhere, 'network', 'ls']],
        [8, /the fake kernel runs no programs/, ['sandbox', 'exec', 'c1', 'true']],
      ];
      const ran = await Promise.all(cases.map(([, , args]) => daemon.dnet(...args)));
      const outcomes = ran.map(({ code, stderr }, i) => [cases[i]?.[2], code, stderr]);
      expect(outcomes).toEqual(
        cases.map(([code, words, args]) => [args, code, expect.stringMatching(words)]),
      );
    });
  });

  it('a service that endpoints share, drained and given connections again', async () => {
    await withDaemon({}, async (daemon) => {
      const create = ['endpoint', 'create', '--service', 'shop', '--service-alias', 'store'];
      await done(daemon, 'network', 'create', '--subnet', '10.85.0.0/24', 'front');
      await done(daemon, ...create, '-p', '8081:80', '--label', 'role=web', 'front', 'shop.1');
      await done(daemon, 'sandbox', 'create', 'c1');
      await done(daemon, 'endpoint', 'join', 'front', 'shop.1', 'c1');
      const told = async () => {
        const shown = await done(daemon, 'endpoint', 'inspect', '--format', 'json', 'front', 'shop.1');
        const { service, labels, ports } = JSON.parse(shown);
        return { ...service, labels, ports: ports.map(({ host }: { host: number }) => host) };
      };
      const whole = { name: 'shop', aliases: ['store'], mode: 'vip', labels: { role: 'web' } };
      expect(await told()).toMatchObject({ ...whole, enabled: true, ipv4: '10.85.0.3/24' });
      const { ports } = await told();
      const update = await daemon.dnet('endpoint', 'update', 'front', 'shop.1');
      expect([update.code, update.stderr]).toEqual([2, expect.stringContaining('--no-publish')]);
      expect((await told()).ports).toEqual(ports);
      await done(daemon, 'endpoint', 'update', '--drain', 'front', 'shop.1');
      expect(await told()).toMatchObject({ ...whole, enabled: false, ports });
      await done(daemon, 'endpoint', 'update', '--no-drain', 'front', 'shop.1');
      expect(await told()).toMatchObject({ ...whole, enabled: true, ports });
      await done(daemon, 'endpoint', 'update', '--no-publish', 'front', 'shop.1');
      expect(await told()).toMatchObject({ ...whole, ports: [] });
      const { code, stderr } = await daemon.dnet('endpoint', 'create', '--round-robin', 'front', 'x');
      expect([code, stderr]).toEqual([2, expect.stringMatching(/^dnet: service: must be named/)]);
    });
  });

  it('of several names those that can be are done, and each failure is told once', async () => {
    await withDaemon({}, async (daemon) => {
      for (const name of ['a', 'b']) await done(daemon, 'network', 'create', name);
      const { code, stdout, stderr } = await daemon.dnet('network', 'rm', 'a', 'nosuch', 'host', 'b');
      expect([code, stdout]).toEqual([3, 'a\nb\n']);
      expect(stderr.match(/^dnet: /gm)).toHaveLength(2);
      expect(stderr).toMatch(/no such network: nosuch[\s\S]*host is a predefined network/);
      const shown = await daemon.dnet(
        'network',
        'inspect',
        '--format',
        '{{.Name}}',
        'nosuch',
        'host',
        'none',
      );
      expect([shown.code, shown.stdout]).toEqual([3, 'host\nnone\n']);
      expect(shown.stderr).toMatch(/no such network: nosuch/);
    });
  });
});

describe.skipIf(!isBuilt)('doctor (after npm run build)', () => {
  it('tells why nobody answers, beside what it sees without a daemon', async () => {
    await withDaemon({}, async (daemon) => {
      await daemon.stop();
      const { code, stdout } = await daemon.dnet('doctor');
      expect([code, stdout]).toEqual([1, expect.stringMatching(/^ok +Node\.js: v/)]);
      expect(stdout).toMatch(/^failure +daemon: no daemon can be reached at .*Start one with `dnet daemon`/m);
      const findings: { status: string }[] = JSON.parse(
        (await daemon.dnet('doctor', '--format', 'json')).stdout,
      );
      expect(findings.filter(({ status }) => status === 'failure').length).toBeGreaterThan(0);
    });
  });
});

const rangeElsewhere = ['network', 'create', '--subnet', '10.8.0.0/24', '--ip-range', '10.9.0.0/25', 'x'];

describe.skipIf(!isBuilt)('what a command prints (after npm run build)', () => {
  it('tables, JSON and templates of every list', async () => {
    await withDaemon({ flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      const lists = ['network', 'endpoint', 'sandbox', 'service'].map((noun) => [noun, 'ls']);
      for (const list of [...lists, ['port']]) {
        const table = (await done(daemon, ...list)).trimEnd().split('\n');
        expect([list, table.length]).toEqual([list, 2]);
        expect(table[0]).toMatch(/^[A-Z ]+$/);
        expect(JSON.parse(await done(daemon, ...list, '--format', 'json'))).toHaveLength(1);
        expect(await done(daemon, ...list, '--format', '{{len .}}')).toMatch(/^\d+\n$/);
      }
      expect(
        await done(daemon, 'port', '--format', 'table {{.HostAddress}}\\t{{.Host}}\\t{{.Network}}'),
      ).toBe('HOST ADDRESS   HOST   NETWORK\n0.0.0.0        8080   front\n');
      const template = '{{range .Members}}{{.IPv4}} {{index .Ports 0 | json}}{{end}} {{.Labels.tier}}';
      expect(await done(daemon, 'network', 'inspect', 'front', '--format', template)).toBe(
        '10.84.0.2/24 {"protocol":"tcp","container":80,"host":8080,"hostAddress":"0.0.0.0"} front\n',
      );
      expect(await done(daemon, 'network', 'ls', '-q')).toMatch(/^[0-9a-f]{12}\n$/);
      expect(await done(daemon, 'network', 'ls', '-q', '--no-trunc')).toMatch(/^[0-9a-f]{64}\n$/);
      expect(JSON.parse(await done(daemon, 'inspect')).networks).toHaveLength(1);
      expect(JSON.parse(await done(daemon, 'health'))).toMatchObject({ status: 'ok', kernel: 'fake' });
      expect(await done(daemon, 'stats')).toMatch(/^CONTAINER .*\nc1 +eth0 /);
      expect(await done(daemon, 'doctor')).toMatch(/^warning +kernel: the fake one\n +leave --fake out/m);
    });
  });

  it('colours on a terminal alone, and never with NO_COLOR', async () => {
    await withDaemon({}, async (daemon) => {
      const onTerminal = async (env: NodeJS.ProcessEnv): Promise<string> => {
        const line = `'${process.execPath}' '${program}' network ls`;
        const { stdout } = await run('script', ['-qec', line, '/dev/null'], {
          env: { DNET_HOST: daemon.host, TERM: 'xterm', NO_COLOR: '', FORCE_COLOR: '', ...env },
        });
        return stdout;
      };
      if (hasProgram('script')) {
        expect(await onTerminal({})).toContain('\u001b[1mNETWORK ID');
        expect(await onTerminal({ NO_COLOR: '1' })).not.toContain('\u001b');
      }
      const piped = await run(process.execPath, [program, 'network', 'ls'], {
        env: { DNET_HOST: daemon.host, TERM: 'xterm', NO_COLOR: '' },
      });
      expect(piped.stdout).toMatch(/^NETWORK ID/);
    });
  });

  it('events as they happen, and those that were', async () => {
    await withDaemon({}, async (daemon) => {
      await furnished(daemon);
      const past = await done(daemon, 'events', '--since', '10m', '--no-follow');
      expect(past.split('\n').map((line) => line.split(' ').slice(1, 4).join(' '))).toEqual([
        ...['network:create front', 'sandbox:create c1', expect.stringMatching(/^endpoint:create front /)],
        ...['endpoint:join front c1', ''],
      ]);
      const follower = execFile(process.execPath, [program, 'events', '--format', 'json'], {
        env: { ...process.env, DNET_HOST: daemon.host },
      });
      let told = '';
      follower.stdout?.on('data', (chunk) => {
        told += chunk;
      });
      // It is listened to a little after the program has started.
      await eventually(async () => {
        await done(daemon, 'network', 'create', `n${Date.now()}`);
        expect(told).toContain('"network:create"');
      });
      expect(JSON.parse(told.split('\n')[0] ?? '')).toMatchObject({ type: 'network:create' });
      follower.kill('SIGINT');
      expect(await new Promise((resolve) => follower.once('exit', resolve))).toBe(0);
    });
  });
});

describe.skipIf(!isBuilt)('the firewall’s rules, told (after npm run build)', () => {
  it('explain shows which rules a packet meets, and where it ends', async () => {
    await withDaemon({ flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      await done(daemon, 'network', 'create', '--subnet', '10.85.0.0/24', 'back');
      await done(daemon, 'sandbox', 'create', 'c2');
      await done(daemon, 'network', 'connect', 'back', 'c2');
      const explain = async (...args: string[]) =>
        JSON.parse(await done(daemon, 'firewall', 'explain', '--format', 'json', ...args));
      expect(await explain('--to', 'host', '--port', '8080')).toMatchObject({
        verdict: 'accept',
        destination: '10.84.0.2:80',
        question: 'outside to the host, tcp port 8080',
      });
      expect(await explain('--to', 'c1', '--port', '81')).toMatchObject({ verdict: 'drop' });
      // Networks are apart, whichever way.
      expect(await explain('--from', 'c2', '--to', 'c1', '--port', '81')).toMatchObject({ verdict: 'drop' });
      expect(await explain('--from', 'c1', '--to', '198.51.100.9', '--port', '443')).toMatchObject({
        verdict: 'accept',
      });
      const text = await done(daemon, 'firewall', 'explain', '--to', 'host', '--port', '8080');
      expect(text).toMatch(/→ destination becomes 10\.84\.0\.2, port 80\n[\s\S]*→ accept\npasses, to 10\.84/);
      const dropped = await done(daemon, 'firewall', 'explain', '--to', 'c1', '--port', '81');
      expect(dropped).toMatch(/^is dropped$/m);
      for (const [words, ...args] of [
        [/port: must be given with tcp/, '--to', 'c1'],
        [/no container or endpoint is named nosuch/, '--to', 'nosuch', '--port', '80'],
        [/is not of ipv6/, '--to', '10.84.0.2', '--port', '80', '--ipv6'],
      ] as const)
        expect((await daemon.dnet('firewall', 'explain', ...args)).stderr).toMatch(words);
    });
  });

  it('preview prints what holds, and what the end of a network would change', async () => {
    await withDaemon({ flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      const rules = await done(daemon, 'firewall', 'preview');
      expect(rules).toMatch(/^add table inet libnetwork-default\n/);
      expect(rules).toContain('10.84.0.2 . 80');
      const without = await done(daemon, 'firewall', 'preview', '--without', 'web');
      expect(without).toMatch(/delete element .*8080/);
      // It is only looked at.
      expect(await done(daemon, 'firewall', 'preview')).toBe(rules);
    });
  });
});

describe.skipIf(!isBuilt)('completion (after npm run build)', () => {
  it('bash completes commands, flags, and the names of what there is', async () => {
    await withDaemon({ flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      const script = `
        dnet() { "${process.execPath}" "${program}" "$@"; }
        source <(dnet completion bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _dnet
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      const completed = async (...words: string[]): Promise<string[]> => {
        const { stdout } = await run('bash', ['-c', script, 'bash', 'dnet', ...words], {
          env: { DNET_HOST: daemon.host },
        });
        return stdout.trim().split('\n');
      };
      expect(await completed('net')).toEqual(['network']);
      expect(await completed('network', 'in')).toEqual(['inspect', 'info']);
      expect(await completed('-H', 'unix:///x', 'firewall', '')).toEqual(['preview', 'explain']);
      expect(await completed('network', 'create', '--su')).toEqual(['--subnet']);
      expect(await completed('reconcile', '--d')).toEqual(['--dry-run', '--data-dir']);
      expect(await completed('network', 'rm', '')).toEqual(['front']);
      expect(await completed('sandbox', 'exec', '')).toEqual(['c1']);
      expect(await completed('service', 'detach', 'c1', 'w')).toEqual(['web.front']);
      expect(await completed('network', 'create', '')).toEqual(['']);
    });
  });
});

describe.skipIf(!isBuilt)('without a daemon (after npm run build)', () => {
  it('commands work on the records themselves, and are refused while a daemon has them', async () => {
    await withDaemon({}, async (daemon) => {
      const data = join(daemon.directory, 'data');
      const own = ['--fake', '--data-dir', data, '--run-dir', join(daemon.directory, 'run')];
      const alone = (...args: string[]) => run(process.execPath, [program, ...own, ...args]);
      await done(daemon, 'network', 'create', 'made-by-daemon');
      const refused = await alone('network', 'ls');
      expect([refused.code, refused.stderr]).toEqual([
        4,
        expect.stringMatching(new RegExp(`is open in process ${daemon.process.pid} .*close it there`)),
      ]);
      expect(await daemon.stop()).toBe(0);
      expect((await alone('network', 'create', 'made-alone')).code).toBe(0);
      expect((await alone('network', 'ls', '--format', '{{.Name}}')).stdout.trim().split('\n')).toEqual(
        expect.arrayContaining(['made-by-daemon', 'made-alone']),
      );
      expect((await alone('events', '--no-follow')).code).toBe(0);
      expect((await alone('network', 'inspect', 'nosuch')).code).toBe(3);
      await daemon.restart();
      expect(await done(daemon, 'network', 'ls')).toContain('made-alone');
    });
  });

  it('they have the settings that a daemon would have', async () => {
    const env = { DNET_CONFIG: '/nonexistent/dnet.json' };
    const { code, stderr } = await run(process.execPath, [program, '--fake', 'network', 'ls'], { env });
    expect([code, stderr]).toEqual([3, expect.stringContaining("/nonexistent/dnet.json can't be read")]);
  });
});

const skip = !isBuilt ? 'not built' : canUseKernel ? '' : whyNot;

describe.skipIf(skip !== '')(`on the real kernel${skip && ` (skipped: ${skip})`}`, () => {
  it('sandbox exec runs a program in the container’s stack, and ends as it ends', async () => {
    await withDaemon({ real: true, flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      const exec = (...args: string[]) => daemon.dnet('sandbox', 'exec', 'c1', ...args);
      const shown = await exec('cat', '/proc/net/dev');
      expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining('eth0:')]);
      expect(shown.stdout.match(/:/g)).toHaveLength(2);
      // Flags of the program are its own, with and without a mark.
      expect((await exec('sh', '-c', 'echo "$0 $1"', '-H', '--help')).stdout).toBe('-H --help\n');
      expect((await exec('--', 'sh', '-c', 'exit 7')).code).toBe(7);
      expect((await exec('sh', '-c', 'kill -9 $$')).code).toBe(137);
      expect(await exec('/nonexistent/program')).toMatchObject({
        code: 127,
        stderr: 'dnet: /nonexistent/program: not found\n',
      });
      expect((await exec('/etc/passwd')).code).toBe(126);
      expect((await daemon.dnet('sandbox', 'exec', 'nosuch', 'true')).code).toBe(3);
    });
  });

  it('sandbox exec hands on what it is told by signals', async () => {
    await withDaemon({ real: true, flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      const script = 'trap "echo usr1" USR1; trap "exit 3" QUIT; echo ready; while :; do sleep 0.1; done';
      const child = spawn(process.execPath, [program, 'sandbox', 'exec', 'c1', 'sh', '-c', script], {
        env: { ...process.env, DNET_HOST: daemon.host },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let told = '';
      child.stdout.on('data', (chunk: Buffer) => {
        told += chunk.toString('utf8');
      });
      await eventually(() => expect(told).toBe('ready\n'));
      child.kill('SIGUSR1');
      await eventually(() => expect(told).toBe('ready\nusr1\n'));
      child.kill('SIGQUIT');
      expect((await once(child, 'close'))[0]).toBe(3);
    });
  });

  it.skipIf(!hasProgram('script'))('sandbox exec hands Ctrl-C on once', async () => {
    await withDaemon({ real: true, flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      // A shell would count two that come at once as one.
      const counting = join(daemon.directory, 'count.mjs');
      await writeFile(
        counting,
        `let n = 0;
        process.on('SIGINT', () => {
          n += 1;
          if (n === 1) setTimeout(() => { console.log('got ' + n); process.exit(); }, 1000);
        });
        setInterval(() => undefined, 1000);
        console.log('ready');`,
      );
      const line = `'${process.execPath}' '${program}' sandbox exec c1 '${process.execPath}' '${counting}'`;
      const child = spawn('script', ['-qec', line, '/dev/null'], {
        env: { ...process.env, DNET_HOST: daemon.host },
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      // It ends with the program, which may be before anybody asks.
      const closed = once(child, 'close');
      let told = '';
      child.stdout.on('data', (chunk: Buffer) => {
        told += chunk.toString('utf8');
      });
      await eventually(() => expect(told).toContain('ready'));
      child.stdin.write('\u0003');
      await eventually(() => expect(told).toMatch(/got \d/));
      expect(told).toContain('got 1');
      child.stdin.end();
      await closed;
    });
  });

  it('reconcile tells what is missing, and puts it right', async () => {
    await withDaemon({ real: true, flags: ['--no-predefined'] }, async (daemon) => {
      await furnished(daemon);
      expect((await daemon.dnet('reconcile', '--dry-run')).stderr).toBe(
        'the kernel holds what the records say\n',
      );
      const bridge = `br-${(await done(daemon, 'network', 'ls', '-q')).trim()}`;
      await daemon.namespace?.deleteLink(bridge);
      const dry = await daemon.dnet('reconcile', '--dry-run');
      expect(dry.stdout).toContain(bridge);
      expect(await daemon.namespace?.link(bridge)).toBeUndefined();
      expect((await daemon.dnet('doctor')).stdout).toMatch(/warning +kernel and records: missing/);
      expect((await daemon.dnet('reconcile')).code).toBe(0);
      expect((await daemon.dnet('reconcile', '--dry-run')).stdout).toBe('');
      expect(await daemon.namespace?.link(bridge)).toBeDefined();
    });
  });

  it('in process: a sandbox, its program and its end, without a daemon', async () => {
    await withDaemon({ real: true, flags: ['--no-predefined'] }, async (daemon) => {
      expect(await daemon.stop()).toBe(0);
      const own = ['--data-dir', join(daemon.directory, 'data'), '--run-dir', join(daemon.directory, 'run')];
      const inside = async (...args: string[]): Promise<string> => {
        const child = daemon.namespace?.spawn(process.execPath, [program, ...own, ...args], {
          stdio: 'pipe',
        });
        if (!child) throw new Error('there is no host');
        let told = '';
        child.stdout?.on('data', (chunk: Buffer) => {
          told += chunk.toString('utf8');
        });
        const code = await new Promise((resolve) => child.once('close', resolve));
        expect([args, code]).toEqual([args, 0]);
        return told;
      };
      await inside('network', 'create', '--subnet', '10.84.0.0/24', 'front');
      await inside('sandbox', 'create', 'c1');
      await inside('network', 'connect', 'front', 'c1');
      expect(await inside('sandbox', 'exec', 'c1', 'cat', '/proc/net/dev')).toContain('eth0:');
      expect(await inside('endpoint', 'ls', '--format', '{{.IPv4}}')).toBe('10.84.0.2/24\n');
      await inside('sandbox', 'rm', 'c1');
      await inside('network', 'rm', 'front');
      expect(JSON.parse(await inside('reconcile', '--dry-run', '--format', 'json'))).toMatchObject({
        missing: [],
        orphaned: [],
      });
    });
  });
});
