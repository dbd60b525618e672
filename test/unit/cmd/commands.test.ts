import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseHost } from '../../../src/client/host.ts';
import { completionScript } from '../../../src/cmd/completion.ts';
import { ownAddress, parseStore } from '../../../src/cmd/daemon/cluster.ts';
import { readConfig } from '../../../src/cmd/daemon/config.ts';
import { handedSocket } from '../../../src/cmd/daemon/servicemanager.ts';
import { outputTo } from '../../../src/cmd/output.ts';
import { poolsOf } from '../../../src/cmd/pools.ts';
import { makeProgram } from '../../../src/cmd/program.ts';
import { withSeparator } from '../../../src/cmd/separator.ts';
import { isIgnored, isInForeground } from '../../../src/cmd/signals.ts';
import { optionPairs, pairs, readPort, readTime, splitService } from '../../../src/cmd/values.ts';

const nowhere = { out: { write: () => true }, err: { write: () => true } };

describe('values of flags', () => {
  it.each([
    ['80', { protocol: 'tcp', container: 80 }],
    ['8080:80', { protocol: 'tcp', container: 80, host: 8080 }],
    ['8080-8090:80/udp', { protocol: 'udp', container: 80, host: 8080, hostEnd: 8090 }],
    ['127.0.0.1:8080:80', { protocol: 'tcp', container: 80, host: 8080, hostAddress: '127.0.0.1' }],
    ['[::1]:8080:80/sctp', { protocol: 'sctp', container: 80, host: 8080, hostAddress: '::1' }],
    ['127.0.0.1::80', { protocol: 'tcp', container: 80, hostAddress: '127.0.0.1' }],
  ])('a port: %s', (text, port) => {
    expect(readPort(text)).toEqual(port);
  });

  it.each(['', 'http', '80/icmp', ':', '1:2:3:4', '80-'])('no port: %s', (text) => {
    expect(() => readPort(text)).toThrow(/^publish: /);
  });

  it('a label’s text is its own, whatever is in it', () => {
    expect(pairs(['rule=a=1,b=2', 'c'])).toEqual({ rule: 'a=1,b=2', c: '' });
  });

  it('options of a driver, alone and in one list', () => {
    expect(optionPairs(['a=b', 'c', 'd=e=f', 'g=1,h=2', 'i=1,2'])).toEqual({
      a: 'b',
      c: '',
      d: 'e=f',
      g: '1',
      h: '2',
      i: '1,2',
    });
  });

  it('times and services', () => {
    expect(readTime('10m', 1_000_000)).toBe(400_000);
    expect(readTime('5', 0)).toBe(5000);
    expect(readTime('1970-01-01T00:00:01Z', 0)).toBe(1000);
    expect(() => readTime('soon', 0)).toThrow(/^since: /);
    expect(splitService('web.v2.front')).toEqual({ service: 'web.v2', network: 'front' });
    expect(splitService('web')).toEqual({ service: 'web', network: 'bridge' });
  });

  it('ranges, gateways and auxiliary addresses go to the subnet that holds them', () => {
    const pools = poolsOf({
      subnets: ['10.9.0.0/24', 'fd09::/64'],
      ranges: ['10.9.0.128/25'],
      gateways: ['fd09::1', '10.9.0.1'],
      aux: [['router', '10.9.0.2']],
    });
    expect(pools).toEqual([
      {
        subnet: '10.9.0.0/24',
        ipRange: '10.9.0.128/25',
        gateway: '10.9.0.1',
        auxAddresses: { router: '10.9.0.2' },
      },
      { subnet: 'fd09::/64', ipRange: undefined, gateway: 'fd09::1', auxAddresses: {} },
    ]);
    const none = { subnets: ['10.9.0.0/24'], ranges: [], gateways: ['10.8.0.1'], aux: [] };
    expect(() => poolsOf(none)).toThrow('gateway: no matching --subnet for 10.8.0.1');
    expect(() => poolsOf({ ...none, gateways: ['10.9.0.1', '10.9.0.3'] })).toThrow(/two in the subnet/);
  });

  it.each([
    'unix://relative',
    'unix:///',
    'http://x',
    'tcp://x',
    'tcp://x:99999',
    `unix:///${'x'.repeat(200)}`,
  ])('no host: %s', (text) => {
    expect(() => parseHost(text)).toThrow(/^host: /);
  });
});

