/** Changes to a network in place: its labels, names and policy, and the options that its driver can change. */

import { checkCommonOptions } from './commonoptions.ts';
import type { Core } from './core.ts';
import type { NetworkDnsOptions } from './dnsoptions.ts';
import type { PolicyRule } from './driverapi/driver.ts';
import { driverNetwork } from './driverviews.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { isFields } from './fields.ts';
import type { NetworkEntry } from './network.ts';
import { showNetworkNames } from './networknames.ts';
import { parseOptions, type Waits } from './options.ts';
import { checkPolicy } from './policy.ts';
import type { NetworkRecord } from './records.ts';
import { allOrNothing } from './undo.ts';

/** What can be changed of a network in place. What is not named stays. */
export interface NetworkChanges extends Waits {
  /** All its labels from now on. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** All its policy from now on; `[]` for none. */
  readonly policy?: readonly PolicyRule[] | undefined;
  /** All it says about names from now on; `{}` for nothing. Answers that were given stay. */
  readonly dns?: NetworkDnsOptions | undefined;
  /** The driver's options to set; `undefined` takes one away. Those that are not named stay. */
  readonly options?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
}

/**
 * Makes the changes, or none of them. Flows that are allowed before and after go on undisturbed.
 * @throws INVALID_ARGUMENT for what can't be changed in place; NOT_IMPLEMENTED for options of a driver that can
 * change none; NOT_FOUND when the network is gone
 */
export async function updateNetwork(
  core: Core,
  entry: NetworkEntry,
  { signal, ...changes }: NetworkChanges,
): Promise<void> {
  await core.locks.with('network', entry.record.id, signal, async () => {
    const { record } = entry;
    if (core.networks.get(record.id) !== entry || record.state !== 'ready') {
      throw new LibnetworkError(
        'NOT_FOUND',
        `network ${record.name} (${record.id.slice(0, 12)}) does not exist or is being deleted`,
      );
    }
    throwIfAborted(signal);
    const changed: NetworkRecord = { ...record, ...parseChanges(record, changes) };
    const { options, policy, dns } = changes;
    if ((options ?? policy ?? dns) === undefined) return core.save(entry, changed);
    const driver = core.driver(record.driver);
    checkPolicy(driver, changed.policy, changed.dns?.allow);
    if ((options ?? policy) === undefined) return saveWithNames(core, entry, changed);
    if (driver.updateNetwork === undefined) {
      throw new LibnetworkError(
        'NOT_IMPLEMENTED',
        `the driver ${record.driver} can't change a network's options: make a new network with them`,
        { field: 'options' },
      );
    }
    // Until the record is written it names the former options, which a restart brings back.
    await allOrNothing(async (undo) => {
      undo.push('bring the former options back', async () => driver.updateNetwork?.(driverNetwork(record)));
      await driver.updateNetwork?.(driverNetwork(changed), { signal });
      throwIfAborted(signal);
      await saveWithNames(core, entry, changed);
    });
  });
  core.events.emit('network:update', { networkId: entry.record.id, name: entry.record.name });
}

async function saveWithNames(core: Core, entry: NetworkEntry, changed: NetworkRecord): Promise<void> {
  await core.save(entry, changed);
  showNetworkNames(core, changed);
}

/** What `updateNetwork` would do to the firewall. */
export async function previewNetwork(
  core: Core,
  entry: NetworkEntry,
  { signal, ...changes }: NetworkChanges,
): Promise<string> {
  throwIfAborted(signal);
  const { record } = entry;
  const driver = core.driver(record.driver);
  const changed = { ...record, ...parseChanges(record, changes) };
  checkPolicy(driver, changed.policy, changed.dns?.allow);
  if (driver.previewNetwork !== undefined) return driver.previewNetwork(driverNetwork(changed));
  throw new LibnetworkError(
    'NOT_IMPLEMENTED',
    `the driver ${record.driver} changes nothing in the firewall for its networks`,
    { operation: 'previewNetwork' },
  );
}

function parseChanges(
  record: NetworkRecord,
  changes: Omit<NetworkChanges, 'signal'>,
): Pick<NetworkRecord, 'labels' | 'options' | 'policy' | 'dns'> {
  for (const [field, value] of Object.entries(changes)) {
    if (['labels', 'options', 'policy', 'dns'].includes(field)) continue;
    throw invalid(field, value, 'is nothing that can be changed in place: make a new network');
  }
  if (changes.options !== undefined && !isFields(changes.options))
    throw invalid('options', changes.options, 'must be an object with fields');
  const merged = Object.entries({ ...record.options, ...changes.options });
  const options = Object.fromEntries(merged.filter(([, value]) => value !== undefined));
  const { labels = record.labels, policy = record.policy, dns = record.dns } = changes;
  const parsed = parseOptions('network', { name: record.name, labels, options, policy, dns });
  checkCommonOptions(parsed.options);
  return { labels: parsed.labels, options: parsed.options, policy: parsed.policy, dns: parsed.dns };
}
