import { isIP } from 'node:net';
import { invalid } from '../errors.ts';
import type { Host } from './discovery.ts';

/** Where hosts say that they are there, each under its id. */
export const HOSTS = 'docker/network/v1.0/host/';

/** @throws INVALID_ARGUMENT naming the field */
export function checkHost(host: Host): Host {
  const { id, address, data } = host;
  if (typeof id !== 'string' || !/^[\w.:-]{1,253}$/.test(id))
    throw invalid('host.id', id, 'must be 1 to 253 letters, digits, dots, colons, dashes or underscores');
  if (typeof address !== 'string' || isIP(address) === 0)
    throw invalid('host.address', address, 'must be an IPv4 or IPv6 address');
  if (data !== undefined && !isTexts(data)) throw invalid('host.data', data, 'must be texts by name');
  return Object.freeze({ id, address, ...(data && { data: Object.freeze({ ...data }) }) });
}

function isTexts(data: unknown): data is Record<string, string> {
  return (
    typeof data === 'object' &&
    data !== null &&
    Object.values(data).every((value) => typeof value === 'string')
  );
}

export function sameHost(a: Host, b: Host): boolean {
  const keys = Object.keys({ ...a.data, ...b.data });
  return a.id === b.id && a.address === b.address && keys.every((key) => a.data?.[key] === b.data?.[key]);
}
