/** What is refused of a vxlan before anything is asked of the kernel, which does not always say why. */
import { invalid } from '../../errors.ts';
import { type Family, familyOf } from '../../ip.ts';
import type { VxlanSpec } from '../link.ts';
import { range } from './range.ts';

const MAX_U32 = 0xffff_ffff;

/** @throws INVALID_ARGUMENT naming the field as `changes[2].link.local` */
export function checkVxlan(link: VxlanSpec, at: string): void {
  const { local, group, sourcePorts } = link;
  range(link.id, 0, 0xff_ffff, `${at}.id`);
  range(link.port, 1, 0xffff, `${at}.port`);
  for (const [field, text] of Object.entries({ local, group }))
    if (text !== undefined && familyOf(text) === undefined)
      throw invalid(`${at}.${field}`, text, 'must be an address');
  if (local !== undefined && isMulticast(local))
    throw invalid(`${at}.local`, local, 'must be the address of one host');
  if (local !== undefined && group !== undefined && familyOf(group) !== familyOf(local))
    throw invalid(`${at}.group`, group, `must be of ${familyOf(local)}, as the local address is`);
  if (group !== undefined && isMulticast(group) && link.parent === undefined)
    throw invalid(`${at}.parent`, undefined, 'must name the link that the multicast group is joined on');
  if (link.ttl !== undefined) range(link.ttl, 1, 255, `${at}.ttl`);
  if (link.ageing !== undefined) range(link.ageing, 0, MAX_U32, `${at}.ageing`);
  if (link.limit !== undefined) range(link.limit, 0, MAX_U32, `${at}.limit`);
  if (!sourcePorts) return;
  range(sourcePorts.first, 1, 0xffff, `${at}.sourcePorts.first`);
  range(sourcePorts.last, sourcePorts.first, 0xffff, `${at}.sourcePorts.last`);
}

/** The family of a vxlan's outer packets. */
export function underlayFamily({ local, group }: VxlanSpec): Family {
  return familyOf(local ?? group ?? '') ?? 'ipv4';
}

/** Two tunnels of a namespace that share a socket can't have the same identifier. */
export function isSameSocket(a: VxlanSpec, b: VxlanSpec): boolean {
  const bare = ({ udp6ZeroChecksum }: VxlanSpec) => udp6ZeroChecksum?.receive === true;
  return a.port === b.port && underlayFamily(a) === underlayFamily(b) && bare(a) === bare(b);
}

function isMulticast(address: string): boolean {
  return /^(?:22[4-9]|23[0-9])\./.test(address) || /^ff/i.test(address);
}
