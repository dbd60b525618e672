import type { JoinRequest } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import { vethName } from '../../ids.ts';
import type { Change, Link } from '../../osl/osl.ts';
import type { BridgeConfig } from './config.ts';
import { nameOf } from './config.ts';
import type { Devices } from './device.ts';

/** The ports that a bridge can have: BR_MAX_PORTS of net/bridge/br_private.h, of which port 0 is never given. */
export const MAX_BRIDGE_PORTS = 1023;

/**
 * Makes the veth pair of an endpoint in one request: the container's end is born in the sandbox, under its final
 * name. Where an earlier call was cut off after it, what is there is taken, or made anew when it is not whole.
 * @throws CONFLICT when the sandbox has an interface of that name; UNAVAILABLE when the bridge is full
 */
export async function attach(devices: Devices, config: BridgeConfig, request: JoinRequest): Promise<void> {
  const name = vethName(request.endpoint.id);
  const changes = creation(devices, config, request, name);
  try {
    await devices.host.apply(changes);
  } catch (error) {
    if (isBridgeFull(error)) throw bridgeFull(config, error);
    if (!LibnetworkError.is(error, 'ALREADY_EXISTS')) {
      await devices.host.deleteLink(name);
      throw (await bridgeGone(devices, config, error)) ?? error;
    }
    const found = await devices.host.link(name);
    if (found === undefined) throw nameTaken(request, error);
    if (await isWhole(request, found)) return devices.host.apply(finish(devices, config, request, name));
    await devices.host.deleteLink(name);
    if ((await request.namespace.link(request.interfaceName)) !== undefined) throw nameTaken(request, error);
    await devices.host.apply(changes);
  }
}

/** Deletes the veth pair of an endpoint. The sandbox, and with it the pair, may be gone. */
export async function detach({ host }: Devices, endpointId: string): Promise<void> {
  await host.deleteLink(vethName(endpointId));
}

function creation({ mark }: Devices, config: BridgeConfig, request: JoinRequest, name: string): Change[] {
  const { endpoint, namespace, interfaceName } = request;
  const { mtu } = config;
  const create: Change = {
    op: 'createLink',
    name,
    link: { kind: 'veth', peer: { name: interfaceName, macAddress: endpoint.macAddress, mtu, namespace } },
    mtu,
    master: config.bridge,
    up: true,
    group: mark.group,
    alias: mark.stamp(endpoint.id),
  };
  return endpoint.ports.length === 0 ? [create] : [create, hairpin(name)];
}

/**
 * With br_netfilter, a container's packet to its own published port is translated while still on the bridge, and
 * has to leave by the port that it came in by.
 */
export function hairpin(name: string): Change {
  return { op: 'setLink', name, hairpin: true };
}

function finish({ mark }: Devices, config: BridgeConfig, { endpoint }: JoinRequest, name: string): Change[] {
  const set: Change = {
    op: 'setLink',
    name,
    master: config.bridge,
    up: true,
    alias: mark.stamp(endpoint.id),
  };
  return endpoint.ports.length === 0 ? [set] : [set, hairpin(name)];
}

/** True when the other end of a veth is in the sandbox, under its name and with its MAC address. */
async function isWhole({ namespace, interfaceName, endpoint }: JoinRequest, veth: Link): Promise<boolean> {
  const peer = await namespace.link(interfaceName);
  return (
    veth.kind === 'veth' &&
    peer?.kind === 'veth' &&
    peer.index === veth.peerIndex &&
    veth.index === peer.peerIndex &&
    (endpoint.macAddress === undefined || endpoint.macAddress === peer.macAddress)
  );
}

function nameTaken({ interfaceName, namespace }: JoinRequest, cause: unknown): LibnetworkError {
  return new LibnetworkError(
    'CONFLICT',
    `there is an interface ${interfaceName} in ${namespace.path} already; give the endpoint another interfaceName`,
    { field: 'interfaceName', value: interfaceName, operation: 'join', cause },
  );
}

async function bridgeGone(
  { host }: Devices,
  config: BridgeConfig,
  cause: unknown,
): Promise<LibnetworkError | undefined> {
  if (!LibnetworkError.is(cause, 'NOT_FOUND') || (await host.link(config.bridge)) !== undefined)
    return undefined;
  return new LibnetworkError(
    'NOT_FOUND',
    `the bridge ${config.bridge} of ${nameOf(config)} is gone from the host; reconcile() makes it again`,
    { value: config.bridge, operation: 'join', cause },
  );
}

/** True for the kernel's refusal of one port too many: EXFULL, which Node has no name for, so that it may come as E54. */
export function isBridgeFull(error: unknown): boolean {
  return LibnetworkError.is(error) && (error.errno === 'EXFULL' || error.errno === 'E54');
}

export function bridgeFull(config: BridgeConfig, cause?: unknown): LibnetworkError {
  return new LibnetworkError(
    'UNAVAILABLE',
    `the bridge ${config.bridge} of ${nameOf(config)} has all the ${MAX_BRIDGE_PORTS} ports that the kernel allows; use a second network`,
    { limit: 'MAX_BRIDGE_PORTS', value: MAX_BRIDGE_PORTS, operation: 'join', cause },
  );
}
