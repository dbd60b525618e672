import { describe, expect, it } from 'vitest';
import { labels } from '../../../src/labels.ts';
import { refusal, restart, type Setting, setUp } from './setting.ts';

const MARK = { bridge: { acceptFwmark: '0x1/0xff' } };
const DIRECT = { bridge: { allowDirectRouting: true } };
const ICC_OFF = { options: { [labels.bridge.enableIcc]: false } };

/** The rules of a network that a change makes anew, all of those that judge what comes in among them. */
async function rulesOf({ controller }: Setting, name: string): Promise<string> {
  return (await controller.network(name)?.preview(ICC_OFF)) ?? '';
}

describe('what a controller lets in to all bridge networks', () => {
  it('is a mark that holds where a network says nothing of its own', async () => {
    const it = await setUp(MARK);
    await it.controller.createNetwork({ name: 'front' });
    await it.controller.createNetwork({ name: 'own', options: { [labels.bridge.acceptFwmark]: '2' } });
    await it.controller.createNetwork({ name: 'none', options: { [labels.bridge.acceptFwmark]: '' } });
    expect(await rulesOf(it, 'front')).toContain('meta mark and 0xff == 0x1 accept');
    expect(await rulesOf(it, 'own')).toContain('meta mark 0x2 accept');
    expect(await rulesOf(it, 'none')).not.toContain('meta mark');
  });

  it('is published ports by routing, where a network does not refuse it', async () => {
    const it = await setUp(DIRECT);
    await it.controller.createNetwork({ name: 'front' });
    await it.controller.createNetwork({
      name: 'own',
      options: { [labels.bridge.allowDirectRouting]: false },
    });
    expect(await rulesOf(it, 'front')).toContain('published ipv4 ports, directly');
    expect(await rulesOf(it, 'own')).not.toContain('directly');
  });

  it('is recorded with none of them: the next start has its own word', async () => {
    const it = await setUp(MARK);
    await it.controller.createNetwork({ name: 'front' });
    const next = await restart(it, [], DIRECT);
    const rules = await rulesOf(next, 'front');
    expect(rules).toContain('published ipv4 ports, directly');
    expect(rules).not.toContain('meta mark');
    expect(await next.controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
  });

  it('is refused before anything is begun where it can be no mark', async () => {
    expect(await refusal(setUp({ bridge: { acceptFwmark: 'one' } }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'bridge.acceptFwmark',
    });
  });
});
