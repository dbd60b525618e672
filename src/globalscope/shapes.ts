/** What hosts tell each other through the global store: plain data under keys of libnetwork's shape. */
import { randomBytes } from 'node:crypto';
import type { Entry } from '../datastore/datastore.ts';
import { HOSTS } from '../discovery/host.ts';
import type { Member } from '../driverapi/keyring.ts';
import { LibnetworkError } from '../errors.ts';
import type { EndpointId, NetworkId } from '../ids.ts';
import {
  type HeldAddress,
  type NetworkRecord,
  ROOT,
  readRecord,
  SCHEMA_VERSION,
  type ServiceMembership,
} from '../records.ts';
import { type Keys, MAX_GENERATIONS } from './rotation.ts';

/** An endpoint as its host shows it to the others. */
export interface SharedEndpoint {
  readonly schema: typeof SCHEMA_VERSION;
  readonly kind: 'endpoint';
  readonly id: EndpointId;
  readonly name: string;
  readonly networkId: NetworkId;
  /** The id of the host that has it. */
  readonly host: string;
  readonly macAddress?: string | undefined;
  readonly ipv4?: HeldAddress | undefined;
  readonly ipv6?: HeldAddress | undefined;
  /** It is in a sandbox: reachable, and known by `names`. */
  readonly joined: boolean;
  readonly names: readonly string[];
  readonly service?: ServiceMembership | undefined;
  readonly createdAt: string;
}

/** That a host takes part in a network; it goes with the host's lease. */
export interface Membership {
  readonly host: string;
  /** Where other hosts send what is for its endpoints. */
  readonly address?: string | undefined;
}

export const networks = `${ROOT}network/`;
export const networkKey = (id: string): string => `${networks}${id}/`;
export const networkNameKey = (name: string): string => `${ROOT}network_name/${name}`;
export const endpointsOf = (network: string): string => `${ROOT}endpoint/${network}/`;
export const endpointKey = (network: string, id: string): string => `${endpointsOf(network)}${id}/`;
export const endpointNameKey = (network: string, name: string): string =>
  `${ROOT}endpoint_name/${network}/${name}`;
export const membersOf = (network: string): string => `${ROOT}member/${network}/`;
export const memberKey = (network: string, host: string): string => `${membersOf(network)}${host}`;
export const encryption = `${ROOT}encryption/`;
export const keysKey = `${encryption}keys`;
const encryptionMembers = `${encryption}member/`;
export const encryptionMemberKey = (host: string): string => `${encryptionMembers}${host}`;
/** The last number that a member took. Not under the others, as nobody follows it. */
export const memberNumberKey = `${ROOT}encryption_number`;
export const hostKey = (host: string): string => `${HOSTS}${host}`;

/** Of a key that hosts share: what AES of 256 bits takes. */
const SECRET_BYTES = 32;

export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64');
}

/** The last part of a key, which names the object. */
export function lastPart(key: string): string {
  const end = key.endsWith('/') ? key.length - 1 : key.length;
  return key.slice(key.lastIndexOf('/', end - 1) + 1, end);
}

/** @throws INTERNAL for a record that this version can't read */
export function readNetwork({ key, value }: Entry): NetworkRecord {
  return readRecord(key, value) as NetworkRecord;
}

/** @throws INTERNAL for a record that this version can't read */
export function readEndpoint({ key, value }: Entry): SharedEndpoint {
  const record = readRecord(key, value) as unknown as SharedEndpoint;
  if (typeof record.host === 'string' && Array.isArray(record.names)) return record;
  throw new LibnetworkError('INTERNAL', `the record at ${key} is none of an endpoint that hosts share`, {
    field: key,
    value,
  });
}

export function readMembership({ key, value }: Entry): Membership {
  const address = (value as Partial<Membership> | null)?.address;
  return { host: lastPart(key), ...(typeof address === 'string' ? { address } : {}) };
}

/** @throws INTERNAL for what is none of keys, and shows nothing of it */
export function readKeys({ key, value }: Entry): Keys {
  const keys = value as Partial<Keys> | null;
  const { generations = [], sending } = keys ?? {};
  const sound =
    keys?.schema === SCHEMA_VERSION &&
    Array.isArray(generations) &&
    generations.length <= MAX_GENERATIONS &&
    generations.some(({ id }) => id === sending) &&
    generations.every(
      ({ id, secret, createdAt }) =>
        Number.isSafeInteger(id) && isSecret(secret) && Number.isFinite(Date.parse(createdAt)),
    );
  if (sound) return value as Keys;
  throw new LibnetworkError(
    'INTERNAL',
    `the keys at ${key} can't be read: delete them, and the hosts agree on new ones`,
    { field: key },
  );
}

function isSecret(text: unknown): boolean {
  return typeof text === 'string' && Buffer.from(text, 'base64').length === SECRET_BYTES;
}

/** Undefined for what a host of another version may have written. */
export function readMember({ key, value }: Entry): Member | undefined {
  const { address, number, accepts, sends } = (value ?? {}) as Partial<Member>;
  const numbers = [number, accepts, sends];
  if (typeof address !== 'string' || !numbers.every((each) => Number.isSafeInteger(each))) return undefined;
  return { ...(value as Member), host: lastPart(key) };
}

/** Whose entry a key is, where it is one of a member that encrypts. */
export function memberOf(key: string): string | undefined {
  return key.startsWith(encryptionMembers) ? lastPart(key) : undefined;
}
