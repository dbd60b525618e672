import { setTimeout as sleep } from 'node:timers/promises';
import { LibnetworkError } from 'libnetwork';
import type { Operation, Ovsdb, Row, Uuid, Value } from './ovsdb.ts';

/** A port of a bridge. */
export interface PortSpec {
  readonly name: string;
  /** What comes in untagged belongs to this VLAN, and leaves untagged. Default: no VLAN. */
  readonly vlan?: number | undefined;
  /** Default: an interface of the host. */
  readonly vxlan?: { readonly remote: string; readonly vni: number } | undefined;
  /** Who it is for: kept with it, for `ports`. */
  readonly owner: string;
}

/** In bits a second. */
export interface Rates {
  /** What the switch sends out of the port: a queue of a token bucket hierarchy. */
  readonly out?: number | undefined;
  /** What it takes in by the port: more is dropped (ingress policing). */
  readonly in?: number | undefined;
}

const OWNER = 'libnetwork-owner';
/** How long the switch gets to do what the database says. */
const PATIENCE_MS = 10_000;

/** Bridges and ports of one Open vSwitch, by its database. Every call may be repeated. */
export class VSwitch {
  readonly #db: Ovsdb;
  readonly #datapath: 'system' | 'netdev';

  /** @param datapath `netdev`: in the switch's own process, for kernels without its module */
  constructor(db: Ovsdb, datapath: 'system' | 'netdev') {
    this.#db = db;
    this.#datapath = datapath;
  }

  async ensureBridge(name: string): Promise<void> {
    if ((await this.#rows('Bridge', name)).length > 0) return;
    await this.#apply([
      insert('Interface', { name, type: 'internal' }, 'own_interface'),
      insert('Port', { name, interfaces: ['named-uuid', 'own_interface'] }, 'own_port'),
      insert('Bridge', { name, datapath_type: this.#datapath, ports: ['named-uuid', 'own_port'] }, 'bridge'),
      mutate('Open_vSwitch', [], ['bridges', 'insert', ['named-uuid', 'bridge']]),
    ]);
  }

  /** Deletes a bridge that has no ports but its own; with some, it stays. */
  async deleteUnusedBridge(name: string): Promise<void> {
    const [bridge] = await this.#rows('Bridge', name);
    if (bridge === undefined || elements(bridge.ports).length > 1) return;
    await this.#apply([mutate('Open_vSwitch', [], ['bridges', 'delete', uuidOf(bridge)])]);
  }

  /** Adds a port, or makes one of that name this. @throws INTERNAL with the switch's words when it can't have it */
  async addPort(bridge: string, { name, vlan, vxlan, owner }: PortSpec): Promise<void> {
    await this.deletePort(name);
    const tunnel: Row = vxlan
      ? { type: 'vxlan', options: map({ remote_ip: vxlan.remote, key: String(vxlan.vni) }) }
      : {};
    await this.#apply([
      insert('Interface', { name, ...tunnel, external_ids: map({ [OWNER]: owner }) }, 'interface'),
      insert(
        'Port',
        {
          name,
          interfaces: ['named-uuid', 'interface'],
          external_ids: map({ [OWNER]: owner }),
          ...(vlan === undefined ? {} : { tag: vlan, vlan_mode: 'access' }),
        },
        'port',
      ),
      mutate('Bridge', [['name', '==', bridge]], ['ports', 'insert', ['named-uuid', 'port']]),
    ]);
    const [made] = await this.#rows('Interface', name);
    const [problem] = elements(made?.error);
    if (problem === undefined) return;
    await this.deletePort(name);
    throw new LibnetworkError('INTERNAL', `Open vSwitch can't have the port ${name}: ${String(problem)}`, {
      value: name,
    });
  }

