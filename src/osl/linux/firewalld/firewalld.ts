import { LibnetworkError } from '../../../errors.ts';
import type { Warner } from '../deletes.ts';
import { type Bus, DBusFailure, openBus, type Signal } from './bus.ts';

/**
 * firewalld, the daemon that owns the packet filter of many machines. It refuses what is forwarded to or from a link
 * of no zone that accepts it, whatever other tables say: an accept of ours ends our own chain alone. So the bridges
 * of our networks join a zone of ours, which accepts what leaves them, and a policy accepts what goes to them; what
 * may really pass is for our own rules to say.
 */
export const ZONE = 'libnetwork';
export const POLICY = 'libnetwork-forward';
const NAME = 'org.fedoraproject.FirewallD1';
const PATH = '/org/fedoraproject/FirewallD1';
const BUS = 'org.freedesktop.DBus';

/** The daemon on a bus, running or not. */
export class Firewalld {
  readonly #bus: Bus;
  readonly #logger: Warner | undefined;
  #onReload: () => void = () => undefined;

  private constructor(bus: Bus, logger: Warner | undefined) {
    this.#bus = bus;
    this.#logger = logger;
  }

  /**
   * Connects to the bus at an address.
   * @throws NOT_IMPLEMENTED without the package dbus-next; UNAVAILABLE
   */
  static async open(address: string, logger?: Warner): Promise<Firewalld> {
    const bus = await openBus(address);
    const firewalld = new Firewalld(bus, logger);
    await bus.listen(
      [
        `type='signal',sender='${NAME}',interface='${NAME}',member='Reloaded'`,
        `type='signal',sender='${BUS}',interface='${BUS}',member='NameOwnerChanged',arg0='${NAME}'`,
      ],
      (signal) => firewalld.#hear(signal),
    );
    return firewalld;
  }

  /** Told when the daemon has made its rules anew: nobody is in a zone then, and rules of others may be gone. */
  onReload(listener: () => void): void {
    this.#onReload = listener;
  }

  async isRunning(): Promise<boolean> {
    const path = '/org/freedesktop/DBus';
    const ask = { destination: BUS, path, interface: BUS, member: 'NameHasOwner' };
    const [owned] = await this.#bus.call({ ...ask, signature: 's', body: [NAME] });
    return owned === true;
  }

  /**
   * Makes the zone and the policy where they are not there yet. A daemon takes new ones from its configuration, which
   * it must read anew for that: the first time on a machine, and only then.
   */
  async prepare(): Promise<void> {
    const added = [await this.#addZone(), await this.#addPolicy()];
    if (added.includes(true)) await this.#call('', 'reload');
  }

  /** @throws CONFLICT when somebody has put the link into another zone */
  async join(link: string): Promise<void> {
    try {
      await this.#call('.zone', 'addInterface', 'ss', [ZONE, link]);
    } catch (error) {
      if (!isNamed(error, 'ZONE_CONFLICT', 'ZONE_ALREADY_SET', 'ALREADY_ENABLED')) throw error;
      const [zone] = await this.#call('.zone', 'getZoneOfInterface', 's', [link]);
      if (zone === ZONE) return;
      throw new LibnetworkError(
        'CONFLICT',
        `firewalld has ${link} in its zone ${zone}, where what containers send is not accepted: take it out there (firewall-cmd --zone=${zone} --remove-interface=${link}), also permanently`,
        { field: 'firewalld', value: link, holder: `zone ${zone}`, cause: error },
      );
    }
  }

  /** A link that is not in the zone: nothing happens. */
  async leave(link: string): Promise<void> {
    try {
      await this.#call('.zone', 'removeInterface', 'ss', [ZONE, link]);
    } catch (error) {
      if (!isNamed(error, 'UNKNOWN_INTERFACE', 'ZONE_CONFLICT', 'INVALID_ZONE')) throw error;
    }
  }

  warn(message: string, facts: object): void {
    this.#logger?.warn(message, facts);
  }

  close(): void {
    this.#onReload = () => undefined;
    this.#bus.close();
  }

  #hear({ interface: from, member, body }: Signal): void {
    const reloaded = from === NAME && member === 'Reloaded';
    // Its name, the owner before, the owner now: none when it has ended.
    const started = from === BUS && member === 'NameOwnerChanged' && body[0] === NAME && body[2] !== '';
    if (reloaded || started) this.#onReload();
  }

  async #addZone(): Promise<boolean> {
    const [names] = await this.#call('.zone', 'getZones');
    if (Array.isArray(names) && names.includes(ZONE)) return false;
    return this.#addToConfiguration('addZone2', ZONE, {
      version: this.#text('1.0'),
      description: this.#text('bridges of container networks'),
      target: this.#text('ACCEPT'),
    });
  }

  async #addPolicy(): Promise<boolean> {
    const [names] = await this.#call('.policy', 'getPolicies');
    if (Array.isArray(names) && names.includes(POLICY)) return false;
    return this.#addToConfiguration('addPolicy', POLICY, {
      version: this.#text('1.0'),
      description: this.#text(
        'what is forwarded to bridges of container networks is judged by their own rules',
      ),
      ingress_zones: this.#bus.variant('as', ['ANY']),
      egress_zones: this.#bus.variant('as', [ZONE]),
      target: this.#text('ACCEPT'),
    });
  }

  #text(value: string): unknown {
    return this.#bus.variant('s', value);
  }

  /** True also when it was there, but not in use: another process has added it just now. */
  async #addToConfiguration(member: string, name: string, settings: object): Promise<boolean> {
    try {
      const config = { path: `${PATH}/config`, interface: `${NAME}.config` };
      await this.#ask({ ...config, member, signature: 'sa{sv}', body: [name, settings] });
    } catch (error) {
      if (!isNamed(error, 'NAME_CONFLICT')) throw error;
    }
    return true;
  }

  #call(part: string, member: string, signature?: string, body?: unknown[]): Promise<readonly unknown[]> {
    return this.#ask({ path: PATH, interface: `${NAME}${part}`, member, signature, body });
  }

  async #ask(call: Omit<Parameters<Bus['call']>[0], 'destination'>): Promise<readonly unknown[]> {
    return this.#bus.call({ ...call, destination: NAME });
  }
}

/** firewalld tells the kind of a failure as the first word of its text. */
function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof DBusFailure && names.includes(/^[A-Z_]+/.exec(error.message)?.[0] ?? '');
}

/** A failure of the daemon as one of ours. */
export function firewalldError(operation: string, error: unknown): LibnetworkError {
  if (error instanceof LibnetworkError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const denied = error instanceof DBusFailure && /AccessDenied|NotAuthorized/.test(error.type);
  return new LibnetworkError(denied ? 'FORBIDDEN' : 'UNAVAILABLE', `firewalld: ${operation}: ${text}`, {
    operation: `firewalld: ${operation}`,
    cause: error,
  });
}
