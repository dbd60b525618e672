import type { DriverReport, DriverState } from '../../driverapi/driver.ts';
import { type NetworkId, parseStamp, vethName } from '../../ids.ts';
import type { Link } from '../../osl/osl.ts';
import { empty, type Ground, type Room, roomPath } from './room.ts';

type Place = Pick<Ground, 'osl' | 'logger' | 'instance' | 'directory'>;

interface Work {
  readonly dryRun: boolean;
  readonly missing: string[];
  readonly orphaned: string[];
}

/** Compares rooms, their devices, veths and peers with the records, and repairs them, unless `dryRun`. */
export async function reconcileRooms(
  place: Place,
  rooms: Map<NetworkId, Room>,
  state: DriverState,
  dryRun: boolean,
): Promise<DriverReport> {
  const work: Work = { dryRun, missing: [], orphaned: [] };
  const known = new Set(state.networks.map(({ id }) => roomPath(place, id)));
  for (const path of await place.osl.listNamespaces(place.directory)) {
    if (known.has(path)) continue;
    work.orphaned.push(`namespace ${path}`);
    if (!dryRun) await removeRoom(place, path);
  }
  for (const { id } of state.networks) {
    const room = rooms.get(id);
    if (!room) continue;
    work.missing.push(...(await room.lacks()));
    if (!dryRun) await room.furnish();
    await compareVeths(place, room, state, work);
    const peers = state.peers?.get(id);
    if (peers === undefined) continue;
    // The driver is told as they change: what it knows beyond the records has been lost on the way.
    const there = new Set(peers.map((peer) => peer.id));
    room.know({ set: peers, removed: room.peers().flatMap((peer) => (there.has(peer.id) ? [] : [peer.id])) });
    const { missing, orphaned } = await room.comparePeers(dryRun);
    work.missing.push(...missing);
    work.orphaned.push(...orphaned);
  }
  return { missing: work.missing, orphaned: work.orphaned };
}

async function removeRoom({ osl, logger }: Place, path: string): Promise<void> {
  logger.info(`removing the overlay namespace ${path}, which no record names`);
  const namespace = await osl.createNamespace(path);
  await empty(namespace);
  await osl.deleteNamespace(path);
  await namespace.close();
}

async function compareVeths({ instance }: Place, room: Room, state: DriverState, work: Work): Promise<void> {
  const joined = state.endpoints.filter((each) => each.joined && each.network.id === room.config.id);
  const names = new Map(joined.map(({ endpoint }) => [vethName(endpoint.id), endpoint]));
  const veths = (await room.namespace.links()).filter(({ kind }) => kind === 'veth');
  const there = new Set(veths.map(({ name }) => name));
  for (const [name, endpoint] of names) {
    if (!there.has(name))
      work.missing.push(
        `veth ${name} of endpoint ${endpoint.name} in network ${room.config.name}: it is gone; leave and join again`,
      );
  }
  for (const veth of veths) {
    if (names.has(veth.name) || !isOurs(veth, instance)) continue;
    work.orphaned.push(`veth ${veth.name}`);
    if (!work.dryRun) await room.namespace.deleteLink(veth.name);
  }
}

/** Its name tells it where a crash came before its stamp: nobody else makes links in the room. */
function isOurs({ alias }: Link, instance: string): boolean {
  return alias === undefined || parseStamp(alias)?.instance === instance;
}
