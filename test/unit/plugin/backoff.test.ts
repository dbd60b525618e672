import { describe, expect, it } from 'vitest';
import { backoff, mayRetry } from '../../../src/plugin/backoff.ts';
import { Slots } from '../../../src/plugin/slots.ts';

describe("Docker's times between tries", () => {
  it.each([
    [0, 1],
    [1, 2],
    [2, 4],
    [4, 16],
    [6, 30],
    [10, 30],
    [10_000, 30],
  ])('after %i retries wait %i s', (retries, seconds) => {
    expect(backoff(retries, 1000)).toBe(seconds * 1000);
  });

  it.each([
    [1, true],
    [2, true],
    [10, true],
    [30, false],
    [40, false],
  ])('with a budget of 30 s a wait of %i s: %s', (seconds, may) => {
    expect(mayRetry(0, seconds * 1000, 30_000)).toBe(may);
  });
});

describe('places for calls', () => {
  it('are given in the order of asking, and never more than there are', async () => {
    const slots = new Slots(2, 100);
    const order: number[] = [];
    let now = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const release = await slots.take(undefined);
        order.push(i);
        most = Math.max(most, ++now);
        await Promise.resolve();
        now--;
        release();
        release();
      }),
    );
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(most).toBe(2);
  });

  it('are not waited for by those who went away, nor by too many', async () => {
    const slots = new Slots(1, 1);
    const release = await slots.take(undefined);
    const leaving = new AbortController();
    const left = slots.take(leaving.signal);
    await expect(slots.take(undefined)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      limit: 'plugins.maxWaiting',
    });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' });
    const next = slots.take(undefined);
    release();
    (await next)();
  });
});