  /** Deletes a port with its queues, if it is there. */
  async deletePort(name: string): Promise<void> {
    const [port] = await this.#rows('Port', name);
    if (port === undefined) return;
    await this.#apply([
      mutate('Bridge', [['ports', 'includes', uuidOf(port)]], ['ports', 'delete', uuidOf(port)]),
      ...(await this.#dropQueues(port)),
    ]);
  }

  /** Limits a port to these rates; what is not named is not limited. */
  async setRates(name: string, rates: Rates): Promise<void> {
    const [port] = await this.#rows('Port', name);
    if (port === undefined)
      throw new LibnetworkError('NOT_FOUND', `there is no port ${name}`, { value: name });
    // In kilobits; the burst that the manual advises is a tenth of the rate.
    const kilobits = Math.ceil((rates.in ?? 0) / 1000);
    const operations: Operation[] = [
      {
        op: 'update',
        table: 'Interface',
        where: [['name', '==', name]],
        row: { ingress_policing_rate: kilobits, ingress_policing_burst: Math.ceil(kilobits / 10) },
      },
      ...(await this.#dropQueues(port)),
    ];
    if (rates.out !== undefined) {
      const limit = map({ 'max-rate': String(rates.out) });
      operations.push(
        insert('Queue', { other_config: limit }, 'queue'),
        insert(
          'QoS',
          { type: 'linux-htb', other_config: limit, queues: ['map', [[0, ['named-uuid', 'queue']]]] },
          'qos',
        ),
      );
    }
    const qos: Value = rates.out === undefined ? ['set', []] : ['named-uuid', 'qos'];
    operations.push({ op: 'update', table: 'Port', where: [['name', '==', name]], row: { qos } });
    await this.#apply(operations);
  }

  /** The names of all ports that have an owner, with who it is. */
  async ports(): Promise<ReadonlyMap<string, string>> {
    const [found] = await this.#db.transact([{ op: 'select', table: 'Port', where: [] }]);
    return new Map(
      (found?.rows ?? []).flatMap((row): [string, string][] => {
        const owner = pairs(row.external_ids).get(OWNER);
        return typeof owner === 'string' ? [[String(row.name), owner]] : [];
      }),
    );
  }

  /** Queues and their owners are not removed with the port by themselves. */
  async #dropQueues(port: Row): Promise<Operation[]> {
    const [qos] = elements(port.qos);
    if (!isUuid(qos)) return [];
    const [found] = await this.#db.transact([{ op: 'select', table: 'QoS', where: [['_uuid', '==', qos]] }]);
    const queues = [...pairs(found?.rows?.[0]?.queues).values()].filter(isUuid);
    return [
      { op: 'update', table: 'Port', where: [['_uuid', '==', uuidOf(port)]], row: { qos: ['set', []] } },
      { op: 'delete', table: 'QoS', where: [['_uuid', '==', qos]] },
      ...queues.map(
        (queue): Operation => ({ op: 'delete', table: 'Queue', where: [['_uuid', '==', queue]] }),
      ),
    ];
  }

  /** Changes the database, and waits until the switch has done what it says. @throws TIMEOUT */
  async #apply(operations: readonly Operation[]): Promise<void> {
    const outcomes = await this.#db.transact([
      ...operations,
      mutate('Open_vSwitch', [], ['next_cfg', '+=', 1]),
      { op: 'select', table: 'Open_vSwitch', where: [] },
    ]);
    const wanted = Number(outcomes.at(-1)?.rows?.[0]?.next_cfg);
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(5)) {
      const [now] = await this.#db.transact([{ op: 'select', table: 'Open_vSwitch', where: [] }]);
      if (Number(now?.rows?.[0]?.cur_cfg) >= wanted) return;
    }
    throw new LibnetworkError('TIMEOUT', `ovs-vswitchd did not act within ${PATIENCE_MS} ms; is it running?`);
  }

  async #rows(table: string, name: string): Promise<readonly Row[]> {
    const [found] = await this.#db.transact([{ op: 'select', table, where: [['name', '==', name]] }]);
    return found?.rows ?? [];
  }
}

function insert(table: string, row: Row, name: string): Operation {
  return { op: 'insert', table, row, 'uuid-name': name };
}

function mutate(
  table: string,
  where: Extract<Operation, { op: 'mutate' }>['where'],
  mutation: Extract<Operation, { op: 'mutate' }>['mutations'][number],
): Operation {
  return { op: 'mutate', table, where, mutations: [mutation] };
}

function map(values: Readonly<Record<string, string>>): Value {
  return ['map', Object.entries(values)];
}

function uuidOf(row: Row): Uuid {
  if (isUuid(row._uuid)) return row._uuid;
  throw new TypeError('a row without an id');
}

function isUuid(value: unknown): value is Uuid {
  return Array.isArray(value) && value[0] === 'uuid';
}

/** A set of one is written as its element, one of none as `["set",[]]`. */
function elements(value: Value | undefined): readonly unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) && value[0] === 'set' ? value[1] : [value];
}

function pairs(value: Value | undefined): ReadonlyMap<unknown, unknown> {
  return new Map(Array.isArray(value) && value[0] === 'map' ? (value[1] as [unknown, unknown][]) : []);
}
