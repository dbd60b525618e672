import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const demo = fileURLToPath(new URL('../../build/examples/demo/main.js', import.meta.url));
const isBuilt = existsSync(demo);

interface Told {
  readonly code: number | null;
  readonly out: string;
}

function start(...flags: string[]): ChildProcess & { readonly stdout: NodeJS.ReadableStream } {
  const child = spawn(process.execPath, [demo, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (!child.stdout) throw new Error('no pipe');
  return Object.assign(child, { stdout: child.stdout });
}

async function tell(...flags: string[]): Promise<Told> {
  const child = start(...flags);
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { code, out };
}

describe.skipIf(!isBuilt)('the demo on the fake kernel (after npm run build and build:examples)', () => {
  it('holds in every step, leaves nothing, and says so as one JSON document', async () => {
    const { code, out } = await tell('--fake', '--json');
    const told = JSON.parse(out);
    expect(told).toMatchObject({ ok: true, kernel: 'fake', leaked: [] });
    expect(told.steps.length).toBeGreaterThan(20);
    for (const step of told.steps)
      expect(step).toEqual({ name: step.name, ok: true, ms: expect.any(Number) });
    expect(code).toBe(0);
  });

  it('tells people each step, the topology and the totals', async () => {
    const { out } = await tell('--fake');
    expect(out).toMatch(/fake kernel/);
    expect(out).toMatch(/┌ web ─/);
    expect(out.trimEnd().split('\n').at(-1)).toMatch(
      /^everything held: (\d+) of \1 steps .* 0 things left behind$/,
    );
  });

  it('cleans up and fails when it is interrupted', async () => {
    const child = start('--fake');
    const [out, [code]] = await Promise.all([
      (async () => {
        let told = '';
        for await (const chunk of child.stdout) {
          const isNews = !told.includes('attach web');
          told += chunk;
          // Twice, as when a shell and npm both pass it on.
          if (isNews && told.includes('attach web')) for (let i = 0; i < 2; i++) child.kill('SIGINT');
        }
        return told;
      })(),
      once(child, 'exit'),
    ]);
    expect(code).toBe(1);
    expect(out).toMatch(/stopped by SIGINT/);
    expect(out).toMatch(/✓ .* find the host as it was/);
  });

  it('refuses a flag that it does not know', async () => {
    const child = spawn(process.execPath, [demo, '--real'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [complaint, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    expect(code).not.toBe(0);
    expect(complaint).toMatch(/--real/);
  });
});
