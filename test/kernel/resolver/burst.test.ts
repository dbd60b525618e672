import packet from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { startResolver } from '../../../src/resolver/resolver.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { optionsFor } from './steps.ts';

const BURST = 1000;

describe.skipIf(!canUseKernel)(`a burst of questions${whyNot && `: ${whyNot}`}`, () => {
  it('waits for a busy server: each gets its answer', async () => {
    await withTestHost(async (test) => {
      const sandbox = await test.create('sandbox');
      const resolver = await startResolver(optionsFor(test, sandbox, 'nftables'));
      const client = await sandbox.bindUdp('127.0.0.1', 0);
      const unanswered = new Set(Array.from({ length: BURST }, (_, id) => id));
      const answered = new Promise<void>((resolve) => {
        client.onMessage((message) => {
          unanswered.delete(packet.decode(message).id ?? -1);
          if (unanswered.size === 0) resolve();
        });
      });
      // All are sent before the server, which lives in this thread, can read one of them.
      for (const id of unanswered) {
        const question = packet.encode({ type: 'query', id, questions: [{ type: 'A', name: 'web' }] });
        client.send(question, { address: '127.0.0.11', port: 53 });
      }
      await answered;
      expect(unanswered.size).toBe(0);
      expect(resolver.counters.queries).toBe(BURST);
      client.close();
      await resolver.close();
    });
  });
});
