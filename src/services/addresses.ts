/**
 * The virtual address of a service: one for all its endpoints on a network, on whichever host. Who takes it first
 * writes it, on the condition that nobody has; who comes later finds it there. The record names no endpoints: those
 * say themselves what they belong to. So that the last one to go and the next one to come can't miss each other, who
 * comes is seen first and then writes the record, unchanged; who goes deletes it only if nobody has written it since
 * before they looked whether it is used.
 */
import type { Datastore, Entry } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import type { NetworkId } from '../ids.ts';
import { type HeldAddress, ROOT, SCHEMA_VERSION, type ServiceMode, type ServiceRecord } from '../records.ts';
import { isWritten } from '../written.ts';

export type VirtualAddresses = Partial<Readonly<Record<'ipv4' | 'ipv6', HeldAddress>>>;

export interface WantedService {
  readonly networkId: NetworkId;
  readonly networkName: string;
  readonly name: string;
  readonly mode: ServiceMode;
  /** The host that takes the address, where hosts share it. */
  readonly host: string | undefined;
}

/** Taking addresses and giving them back. */
export interface Addresses {
  readonly take: () => Promise<VirtualAddresses>;
  readonly free: (taken: VirtualAddresses, host: string | undefined) => Promise<void>;
}

const services = `${ROOT}service/`;
const keyOf = ({ networkId, name }: Pick<ServiceRecord, 'networkId' | 'name'>): string =>
  `${services}${networkId}/${name}/`;

/** How often others may be first before that is given up. */
const MAX_TRIES = 32;

/**
 * The record of a service, made if there is none. Its endpoint must be seen by others before the last call for it.
 * @throws CONFLICT where the service has another mode
 */
export async function claimService(
  store: Datastore,
  wanted: WantedService,
  { take, free }: Addresses,
): Promise<{ readonly record: ServiceRecord; readonly made: boolean }> {
  const { networkId, networkName, name, mode, host } = wanted;
  const key = keyOf(wanted);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const entry = await store.get(key);
    if (entry) {
      const record = readService(entry);
      if (record.mode !== mode) throw otherMode(record, wanted);
      if (await isWritten(store.put(key, record, { ifVersion: entry.version })))
        return { record, made: false };
      continue;
    }
    const createdAt = new Date().toISOString();
    const taken = await take();
    const made = { schema: SCHEMA_VERSION, kind: 'service', networkId, name, mode, ...taken } as const;
    const record: ServiceRecord = { ...made, ...(host === undefined ? {} : { host }), createdAt };
    // Where that fails it may be written all the same: addresses that no record names go with the next reconcile.
    if (await isWritten(store.put(key, record, { ifVersion: 0 }))) return { record, made: true };
    await free(taken, host);
  }
  throw new LibnetworkError(
    'CONFLICT',
    `service ${name} of network ${networkName} is being changed by others`,
  );
}

/** Gives a service's addresses back, unless it is used. True where it was there, and is gone. */
export async function releaseService(
  store: Datastore,
  service: Pick<ServiceRecord, 'networkId' | 'name'>,
  isUsed: () => Promise<boolean>,
  free: Addresses['free'],
): Promise<boolean> {
  const key = keyOf(service);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const entry = await store.get(key);
    if (!entry || (await isUsed())) return false;
    if (!(await isWritten(store.delete(key, { ifVersion: entry.version })))) continue;
    const { ipv4, ipv6, host } = readService(entry);
    await free({ ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) }, host);
    return true;
  }
  return false;
}

/** All that are recorded. */
export async function listServices(store: Datastore): Promise<ServiceRecord[]> {
  return (await store.list(services)).map(readService);
}

function otherMode({ name, mode }: ServiceRecord, wanted: WantedService): LibnetworkError {
  return new LibnetworkError(
    'CONFLICT',
    `service ${name} of network ${wanted.networkName} has mode ${mode}: all its endpoints must have the same`,
    { field: 'service.mode', value: wanted.mode, holder: `service ${name}` },
  );
}

function readService({ key, value }: Entry): ServiceRecord {
  const record = value as Partial<ServiceRecord> | null;
  if (record?.kind === 'service' && record.schema === SCHEMA_VERSION && typeof record.name === 'string')
    return value as ServiceRecord;
  throw new LibnetworkError('INTERNAL', `the record at ${key} is none of a service that this version reads`, {
    field: key,
    value,
  });
}
