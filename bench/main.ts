/**
 * The benchmark: `npm run bench`, with `--json` for an array of rows, with names of groups for some of them.
 * Ours and the floor take turns in one run. The kernel groups need root, and run in a network namespace made for
 * them: this process starts itself there, so that the machine's own stays untouched.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { kernelAvailability, linuxOsl } from 'libnetwork';
import { apiBench } from './api.ts';
import { attachBench } from './attach.ts';
import { dockerdBench } from './besidedockerd.ts';
import { manyNetworksBench } from './core.ts';
import { dnsBench } from './dns.ts';
import { getlinkBench } from './getlink.ts';
import { type Ground, namespacesIn, onGround } from './ground.ts';
import { ipamBench } from './ipam.ts';
import { kernelBench } from './kernel.ts';
import { overlayBench } from './overlay.ts';
import { pluginBench } from './plugin.ts';
import { portBench } from './port.ts';
import { RESTORED, restoreBench } from './restore.ts';
import { type Row, table } from './row.ts';
import { sandboxBench } from './sandbox.ts';

/** Groups on the kernel share one controller; the others need none. */
const onKernel: Readonly<Record<string, (ground: Ground) => Promise<readonly Row[]>>> = {
  attach: attachBench,
  sandbox: sandboxBench,
  port: portBench,
  getlink: getlinkBench,
  kernel: kernelBench,
  core: restoreBench,
};
const anywhere: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  api: apiBench,
  ipam: ipamBench,
  dns: dnsBench,
  core: manyNetworksBench,
  // In namespaces that it makes itself.
  ...(kernelAvailability().available && { overlay: overlayBench }),
  plugin: pluginBench,
};
/** Groups that run only when they are named. */
const onRequest: typeof onKernel = { dockerd: dockerdBench };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, inside: { type: 'string' } },
});
const known = [...new Set([...Object.keys(onKernel), ...Object.keys(onRequest), ...Object.keys(anywhere)])];
const unknown = positionals.find((group) => !known.includes(group));
const isWanted = (group: string) => positionals.length === 0 || positionals.includes(group);
const isAskedFor = (group: string) => positionals.includes(group);
const needsKernel = Object.keys(onKernel).some(isWanted) || Object.keys(onRequest).some(isAskedFor);
const { available: canUseKernel, reason: whyNot } = kernelAvailability();

if (unknown !== undefined) {
  console.error(`there is no group ${unknown}: name some of ${known.join(', ')}, or none for all`);
  process.exitCode = 2;
} else if (needsKernel && canUseKernel && values.inside === undefined) {
  process.exitCode = await inScratchNamespace();
} else {
  await measure();
}

async function inScratchNamespace(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'libnetwork-bench-'));
  const osl = linuxOsl();
  const path = join(directory, 'host');
  // An interruption ends the child, which has the terminal too; what it made is removed here.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  try {
    const namespace = await osl.createNamespace(path);
    const args = [fileURLToPath(import.meta.url), '--inside', directory, ...process.argv.slice(2)];
    const child = namespace.spawn(process.execPath, args, { stdio: 'inherit' });
    const [code] = await once(child, 'exit');
    await namespace.close();
    return code ?? 1;
  } finally {
    for (const left of [
      path,
      ...(await osl.listNamespaces(namespacesIn(directory))),
      ...(await osl.listNamespaces(namespacesIn(directory, RESTORED))),
      ...(await osl.listNamespaces(directory)),
    ])
      await osl.deleteNamespace(left);
    await osl.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(): Promise<void> {
  const rows: Row[] = [];
  const notes: string[] = [];
  if (values.inside !== undefined) {
    await onGround(values.inside, async (ground) => {
      if (ground.floors.missing !== undefined) notes.push(ground.floors.missing);
      for (const [name, bench] of Object.entries(onKernel))
        if (isWanted(name)) rows.push(...(await bench(ground)));
      for (const [name, bench] of Object.entries(onRequest))
        if (isAskedFor(name)) rows.push(...(await bench(ground)));
    });
  } else if (needsKernel) {
    notes.push(`skipped ${Object.keys(onKernel).filter(isWanted).join(', ')}: ${whyNot}`);
  }
  for (const [name, bench] of Object.entries(anywhere)) if (isWanted(name)) rows.push(...(await bench()));
  notes.push(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
  if (!values.json) return console.log([table(rows), '', ...notes].join('\n'));
  console.log(JSON.stringify(rows, undefined, 2));
  for (const note of notes) console.error(note);
}
