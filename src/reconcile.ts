/** What is recorded, what the kernel and the allocators show, and the repairs between them (design rule 3). */
import { abortable } from './abortable.ts';
import type { Core } from './core.ts';
import type { DriverReport } from './driverapi/driver.ts';
import { isCutOff } from './globalscope/follow.ts';
import { finishForeign, finishHalfDone, type HalfDone, halfDone, isForeign } from './halfdone.ts';
import { parseStamp } from './ids.ts';
import { FAMILIES } from './ip.ts';
import type { HeldAddress, HeldPool } from './ipam/ipam.ts';
import { heldAddresses, plain } from './pools.ts';
import type { EndpointRecord, NetworkRecord, ServiceRecord } from './records.ts';
import { driverState } from './restore.ts';
import { namespaceDirectory } from './sandbox.ts';
import { messageOf } from './undo.ts';

export interface ReconcileOptions {
  /** Reports only, changes nothing. @default false */
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReconcileReport {
  /** What the records name and was not there: `bridge br-1a2b of network front`. */
  readonly missing: readonly string[];
  /** What carries our stamp and no record names. */
  readonly orphaned: readonly string[];
  /** Which of them were put right; all with a dry run are left. */
  readonly repaired: readonly string[];
}

interface Finding {
  readonly missing: readonly string[];
  readonly orphaned: readonly string[];
  readonly failed?: readonly string[];
}

/** What a start has compared already. */
interface Known {
  readonly addresses?: boolean;
}

/**
 * Compares everything with the records, and repairs it. The live sandboxes must be known. It waits for the operations
 * under way, and later ones wait for it; what a plugin or a driver from outside has a part in comes last, and nobody
 * else waits for that.
 */
export function reconcile(
  core: Core,
  options: ReconcileOptions,
  known: Known = {},
): Promise<ReconcileReport> {
  return core.gate.beside(() => reconcileAll(core, options, known));
}

async function reconcileAll(core: Core, options: ReconcileOptions, known: Known): Promise<ReconcileReport> {
  const { findings, foreign } = await core.gate.alone(
    () => reconcileHere(core, options, known),
    options.signal,
  );
  findings.push(await abortable(foreign, options.signal));
  findings.push(
    await reconcileForeign(core, options),
    await reconcileServices(core, options.dryRun ?? false),
  );
  const missing = findings.flatMap((finding) => finding.missing);
  const orphaned = findings.flatMap((finding) => finding.orphaned);
  const failed = new Set(findings.flatMap((finding) => finding.failed ?? []));
  const repaired = options.dryRun ? [] : [...missing, ...orphaned].filter((what) => !failed.has(what));
  core.events.emit('reconcile', {
    missing: missing.length,
    orphaned: orphaned.length,
    repaired: repaired.length,
  });
  return Object.freeze({ missing, orphaned, repaired });
}

/**
 * What is on this host, or in its store. No operation is under way, but those that wait for a plugin or for a driver
 * from outside. What the latter have to compare is only begun.
 */
async function reconcileHere(
  core: Core,
  { dryRun = false, signal }: ReconcileOptions,
  { addresses = false }: Known,
): Promise<{ findings: Finding[]; foreign: Promise<Finding> }> {
  const isHere = (each: HalfDone) => !isForeign(each);
  const orphaned = halfDone(core).flatMap((each) => (isHere(each) ? each.what : []));
  const failed = dryRun ? [] : await finishHalfDone(core, isHere);
  const findings: Finding[] = [{ missing: [], orphaned, failed }];
  for (const [name, driver] of core.drivers) {
    if (!core.isForeign({ driver: name }))
      findings.push(await driver.reconcile(driverState(core, name), { dryRun, signal }));
  }
  const reported = new Set(findings.flatMap((finding) => finding.orphaned));
  const links = await strayLinks(core, reported);
  findings.push(await remove(dryRun, links));
  findings.push(await reconcileNamespaces(core, dryRun));
  findings.push(await core.services.reconcileRules(dryRun));
  // A plugin is told what it had given at the start alone.
  if (!addresses)
    findings.push(
      ...(await reconcileAddresses(
        core,
        { dryRun, signal },
        (ipam) => !core.isForeign({ ipam: { driver: ipam } }),
      )),
    );
  return {
    findings,
    foreign: compareForeign(core, { dryRun, signal }, new Set(links.map(({ link }) => link))),
  };
}

/**
 * Has the drivers from outside compare what they have; nobody waits for them but who asked for the reconcile. One that
 * is about an operation is left for the next time: what it has made so far is more than the records say, or less.
 * @param reported links that are in the report already
 */
async function compareForeign(
  core: Core,
  options: { readonly dryRun: boolean; readonly signal: AbortSignal | undefined },
  reported: ReadonlySet<string>,
): Promise<Finding> {
  const reports: Promise<DriverReport>[] = [];
  for (const [name, driver] of core.foreignDrivers) {
    if (driver.isIdle) reports.push(driver.reconcile(driverState(core, name), options));
    else core.logger.info(`driver ${name} is at work: what it has is compared at the next reconcile`);
  }
  const all = await Promise.all(reports);
  return {
    missing: all.flatMap(({ missing }) => missing),
    orphaned: all.flatMap(({ orphaned }) => orphaned.filter((what) => !reported.has(what))),
  };
}

/**
 * Objects whose making or unmaking failed half-way while a plugin or a driver from outside had a part in it, and what
 * hosts had begun that are gone. Operations go on meanwhile.
 */
async function reconcileForeign(core: Core, { dryRun = false, signal }: ReconcileOptions): Promise<Finding> {
  const orphaned = halfDone(core).flatMap((each) => (isForeign(each) ? each.what : []));
  if (dryRun) return { missing: [], orphaned };
  await finishUnfinished(core);
  const failed = await finishForeign(core, signal);
  return { missing: [], orphaned, failed };
}

/** Services whose last endpoint has gone without taking them along. Operations go on meanwhile. */
async function reconcileServices(core: Core, dryRun: boolean): Promise<Finding> {
  try {
    return await core.services.reconcileAddresses(dryRun);
  } catch (error) {
    if (!core.globals || !isCutOff(error)) throw error;
    core.logger.warn('the services could not be compared at present', { error });
    return { missing: [], orphaned: [] };
  }
}

/** What hosts had begun that are gone. A host that is cut off leaves it to the others. */
async function finishUnfinished(core: Core): Promise<void> {
  try {
    await core.globals?.finishUnfinished();
  } catch (error) {
    core.logger.warn('what other hosts left half done could not be finished', { error });
  }
}

/** Makes every allocator hold exactly the pools and addresses that records name. */
export async function reconcileAddresses(
  core: Core,
  { dryRun = false, signal }: ReconcileOptions,
  which: (ipam: string) => boolean = () => true,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (core.globals && !(await core.globals.refresh())) {
    // Without what hosts share nobody can tell what is held for nothing. Its containers are served all the same.
    core.logger.warn('addresses could not be compared at present: the global store does not answer');
    return findings;
  }
  for (const [name, ipam] of core.ipams) {
    if (!ipam.reconcile || !which(name)) continue;
    try {
      const held = heldPools(core, name, await core.services.records());
      findings.push(await ipam.reconcile(held, { dryRun, signal }));
    } catch (error) {
      // Cut off from the global store since.
      if (!core.globals || !isCutOff(error)) throw error;
      core.logger.warn(`the addresses of IPAM ${name} could not be compared at present`, { error });
    }
  }
  return findings;
}

interface Stray {
  readonly what: string;
  readonly act: () => Promise<unknown>;
}

/**
 * Links on the host with the stamp of this instance, of an object that is in no record. Drivers know their own, also
 * those without a stamp yet: what one of them has reported is not reported again.
 */
async function strayLinks(
  core: Core,
  reported: ReadonlySet<string>,
): Promise<(Stray & { readonly link: string })[]> {
  const links = await core.osl.host.links();
  const stray = links.filter(({ alias, kind, name }) => {
    const owner = parseStamp(alias);
    return owner?.instance === core.instance && !isKnown(core, owner.id) && !reported.has(`${kind} ${name}`);
  });
  return stray.map(({ kind, name, alias }) => ({
    link: `${kind} ${name}`,
    what: `link ${name} (${alias})`,
    act: () => core.osl.host.deleteLink(name),
  }));
}

function isKnown(core: Core, id: string): boolean {
  const ids: readonly { has(key: string): boolean }[] = [core.networks, core.sandboxes];
  const endpoint = core.endpoints.get(id as never);
  // The link of an endpoint that is in no sandbox is left from a join that did not end.
  return ids.some((map) => map.has(id)) || endpoint?.record.join !== undefined;
}

/** Namespaces in our directory that belong to no sandbox. */
async function reconcileNamespaces(core: Core, dryRun: boolean): Promise<Finding> {
  const known = new Set(
    [...core.sandboxes.values()].flatMap(({ record: { namespace } }) =>
      namespace.kind === 'host' ? [] : (namespace.path ?? []),
    ),
  );
  const paths = await core.osl.listNamespaces(namespaceDirectory(core));
  return remove(
    dryRun,
    paths
      .filter((path) => !known.has(path))
      .map((path) => ({ what: `namespace ${path}`, act: () => core.osl.deleteNamespace(path) })),
  );
}

async function remove(dryRun: boolean, orphans: readonly Stray[]): Promise<Finding> {
  const failed: string[] = [];
  if (!dryRun) {
    await Promise.all(
      orphans.map(({ what, act }) =>
        act().catch((error: unknown) => failed.push(`${what}: ${messageOf(error)}`)),
      ),
    );
  }
  return { missing: [], orphaned: orphans.map(({ what }) => what), failed };
}

/** Every pool and address that records name, for one IPAM driver. */
function heldPools(core: Core, ipam: string, services: readonly ServiceRecord[]): HeldPool[] {
  const networks = [...core.networks.values()].filter((entry) => entry.record.ipam.driver === ipam);
  return networks.flatMap(({ record, endpoints }) =>
    record.pools.map((pool) => ({
      pool: { id: pool.poolId, subnet: pool.subnet, meta: {} },
      addressSpace: record.ipam.addressSpace,
      ipRange: pool.ipRange,
      options: record.ipam.options,
      addresses: [
        ...heldAddresses(pool).map(({ address, holder, options }) => ({
          address: plain(address),
          options,
          holder: `${holder} of ${record.name}`,
          shared: core.globals?.shares(record),
        })),
        ...services.flatMap((service) =>
          FAMILIES.flatMap((family) => {
            const held = service[family];
            if (service.networkId !== record.id || held?.poolId !== pool.poolId) return [];
            const holder = `service ${service.name} of ${record.name}`;
            return [{ address: plain(held.address), holder, shared: core.globals?.shares(record) }];
          }),
        ),
        ...[...endpoints.values()].flatMap((entry) =>
          FAMILIES.flatMap((family) => {
            const held = entry.record[family];
            return held?.poolId === pool.poolId ? [endpointHolds(record, entry.record, held.address)] : [];
          }),
        ),
      ],
    })),
  );
}

function endpointHolds(
  network: NetworkRecord,
  { name, macAddress }: EndpointRecord,
  address: string,
): HeldAddress {
  const options = macAddress === undefined ? {} : { 'com.docker.network.endpoint.macaddress': macAddress };
  return { address: plain(address), holder: `endpoint ${name} of ${network.name}`, options };
}
