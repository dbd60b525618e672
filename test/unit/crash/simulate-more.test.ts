import { describe, it } from 'vitest';
import { SECONDS, strike } from './strikes.ts';

// The other half of the seeds, beside simulate.test.ts: the two run at the same time.
describe.runIf(process.env.LIBNETWORK_SEED === undefined)('another machine, struck likewise', () => {
  it('keeps its invariants', { timeout: (SECONDS + 120) * 1000 }, () => strike(1));
});
