import { describe, expect, it } from 'vitest';
import { Gate, Locks } from '../../../src/locks.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Locks', () => {
  it('runs calls under one key one after the other, in the order they came', async () => {
    const locks = new Locks();
    const log: string[] = [];
    await Promise.all(
      [1, 2, 3].map((n) =>
        locks.with('endpoint', 'a', undefined, async () => {
          log.push(`start ${n}`);
          await tick();
          log.push(`end ${n}`);
        }),
      ),
    );
    expect(log).toEqual(['start 1', 'end 1', 'start 2', 'end 2', 'start 3', 'end 3']);
  });

  it('lets calls under different keys overlap', async () => {
    const locks = new Locks();
    const log: string[] = [];
    const call = (key: string) =>
      locks.with('endpoint', key, undefined, async () => {
        log.push(`start ${key}`);
        await tick();
        log.push(`end ${key}`);
      });
    await Promise.all([call('a'), call('b')]);
    expect(log.slice(0, 2)).toEqual(['start a', 'start b']);
  });

  it('frees the lock when the call fails', async () => {
    const locks = new Locks();
    await expect(
      locks.with('endpoint', 'a', undefined, () => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no');
    await expect(locks.with('endpoint', 'a', undefined, async () => 'in')).resolves.toBe('in');
  });

  it('gives up waiting when the signal fires, and keeps the order for those behind', async () => {
    const locks = new Locks();
    const abort = new AbortController();
    const log: string[] = [];
    const first = locks.with('endpoint', 'a', undefined, async () => {
      await tick();
      await tick();
      log.push('first');
    });
    const second = locks.with('endpoint', 'a', abort.signal, async () => log.push('second'));
    const third = locks.with('endpoint', 'a', undefined, async () => log.push('third'));
    abort.abort(new Error('enough'));
    await expect(second).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('enough') });
    expect(log).toEqual([]);
    await Promise.all([first, third]);
    expect(log).toEqual(['first', 'third']);
  });

  it('throws where a lock is taken against the order of ranks', async () => {
    const locks = new Locks({ checked: true });
    const wrong = locks.with('endpoint', 'a', undefined, () =>
      locks.with('sandbox', 'b', undefined, async () => 1),
    );
    await expect(wrong).rejects.toMatchObject({ code: 'INTERNAL' });
    const right = locks.with('sandbox', 'b', undefined, () =>
      locks.with('endpoint', 'a', undefined, async () => 1),
    );
    await expect(right).resolves.toBe(1);
  });
});

describe('Gate', () => {
  it('lets operations pass together, and one that is alone only when they are out', async () => {
    const gate = new Gate();
    const log: string[] = [];
    const operation = (name: string) =>
      gate.shared(async () => {
        log.push(`in ${name}`);
        await tick();
        log.push(`out ${name}`);
      });
    const a = operation('a');
    const b = operation('b');
    const alone = gate.alone(async () => {
      log.push('alone');
      await tick();
      log.push('done');
    });
    const c = operation('c');
    await Promise.all([a, b, alone, c]);
    expect(log).toEqual(['in a', 'in b', 'out a', 'out b', 'alone', 'done', 'in c', 'out c']);
  });

  it('lets one be alone while an operation waits outside, which comes back in after', async () => {
    const gate = new Gate();
    const log: string[] = [];
    let answer: () => void = () => undefined;
    const stranger = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const operation = gate.shared(async () => {
      await gate.outside(() => stranger);
      log.push('back');
    });
    await gate.alone(async () => {
      log.push('alone');
      answer();
      await tick();
      log.push('done');
    });
    await operation;
    expect(log).toEqual(['alone', 'done', 'back']);
  });

  it('keeps one that wants to be alone waiting while a part of an operation is inside', async () => {
    const gate = new Gate();
    const log: string[] = [];
    let answer: () => void = () => undefined;
    const stranger = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const near = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) await tick();
      log.push('near');
    };
    const operation = gate.shared(() =>
      Promise.all(
        gate.sideBySide([() => gate.outside(() => stranger), near, () => gate.outside(() => stranger)]),
      ),
    );
    await gate.alone(async () => void log.push('alone'));
    expect(log).toEqual(['near', 'alone']);
    answer();
    await operation;
    // Nothing is counted twice: all that is left is nobody.
    await gate.drained();
    await gate.alone(async () => void log.push('alone again'));
    expect(log).toEqual(['near', 'alone', 'alone again']);
  });

  it('is drained when those outside have come back, too', async () => {
    const gate = new Gate();
    let answer: () => void = () => undefined;
    const stranger = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const operation = gate.shared(() => gate.outside(() => stranger));
    let drained = false;
    const draining = gate.drained().then(() => {
      drained = true;
    });
    await tick();
    expect(drained).toBe(false);
    answer();
    await Promise.all([operation, draining]);
  });
});
