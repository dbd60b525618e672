import { FAMILIES } from '../../ip.ts';
import type { Route } from '../osl.ts';
import { Gate } from './gate.ts';
import type { Handle } from './handle.ts';
import { RTM_DELADDR } from './netlink/address.ts';
import { decodeLink, RTM_DELLINK, RTM_NEWLINK } from './netlink/link.ts';
import { type NetlinkMessage, NLM_F_APPEND, NLM_F_REPLACE } from './netlink/message.ts';
import { decodeRoutes, type RawRoute, RTM_DELROUTE, RTM_NEWROUTE } from './netlink/route.ts';
import { dumpLinks, dumpRoutes } from './tables.ts';

/** linux/rtnetlink.h: routes that go by a next hop object change with it, and the kernel does not tell which. */
const RTM_NEWNEXTHOP = 104;
const RTM_DELNEXTHOP = 105;

/**
 * The routes of a namespace's main table, which need not be read as a whole while all that happens is that routes are
 * added. The kernel tells of a change before it answers whoever made it, so what was told by now is all there is to
 * know. What is told and is not plainly an added route makes the table be read again: the kernel does not say which
 * IPv4 routes end with a link, an address or a next hop.
 */
export class RouteView {
  readonly #handle: Handle;
  readonly #turn = new Gate(1);
  /** `undefined` where it must be read. */
  #table: RouteTable | undefined;

  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /** The routes as they are now. */
  read(): Promise<readonly Route[]> {
    return this.#turn.run(async () => {
      this.#follow();
      this.#table ??= await this.#readAll();
      return this.#table.routes;
    });
  }

  /** Takes in everything that was told since the last time. */
  #follow(): void {
    const { routeNotices } = this.#handle;
    for (let told = routeNotices.take(); told !== undefined; told = routeNotices.take())
      if (told === 'lost' || !told.every((message) => this.#table?.take(message))) this.#table = undefined;
  }

  async #readAll(): Promise<RouteTable> {
    const { socket } = this.#handle;
    const routes = await dumpRoutes(socket, FAMILIES);
    // After the routes, so that it has every link that one of them goes by; else it went meanwhile, which is told.
    const links = await dumpLinks(socket, false);
    return new RouteTable(routes, new Map(links.map(({ index, name }) => [index, name])));
  }
}

/** A table as it was read, with what was added since. */
class RouteTable {
  /** Another array after each addition. */
  routes: readonly Route[];
  readonly #names: Map<number, string>;
  readonly #keys = new Set<string>();
  /** The links that routes go by. */
  readonly #used = new Set<number>();

  constructor(routes: readonly RawRoute[], names: Map<number, string>) {
    this.#names = names;
    this.routes = routes.map((route) => this.#noted(route));
  }

  /** Takes in what the kernel told. False where only the kernel knows what is left of the table. */
  take({ type, flags, payload }: NetlinkMessage): boolean {
    switch (type) {
      case RTM_NEWROUTE:
        return this.#add(decodeRoutes(payload), flags);
      case RTM_DELROUTE:
        return decodeRoutes(payload).length === 0;
      case RTM_NEWLINK:
      case RTM_DELLINK:
        // A bridge tells of its ports by messages of its own family.
        return payload[0] !== 0 || this.#takeLink(payload, type === RTM_DELLINK);
      case RTM_DELADDR:
      case RTM_NEWNEXTHOP:
      case RTM_DELNEXTHOP:
        return false;
      default:
        return true;
    }
  }

  #add(routes: readonly RawRoute[], flags: number): boolean {
    const [route] = routes;
    // Of another table.
    if (route === undefined) return true;
    if (routes.length > 1 || (flags & (NLM_F_REPLACE | NLM_F_APPEND)) !== 0) return false;
    if (this.#keys.has(keyOf(route))) return false;
    if (route.index !== undefined && !this.#names.has(route.index)) return false;
    this.routes = [...this.routes, this.#noted(route)];
    return true;
  }

  #takeLink(payload: Buffer, gone: boolean): boolean {
    const { index, name, up } = decodeLink(payload);
    if (this.#used.has(index) && (gone || !up || this.#names.get(index) !== name)) return false;
    if (gone) this.#names.delete(index);
    else this.#names.set(index, name);
    return true;
  }

  #noted(raw: RawRoute): Route {
    const { index, ...route } = raw;
    this.#keys.add(keyOf(raw));
    if (index !== undefined) this.#used.add(index);
    return Object.freeze({ ...route, link: index === undefined ? undefined : this.#names.get(index) });
  }
}

/** What tells a route from another, as far as it is known here: what has the same may be told twice. */
function keyOf({ family, destination, metric, gateway, index }: RawRoute): string {
  return `${family} ${destination} ${metric} ${gateway} ${index}`;
}
