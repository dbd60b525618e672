import { checkCommonOptions } from './commonoptions.ts';
import type { Core } from './core.ts';
import type { Scope } from './driverapi/driver.ts';
import { driverNetwork } from './driverviews.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { type NetworkId, newId } from './ids.ts';
import { addNetwork, type Network, removeNetwork } from './network.ts';
import { checkScope, withConfig } from './networkconfig.ts';
import { showNetworkNames } from './networknames.ts';
import type { NetworkOptions } from './networkoptions.ts';
import { type Parsed, parseOptions } from './options.ts';
import { checkPolicy } from './policy.ts';
import { poolsByFamily, requestPools } from './pools.ts';
import { type NetworkRecord, type PoolRecord, SCHEMA_VERSION } from './records.ts';
import { makeInDriver } from './sharednetwork.ts';
import { allOrNothing } from './undo.ts';

export async function createNetwork(
  core: Core,
  options: NetworkOptions,
  signal: AbortSignal | undefined,
): Promise<Network> {
  const parsed = withConfig(core, parseOptions('network', options));
  checkName(core, parsed.name);
  throwIfAborted(signal);
  if (parsed.configOnly) return createConfigNetwork(core, parsed);
  const driver = await core.findDriver(parsed.driver, signal);
  const ipam = await core.findIpam(parsed.ipam.driver, signal);
  // Plugins may have been waited for: from here to the table there is no wait.
  checkName(core, parsed.name);
  const { usesIpam, dataScope, addressless } = driver.capability;
  checkScope(parsed, dataScope);
  checkCommonOptions(parsed.options);
  checkPolicy(driver, parsed.policy, parsed.dns?.allow);
  if (!parsed.ipv4 && !parsed.ipv6 && !addressless)
    throw invalid('ipv4', false, 'IPv4 or IPv6 must be enabled');
  const families = usesIpam ? poolsByFamily(parsed.ipam.pools, parsed) : { ipv4: [], ipv6: [] };
  const record = newRecord(parsed, 'creating', dataScope);
  // In the table from here on, so that no second network takes the name while this one waits.
  const entry = addNetwork(core, record);
  entry.making = true;
  return allOrNothing(async (undo) => {
    undo.push('forget the network', async () => removeNetwork(core, entry));
    await driver.validateNetwork?.(driverNetwork({ ...record, pools: plannedPools(families) }));
    const spaces = usesIpam ? await ipam.defaultAddressSpaces({ signal }) : { local: '', global: '' };
    const addressSpace = dataScope === 'global' ? spaces.global : spaces.local;
    const planning = driverNetwork({ ...record, pools: plannedPools(families) });
    const wanted = {
      networkName: record.name,
      ipam,
      options: parsed.ipam.options,
      addressSpace,
      families,
      skipGateways: await driver.skipGateways?.(planning, { signal }),
    };
    const pools = usesIpam ? await requestPools(core, wanted, undo, signal) : [];
    const planned: NetworkRecord = { ...record, ipam: { ...record.ipam, addressSpace }, pools };
    if (pools.length > 0) await driver.validateNetwork?.(driverNetwork(planned));
    throwIfAborted(signal);
    undo.push('erase the record', () => core.erase(planned));
    await core.save(entry, planned);
    const made = await makeInDriver(core, driver, planned, undo, signal);
    throwIfAborted(signal);
    await core.save(entry, { ...made, state: 'ready' });
    entry.making = false;
    showNetworkNames(core, entry.record);
    core.events.emit('network:create', { networkId: record.id, name: record.name });
    return entry.handle;
  });
}

/** A network without a driver and without addresses: its record is all there is of it. */
function createConfigNetwork(core: Core, parsed: Parsed<'network'>): Promise<Network> {
  const record = newRecord({ ...parsed, driver: 'null' }, 'ready', 'local');
  const entry = addNetwork(core, record);
  return allOrNothing(async (undo) => {
    undo.push('forget the network', async () => removeNetwork(core, entry));
    undo.push('erase the record', () => core.erase(record));
    await core.save(entry, record);
    core.events.emit('network:create', { networkId: record.id, name: record.name });
    return entry.handle;
  });
}

function newRecord(
  { name, ipam, scope: _, ...parsed }: Parsed<'network'>,
  state: NetworkRecord['state'],
  scope: Scope,
): NetworkRecord {
  return {
    schema: SCHEMA_VERSION,
    kind: 'network',
    state,
    id: newId<NetworkId>(),
    name,
    scope,
    ...parsed,
    ipam: { driver: ipam.driver, options: ipam.options, addressSpace: '', requested: ipam.pools },
    pools: [],
    createdAt: new Date().toISOString(),
  };
}

function checkName(core: Core, name: string): void {
  const holder = core.networksByName.get(name);
  if (!holder) return;
  throw new LibnetworkError('ALREADY_EXISTS', `network with name ${name} already exists`, {
    field: 'name',
    value: name,
    holder: `network ${holder.record.id}`,
  });
}

/** The pools as far as they are known before IPAM is asked, for the driver's validation. */
function plannedPools(families: ReturnType<typeof poolsByFamily>): PoolRecord[] {
  return (['ipv4', 'ipv6'] as const).flatMap((family) =>
    families[family].flatMap(({ subnet, gateway, auxAddresses }) => {
      if (subnet === undefined) return [];
      const length = subnet.split('/')[1];
      return [
        {
          family,
          poolId: '',
          subnet,
          gateway: gateway === undefined ? undefined : `${gateway}/${length}`,
          auxAddresses,
        },
      ];
    }),
  );
}
