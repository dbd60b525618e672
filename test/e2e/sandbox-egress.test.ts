/** The example of a sandbox that reaches two names and nothing else, run as its reader runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Row, rowsOf, strays } from '../../examples/sandbox-egress/report.ts';
import { bound } from '../support/bound.ts';
import { eventually } from '../support/daemon.ts';
import { obstacleToContainers } from '../support/runc.ts';
import { traces } from '../support/traces.ts';

const main = fileURLToPath(new URL('../../build/examples/sandbox-egress/main.js', import.meta.url));
const obstacle = obstacleToContainers([], main);

const start = (engine: 'nftables' | 'iptables') => {
  const more = engine === 'iptables' ? ['--iptables'] : [];
  const [file, args] = bound(process.execPath, [main, '--json', ...more]);
  return spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
};
const places = async (pid: number | undefined) =>
  (await readdir(tmpdir())).filter((name) => name.startsWith(`libnetwork-egress-${pid}-`));

const title = `untrusted code in a sandbox with an allow-list, by %s ${obstacle}`;

describe.skipIf(obstacle !== '').each(['nftables', 'iptables'] as const)(title, (engine) => {
  let killed: { readonly directory: string; readonly cgroup: string };
  let own: { readonly pid: number | undefined; readonly code: unknown };
  let document: { readonly ok: boolean; readonly rows: readonly Row[]; readonly strays: readonly string[] };

  beforeAll(async () => {
    const first = start(engine);
    const cgroup = `libnetwork-egress-${first.pid}`;
    const directory = await eventually(async () => {
      const [found] = await places(first.pid);
      if (!found || !existsSync(join(tmpdir(), found, 'runc', 'guest'))) throw new Error('no code runs yet');
      return join(tmpdir(), found);
    });
    const exit = once(first, 'exit');
    first.kill('SIGKILL');
    await exit;
    killed = { directory, cgroup };
    expect(await traces(directory, cgroup)).not.toEqual([]);
    const second = start(engine);
    const [out, [code]] = await Promise.all([text(second.stdout), once(second, 'exit')]);
    document = JSON.parse(out);
    own = { pid: second.pid, code };
  }, 60_000);

  const rowsWith = (words: RegExp) => {
    const rows = document.rows.filter(({ attempt }) => words.test(attempt));
    expect(rows.length).toBeGreaterThan(0);
    return rows;
  };

  it('reaches the two names, at port 443, in both families', () => {
    const reached = document.rows.filter(({ confined }) => confined === 'reached');
    expect(reached.map(({ attempt }) => attempt)).toEqual([
      'an allowed name: registry.example:443',
      'an allowed name: packages.example:443',
      'an allowed name by IPv6: [2001:db8:100::10]:443',
    ]);
  });

  it.each([
    ['another name or address', /^another (name|address)/],
    [
      'an allowed name by another port or protocol, or before it was asked for',
      /^an allowed (name at|name by another|address)/,
    ],
    ['other names by DNS, nor hides data in questions', /^DNS/],
    ['the metadata service', /^the metadata service/],
    ['the host', /^(the host( by|,)|ping the host)/],
    ['what an allowed name’s owner claims to be', /also claims to be/],
    ['neighbours, also by broadcast and multicast', /neighbours? (by|:)|^ping a neighbour/],
    ['ports that others publish', /published/],
    ['anybody by ping', /^ping/],
    ['anything by IPv6', /by (UDP and )?IPv6(:| gateway| multicast)/],
  ])('does not reach %s, though it is there', (_, words) => {
    for (const row of rowsWith(words).filter(({ must }) => must === 'fail'))
      expect(row).toMatchObject({ confined: 'failed', unconfined: 'reached', held: true });
  });

  it('is not reached by neighbours and the host', () => {
    for (const row of rowsWith(/comes in/))
      expect(row).toMatchObject({ confined: 'failed', unconfined: 'reached' });
  });

  it('sends nothing else to anybody who listens', () => {
    expect(document.strays).toEqual([]);
    expect(document.ok).toBe(true);
    expect(own.code).toBe(0);
  });

  it('leaves nothing behind, nor does one that was killed once the next has begun', async () => {
    expect(await places(own.pid)).toEqual([]);
    expect(await traces(`libnetwork-egress-${own.pid}-`, `libnetwork-egress-${own.pid}`)).toEqual([]);
    expect(existsSync(killed.directory)).toBe(false);
    expect(await traces(killed.directory, killed.cgroup)).toEqual([]);
  });
});

describe('the example’s judgement', () => {
  const attempts = [
    { id: 'attempt-1', what: 'allowed', answer: 'registry' },
    { id: 'attempt-12', what: 'refused' },
  ];
  const open = {
    told: [
      { id: 'attempt-1', answer: 'registry' },
      { id: 'attempt-12', answer: 'evil' },
    ],
    seen: [],
  };
  const held = (confined: Parameters<typeof rowsOf>[1], unconfined = open) =>
    rowsOf(attempts, confined, unconfined).map((row) => row.held);

  it('holds where only what is allowed got through', () => {
    expect(held({ told: [{ id: 'attempt-1', answer: 'registry' }], seen: [] })).toEqual([true, true]);
  });

  it('does not where something arrived without an answer, or the wrong one answered', () => {
    const seen = ['name server: TXT attempt-12.evil.example'];
    expect(held({ told: [{ id: 'attempt-1', answer: 'another' }], seen })).toEqual([false, false]);
    expect(strays(attempts, { told: [], seen }, ['registry'])).toEqual(seen);
  });

  it('does not where there was nothing to reach', () => {
    const told = [{ id: 'attempt-1', answer: 'registry' }];
    expect(held({ told, seen: [] }, { told, seen: [] })).toEqual([true, false]);
  });
});