describe('signals', () => {
  it('of a terminal go to the group of processes in front of it', () => {
    expect(isInForeground('7 (a) b) R 1 70 60 34816 70 4194304')).toBe(true);
    expect(isInForeground('7 (sh) R 1 70 60 34816 71 4194304')).toBe(false);
    expect(isInForeground('7 (sh) R 1 70 60 0 -1 4194304')).toBe(false);
  });

  it('may have been switched off by who has started the program', () => {
    expect(isIgnored(1, 'Name:\tx\nSigIgn:\t0000000000001001\n')).toBe(true);
    expect(isIgnored(15, 'Name:\tx\nSigIgn:\t0000000000001001\n')).toBe(false);
    expect(isIgnored(1, '')).toBe(false);
  });
});

describe('settings of the daemon', () => {
  const file = (name: string) => new URL(`./${name}`, import.meta.url).pathname;

  it('come from the file, the environment and flags, the later ones winning', () => {
    const environment = { DNET_INSTANCE: 'two', DNET_HOST: 'unix:///run/env.sock', DNET_FAKE: '1' };
    const config = readConfig({ host: 'unix:///run/flag.sock' }, environment, file('settings.json'));
    expect(config).toMatchObject({
      host: 'unix:///run/flag.sock',
      instance: 'two',
      firewall: 'none',
      fake: true,
      dataDir: '/var/lib/libnetwork',
    });
  });

  it('are refused by name', () => {
    expect(() => readConfig({ firewall: 'pf' }, {}, file('settings.json'))).toThrow(/^firewall: /);
    expect(() => readConfig({}, {}, file('commands.test.ts'))).toThrow(/are no JSON/);
    expect(() => readConfig({}, {}, '/nonexistent/dnet.json')).toThrow(/can't be read/);
    expect(() => readConfig({}, { DNET_DATA_DIR: 'here' }, file('settings.json'))).toThrow(
      /^dataDir: must be an absolute path \(DNET_DATA_DIR\)$/,
    );
    expect(() => readConfig({}, {}, file('wrong.json'))).toThrow(
      /^limits\.bodyBytes: .* \(in \/.*wrong\.json\)$/,
    );
  });

  it.each(['maybe', 'yes', 'TRUE'])('a switch in the environment is on or off, and not %s', (text) => {
    expect(() => readConfig({}, { DNET_FAKE: text }, file('settings.json'))).toThrow(
      'fake: must be true or false (DNET_FAKE)',
    );
  });

  it.each([
    ['etcd://10.0.0.1:2379', 'etcd', false, ['10.0.0.1:2379'], ''],
    ['etcds://a:1,[2001:db8::1]:2/team/x', 'etcd', true, ['a:1', '[2001:db8::1]:2'], '/team/x'],
    ['consuls://agent:8501/', 'consul', true, ['agent:8501'], ''],
    ['zk://a:2181,b:2181', 'zk', false, ['a:2181', 'b:2181'], ''],
  ])('a cluster’s store: %s', (text, kind, isTls, members, path) => {
    expect(parseStore(text)).toEqual({ kind, isTls, members, path });
  });

  it.each(['10.0.0.1:2379', 'http://a:1', 'zks://a:1', 'etcd://a', 'etcd://a:1,', 'etcd://a:1/../b'])(
    'no cluster’s store: %s',
    (text) => {
      expect(() => parseStore(text)).toThrow(/^clusterStore: must be like etcd:/);
    },
  );

  it('a password in the URL of a store is refused, and not told', () => {
    const text = 'etcd://root:hunter2@10.0.0.1:2379';
    expect(() => parseStore(text)).toThrow(/^clusterStore: users and passwords((?!hunter2).)*$/);
  });

  it('an address that is advertised is one of this host, which others reach', () => {
    for (const text of ['127.0.0.1', '::1', '0.0.0.0', 'lo', '192.0.2.77:2376', '203.0.113.77'])
      expect(() => ownAddress(text, false)).toThrow(/^clusterAdvertise: must be an address of this host/);
    expect(ownAddress('2001:DB8:0::1', true)).toBe('2001:db8::1');
  });

  it('a socket of systemd is taken only by the process that it is for', () => {
    expect(handedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7)).toBe(3);
    expect(handedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 8)).toBeUndefined();
    expect(handedSocket({}, 7)).toBeUndefined();
    expect(() => handedSocket({ LISTEN_PID: '7', LISTEN_FDS: '2' }, 7)).toThrow(/2 sockets/);
  });
});

