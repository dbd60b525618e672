import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { Debts } from '../../../src/globalscope/debts.ts';
import { silent } from '../../../src/testing/driver-fixtures.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const cutOff = () => Promise.reject(new LibnetworkError('UNAVAILABLE', 'the store can not be reached'));

it('pays what is owed at whichever moment the last debt before it is paid', async () => {
  for (let moment = 0; moment < 12; moment++) {
    const debts = new Debts(silent);
    const second = vi.fn(async () => undefined).mockImplementationOnce(cutOff);
    let settled: Promise<void> | undefined;
    const first = vi.fn(async () => {
      settled = (async () => {
        for (let i = 0; i < moment; i++) await undefined;
        await debts.settle('second', second);
      })();
    });
    first.mockImplementationOnce(cutOff);
    await debts.settle('first', first);
    await vi.advanceTimersByTimeAsync(5_000);
    await settled;
    expect({ moment, paid: second.mock.calls.length }).toEqual({ moment, paid: 2 });
    await debts.end();
  }
});
