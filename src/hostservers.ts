/** Follows the host's list of name servers: what sandboxes ask elsewhere, they ask the host's servers of now. */
import type { Core } from './core.ts';
import { watchHostResolvConf } from './hostfiles/files.ts';
import type { SandboxEntry } from './sandbox.ts';
import { followServers, hostPaths, resolvConfOf, writeServers } from './sandboxfiles.ts';

/** Starts to follow; the answer ends it. */
export function followHostServers(core: Core): () => void {
  let running = Promise.resolve();
  const follow = (): void => {
    // One change after the other: the last one read is the one that holds.
    running = running.then(() => updateAll(core));
  };
  return watchHostResolvConf(follow, hostPaths(core));
}

async function updateAll(core: Core): Promise<void> {
  for (const entry of [...core.sandboxes.values()]) {
    if (core.closed) return;
    try {
      await core.gate.shared(() => update(core, entry));
    } catch (error) {
      core.logger.warn(`sandbox ${entry.record.id.slice(0, 12)} goes on with the former name servers`, {
        error,
      });
    }
  }
}

async function update(core: Core, entry: SandboxEntry): Promise<void> {
  await core.locks.with('sandbox', entry.record.id, undefined, async () => {
    if (core.closed || entry.record.state !== 'ready') return;
    const conf = await resolvConfOf(core, entry.record);
    await writeServers(entry, conf.content);
    followServers(entry, conf);
  });
}
