import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { allOfThem, allOrNothing, together } from '../../../src/undo.ts';
import { refusal } from './setting.ts';

const fails = (message: string) => () => Promise.reject(new Error(message));

describe('an operation that is all or nothing', () => {
  it('undoes what it did when it fails, the latest first, and throws what it failed with', async () => {
    const undone: string[] = [];
    const failure = new LibnetworkError('CONFLICT', 'the port is taken', { holder: 'nginx' });
    const operation = allOrNothing(async (undo) => {
      undo.push('first', async () => undone.push('first'));
      undo.push('second', async () => undone.push('second'));
      throw failure;
    });
    await expect(operation).rejects.toBe(failure);
    expect(undone).toEqual(['second', 'first']);
  });

  it('undoes nothing when it succeeds', async () => {
    const undone: string[] = [];
    const answer = await allOrNothing(async (undo) => {
      undo.push('first', async () => undone.push('first'));
      return 7;
    });
    expect([answer, undone]).toEqual([7, []]);
  });

  it('goes on past a step that can’t be undone, and tells of it beside the failure', async () => {
    const undone: string[] = [];
    const failure = new LibnetworkError('CONFLICT', 'the port is taken', { holder: 'nginx' });
    const error = await refusal(
      allOrNothing(async (undo) => {
        undo.push('release the pool', async () => undone.push('pool'));
        undo.push('delete the link', fails('EBUSY'));
        throw failure;
      }),
    );
    expect(undone).toEqual(['pool']);
    expect(error).toMatchObject({
      code: 'CONFLICT',
      holder: 'nginx',
      cause: failure,
      notUndone: ['delete the link: EBUSY'],
    });
    expect(error.message).toBe('the port is taken; not undone: delete the link: EBUSY');
  });

  it('tells also of what a part of it could not undo', async () => {
    const error = await refusal(
      allOrNothing(async (outer) => {
        outer.push('outer', fails('stays too'));
        await allOrNothing(async (inner) => {
          inner.push('inner', fails('stays'));
          throw new LibnetworkError('TIMEOUT', 'too slow');
        });
      }),
    );
    expect(error).toMatchObject({ code: 'TIMEOUT', notUndone: ['inner: stays', 'outer: stays too'] });
  });
});

describe('a teardown', () => {
  it('goes on past failures, and throws all of them', async () => {
    const done: string[] = [];
    const steps = [fails('one'), async () => done.push('between'), fails('two')];
    expect(await refusal(allOfThem('close it', steps))).toMatchObject({
      code: 'INTERNAL',
      message: 'close it: one; two',
    });
    expect(done).toEqual(['between']);
  });

  it('throws a single failure as it is', async () => {
    const failure = new LibnetworkError('FORBIDDEN', 'no');
    await expect(allOfThem('close it', [() => Promise.reject(failure)])).rejects.toBe(failure);
  });

  it('waits for what goes side by side, also when some of it fails', async () => {
    let ended = false;
    const slow = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      ended = true;
    });
    await expect(together('do both', [fails('one')(), slow])).rejects.toThrow('one');
    expect(ended).toBe(true);
  });
});
