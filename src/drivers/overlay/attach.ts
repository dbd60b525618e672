import type { JoinRequest, JoinResult } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import { stamp, vethName } from '../../ids.ts';
import { FAMILIES } from '../../ip.ts';
import type { Change } from '../../osl/osl.ts';
import type { OverlayConfig, Segment } from './config.ts';
import type { Room } from './room.ts';

/**
 * Makes the veth pair of an endpoint in one request: one end is a port of the segment's bridge, the other is born in
 * the sandbox under its final name. What an earlier call made that was cut off is made anew, unless it is whole.
 * @throws CONFLICT when the sandbox has an interface of that name
 */
export async function attach(
  room: Room,
  segment: Segment,
  instance: string,
  request: JoinRequest,
): Promise<void> {
  const { endpoint, namespace, interfaceName } = request;
  const name = vethName(endpoint.id);
  const { macAddress } = endpoint;
  const { mtu } = room;
  const create: Change = {
    op: 'createLink',
    name,
    link: { kind: 'veth', peer: { name: interfaceName, macAddress, mtu, namespace } },
    mtu,
    master: segment.bridge,
    up: true,
    alias: stamp(instance, endpoint.id),
  };
  try {
    await room.namespace.apply([create]);
  } catch (error) {
    if (!LibnetworkError.is(error, 'ALREADY_EXISTS')) {
      await room.namespace.deleteLink(name);
      throw error;
    }
    const found = await room.namespace.link(name);
    const inside = await namespace.link(interfaceName);
    if (found && inside?.macAddress === macAddress && found.master === segment.bridge && found.up)
      return room.namespace.apply([{ op: 'setLink', name, alias: create.alias }]);
    if (!found || (inside && inside.macAddress !== macAddress)) throw nameTaken(interfaceName, error);
    await room.namespace.deleteLink(name);
    await room.namespace.apply([create]);
  }
}

/** The other subnets of the network are reached by the gateway of one's own. */
export function routesOf({ segments }: OverlayConfig, own: Segment): NonNullable<JoinResult['routes']> {
  return FAMILIES.flatMap((family) => {
    const gateway = own.pools[family]?.gateway?.split('/')[0];
    if (gateway === undefined) return [];
    return segments.flatMap((other) => {
      const destination = other === own ? undefined : other.pools[family]?.subnet;
      return destination === undefined ? [] : [{ destination, gateway }];
    });
  });
}

function nameTaken(interfaceName: string, cause: unknown): LibnetworkError {
  return new LibnetworkError('CONFLICT', `interface ${interfaceName} exists in the sandbox already`, {
    field: 'interfaceName',
    value: interfaceName,
    cause,
  });
}
