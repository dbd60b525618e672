/**
 * How much an endpoint transfers. What goes to the container waits in a token bucket at the host's end of its veth.
 * What comes from it is led through a link of its own (an `ifb`) and waits there: in the container's own namespace
 * it could take the limit away.
 */
import type { DriverEndpoint } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import { vethName } from '../../ids.ts';
import type { Bandwidth, Link } from '../../osl/osl.ts';
import type { Devices } from './device.ts';

/** The name of the link that what comes from an endpoint waits in. */
export function ifbName(endpointId: string): string {
  return `i${endpointId.slice(0, 11)}`;
}

/** What the host's end of an endpoint's veth is limited to. */
export function bandwidthOf({ id, limits = {} }: DriverEndpoint): Bandwidth {
  const { ingress, egress, burst } = limits;
  return {
    send: ingress === undefined ? undefined : { bitsPerSecond: ingress, burst },
    receiveBy: egress === undefined ? undefined : ifbName(id),
  };
}

/** Makes the limits of a joined endpoint what it says, from whatever they are. */
export async function setLimits(devices: Devices, endpoint: DriverEndpoint): Promise<void> {
  const { host } = devices;
  const { egress, burst } = endpoint.limits ?? {};
  const ifb = ifbName(endpoint.id);
  if (egress !== undefined) {
    await ensureIfb(devices, endpoint);
    await host.setBandwidth(ifb, { send: { bitsPerSecond: egress, burst } });
  }
  await host.setBandwidth(vethName(endpoint.id), bandwidthOf(endpoint));
  if (egress === undefined) await host.deleteLink(ifb);
}

/** Frees what limited an endpoint. The veth, with the limit in it, goes by itself. */
export async function removeLimits({ host }: Devices, endpoint: DriverEndpoint): Promise<void> {
  if (endpoint.limits?.egress !== undefined) await host.deleteLink(ifbName(endpoint.id));
}

/** What is not as the endpoint's limits say; `undefined`: nothing. */
export async function lackingLimit(
  { host }: Devices,
  endpoint: DriverEndpoint,
  links: ReadonlyMap<string, Link>,
): Promise<string | undefined> {
  const ifb = links.get(ifbName(endpoint.id));
  const { ingress, egress } = endpoint.limits ?? {};
  if (ingress === undefined && egress === undefined && ifb === undefined) return undefined;
  const has = await host.bandwidth(vethName(endpoint.id));
  if (has.send?.bitsPerSecond !== wholeBytes(ingress))
    return 'what goes to it is not limited as it should be';
  if (has.receiveBy !== bandwidthOf(endpoint).receiveBy) return 'what comes from it goes another way';
  if (egress === undefined) return undefined;
  const of = ifb?.up ? await host.bandwidth(ifb.name) : undefined;
  return of?.send?.bitsPerSecond === wholeBytes(egress)
    ? undefined
    : 'what comes from it is not limited as it should be';
}

/** The kernel counts bytes. */
function wholeBytes(bits: number | undefined): number | undefined {
  return bits === undefined ? undefined : Math.floor(bits / 8) * 8;
}

async function ensureIfb({ host, mark }: Devices, { id, name }: DriverEndpoint): Promise<void> {
  const ifb = ifbName(id);
  const found = await host.link(ifb);
  const alias = mark.stamp(id);
  if (found === undefined)
    return host.apply([
      { op: 'createLink', name: ifb, link: { kind: 'ifb' }, up: true, group: mark.group, alias },
    ]);
  if (found.kind !== 'ifb' || (mark.ownerOf(found) !== id && !mark.isHalfMade(found)))
    throw new LibnetworkError(
      'CONFLICT',
      `endpoint ${name} can't be limited: there is a link ${ifb}, not of ours`,
      {
        value: ifb,
        holder: found.alias ?? `link ${ifb}`,
      },
    );
  if (!found.up || found.alias !== alias) await host.apply([{ op: 'setLink', name: ifb, up: true, alias }]);
}
