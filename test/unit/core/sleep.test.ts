import { expect, it } from 'vitest';
import { pause, sleep } from '../../../src/sleep.ts';

const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;

it('keeps the process alive for what somebody waits for, and not in the background', async () => {
  const over = new AbortController();
  const before = timers();
  const waits = [sleep(60_000, over.signal)];
  expect(timers()).toBe(before);
  waits.push(pause(60_000, over.signal));
  expect(timers()).toBe(before + 1);
  over.abort();
  await Promise.all([...waits, pause(60_000, over.signal)]);
  expect(timers()).toBe(before);
});
