import { describe, expect, it } from 'vitest';
import type { Datastore } from '../../../src/datastore/datastore.ts';
import { memoryStore } from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { StartingStore } from '../../../src/globalscope/startingstore.ts';

const SILENCE = { code: 'UNAVAILABLE', limit: 'cluster.startTimeoutMs' };

/** A store that answers as long as it is told to; otherwise its calls end with their signals alone. */
function moody() {
  const inner = memoryStore({ scope: 'global' });
  const state = { answers: false, asked: 0 };
  const store: Datastore = {
    ...{ scope: 'global', watch: (...args) => inner.watch(...args), close: () => inner.close() },
    ...{ put: (...args) => inner.put(...args), delete: (...args) => inner.delete(...args) },
    ...{ list: (...args) => inner.list(...args), transaction: (...args) => inner.transaction(...args) },
    get: async (key, waits) => {
      state.asked++;
      if (state.answers) return inner.get(key);
      return new Promise((_, reject) => {
        const end = () => reject(new LibnetworkError('ABORTED', 'the call was aborted'));
        waits?.signal?.addEventListener('abort', end);
      });
    },
  };
  return { store, state };
}

describe('the store that hosts share, during a start', () => {
  it('is waited for once: every call after one without an answer fails at once', async () => {
    const { store, state } = moody();
    const starting = new StartingStore(store, 20);
    await starting.whileStarting(async () => {
      for (let i = 0; i < 3; i++) await expect(starting.get('a')).rejects.toMatchObject(SILENCE);
      // Also what would be answered.
      await expect(starting.put('a', 1)).rejects.toMatchObject(SILENCE);
    });
    expect(state.asked).toBe(1);
    state.answers = true;
    expect(await starting.put('a', 1)).toBeGreaterThan(0);
    expect((await starting.get('a'))?.value).toBe(1);
  });

  it('is asked for everything while it answers, and says no as ever', async () => {
    const { store, state } = moody();
    const starting = new StartingStore(store, 1_000);
    state.answers = true;
    await starting.whileStarting(async () => {
      await starting.put('a', 1);
      await expect(starting.put('a', 2, { ifVersion: 0 })).rejects.toMatchObject({ code: 'CONFLICT' });
      await expect(starting.delete('a', { ifVersion: 99 })).rejects.toMatchObject({ code: 'CONFLICT' });
      expect((await starting.list('')).map(({ key }) => key)).toEqual(['a']);
      expect(await starting.get('a')).toMatchObject({ value: 1 });
    });
  });

  it('leaves a caller that gives up what it is', async () => {
    const starting = new StartingStore(moody().store, 10_000);
    await starting.whileStarting(async () => {
      const given = starting.get('a', { signal: AbortSignal.timeout(10) });
      await expect(given).rejects.toMatchObject({ code: 'ABORTED' });
    });
  });

  it('has leases where the store has them', async () => {
    expect(new StartingStore(moody().store, 10).lease).toBeUndefined();
    const starting = new StartingStore(memoryStore({ scope: 'global' }), 1_000);
    await starting.whileStarting(async () => {
      const lease = await starting.lease?.(10_000);
      await lease?.put('a', 1);
      expect(await starting.get('a')).toMatchObject({ value: 1 });
      await lease?.release();
      expect(await starting.get('a')).toBeUndefined();
    });
  });
});