describe('a program to be run', () => {
  const program = makeProgram(nowhere);
  const separated = (text: string) => withSeparator(program, text.split(' ')).join(' ');

  it.each([
    ['sandbox exec c1 ls -l', 'sandbox exec c1 -- ls -l'],
    [
      '-H unix:///x sandbox exec --instance two c1 curl -H a',
      '-H unix:///x sandbox exec --instance two c1 -- curl -H a',
    ],
    ['sandbox exec --host=tcp://h:1 c1 ls --', 'sandbox exec --host=tcp://h:1 c1 -- ls --'],
    ['--fake sandbox exec c1 ls', '--fake sandbox exec c1 -- ls'],
  ])('keeps what follows it: %s', (given, wanted) => {
    expect(separated(given)).toBe(wanted);
  });

  it.each(['sandbox exec c1 -- ls -l', 'sandbox exec c1', 'network ls -q', 'sandbox ls exec c1 ls'])(
    'changes nothing else: %s',
    (given) => {
      expect(separated(given)).toBe(given);
    },
  );
});

describe('what is printed', () => {
  const printed = (act: (output: ReturnType<typeof outputTo>) => void): string => {
    let text = '';
    act(
      outputTo({
        out: {
          write: (part) => {
            text += part;
          },
        },
        err: nowhere.err,
      }),
    );
    return text;
  };
  const rows = [
    { name: 'a', driver: 'bridge' },
    { name: 'longer', driver: 'x\u001b[31m' },
  ];
  const columns = [
    { title: 'NAME', of: (row: { name: string }) => row.name },
    { title: 'DRIVER', of: (row: { driver: string }) => row.driver },
  ];

  it('tables are aligned, and steer no terminal', () => {
    expect(printed((output) => output.list(rows, columns, undefined))).toBe(
      'NAME     DRIVER\na        bridge\nlonger   x?[31m\n',
    );
  });

  it('JSON and templates hold what is there', () => {
    expect(JSON.parse(printed((output) => output.list(rows, columns, 'json')))).toEqual(rows);
    expect(printed((output) => output.list(rows, columns, '{{.Name}}'))).toBe('a\nlonger\n');
    expect(printed((output) => output.list(rows.slice(0, 1), columns, 'table {{.Name}}\\t{{.Driver}}'))).toBe(
      'NAME   DRIVER\na      bridge\n',
    );
  });

  it('completion scripts know every command', () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const script = completionScript(makeProgram(nowhere), shell);
      for (const word of ['network', 'connect', 'firewall', 'explain', 'dry-run'])
        expect(script).toContain(word);
    }
    expect(() => completionScript(makeProgram(nowhere), 'tcsh')).toThrow(/tcsh/);
  });

  it('the page of commands is as the commands are', () => {
    const page = readFileSync(new URL('../../../docs/dnet.md', import.meta.url), 'utf8');
    const program = makeProgram(nowhere);
    const leaves = (command: typeof program, path: string[]): string[] => {
      const name = [...path, command.name()];
      const own = command.commands.length === 0 || path.length === 0;
      command.configureHelp({ helpWidth: 100, showGlobalOptions: false });
      const help = own
        ? [`### ${name.join(' ')}\n\n\`\`\`\n${command.helpInformation().trimEnd()}\n\`\`\`\n`]
        : [];
      return [...help, ...command.commands.flatMap((each) => leaves(each as typeof program, name))];
    };
    const wanted = leaves(program, []);
    expect(wanted.length).toBeGreaterThan(30);
    // `node scripts/cli-reference.mjs` writes it anew.
    for (const help of wanted) expect(page).toContain(help);
  });
});
