import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import { bridge, type OslSuite, promisesOf } from './ground.ts';

export function processPromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe('processes', () => {
    it('are started inside the namespace, and give their output', async ({ create, osl }) => {
      const inside = await create('inside');
      await inside.apply([bridge('marker')]);
      const child = inside.spawn('echo', ['hello', 'there']);
      const ended = once(child, 'exit');
      expect(child.stdout && (await text(child.stdout))).toBe('hello there\n');
      expect(await ended).toEqual([0, null]);
      expect(child.exitCode).toBe(0);
      const sleeper = inside.spawn('sleep', ['30']);
      const seen = await osl.openNamespace(`/proc/${sleeper.pid}/ns/net`);
      expect(await seen.link('marker')).toBeDefined();
      await seen.close();
      sleeper.kill('SIGKILL');
      expect(await once(sleeper, 'exit')).toEqual([null, 'SIGKILL']);
    });

    it('tell their failure by their code', async ({ host }) => {
      const child = host.spawn('false', []);
      expect(await once(child, 'exit')).toEqual([1, null]);
    });

    it('end by a signal', async ({ host }) => {
      const child = host.spawn('sleep', ['30']);
      const ended = once(child, 'exit');
      expect(child.kill()).toBe(true);
      expect(await ended).toEqual([null, 'SIGTERM']);
      expect(child.kill()).toBe(false);
      expect(child.signalCode).toBe('SIGTERM');
    });

    it('that are not there end with an error event', async ({ host }) => {
      const child = host.spawn('no-such-program', []);
      const [error] = await once(child, 'error');
      expect(error).toMatchObject({ code: 'ENOENT' });
      expect(child.pid).toBeUndefined();
    });
  });
}
