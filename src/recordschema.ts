/** What a record must hold to be worked with. Stores may be damaged, or written by hand. */
import * as v from 'valibot';
import { LibnetworkError, show } from './errors.ts';
import { parseCidr } from './ip.ts';
import { keyOf, readRecord, type StoredRecord } from './records.ts';

const text = v.string('must be text');
const flag = v.boolean('must be true or false');
const number = v.pipe(v.number('must be a number'), v.finite('must be a number'));
const cidr = v.pipe(
  text,
  v.check((it) => parseCidr(it) !== undefined, 'must be an address with its prefix length'),
);
const texts = v.array(text, 'must be a list');
const named = v.record(text, text);
const options = v.record(text, v.union([text, number, flag], 'must be text, a number or a flag'));
const held = v.looseObject({ poolId: text, address: cidr });
const places = v.looseObject({ protocol: text, container: number });

const parts = {
  network: v.looseObject({
    state: v.picklist(['creating', 'ready', 'deleting'], 'must be a state of networks'),
    name: text,
    driver: text,
    scope: v.picklist(['local', 'global'], 'must be a scope'),
    ipv4: flag,
    ipv6: flag,
    internal: flag,
    labels: named,
    options,
    ipam: v.looseObject({
      driver: text,
      options: named,
      addressSpace: text,
      requested: v.array(v.looseObject({})),
    }),
    pools: v.array(
      v.looseObject({
        family: v.picklist(['ipv4', 'ipv6'], 'must be a family'),
        poolId: text,
        subnet: cidr,
        ipRange: v.optional(cidr),
        gateway: v.optional(cidr),
        auxAddresses: named,
      }),
    ),
    policy: v.optional(v.array(v.looseObject({}))),
    createdAt: text,
  }),
  endpoint: v.looseObject({
    state: v.picklist(
      ['creating', 'ready', 'joining', 'joined', 'leaving', 'deleting'],
      'must be a state of endpoints',
    ),
    name: text,
    networkId: text,
    macAddress: v.optional(text),
    ipv4: v.optional(held),
    ipv6: v.optional(held),
    aliases: texts,
    gatewayPriority: number,
    sysctls: named,
    options,
    ports: v.array(places),
    createdAt: text,
    join: v.optional(
      v.looseObject({
        sandboxId: text,
        interfaceName: text,
        aliases: texts,
        priority: number,
        order: number,
        routes: v.array(v.looseObject({ destination: text })),
        bindings: v.array(v.looseObject({ ...places.entries, host: number, hostAddress: text })),
      }),
    ),
  }),
  sandbox: v.looseObject({
    state: v.picklist(['creating', 'ready', 'deleting'], 'must be a state of sandboxes'),
    containerId: text,
    namespace: v.variant('kind', [
      v.looseObject({ kind: v.picklist(['own', 'given']), path: text }),
      v.looseObject({ kind: v.literal('external'), path: v.optional(text) }),
      v.looseObject({ kind: v.literal('host') }),
    ]),
    files: v.looseObject({ hosts: text, resolvConf: text, directory: v.optional(text) }),
    extraHosts: named,
    dns: v.looseObject({}),
    createdAt: text,
  }),
} as const;

/**
 * A stored value as a record, with all that it must hold.
 * @throws INTERNAL naming the key, what is wrong there, and what to do
 */
export function readWholeRecord(key: string, value: unknown): StoredRecord {
  const record = readRecord(key, value);
  const { success, issues } = v.safeParse(parts[record.kind] as v.GenericSchema, record, {
    abortEarly: true,
  });
  if (!success)
    throw damaged(
      key,
      value,
      `${v.getDotPath(issues[0])} ${issues[0].message}, and is ${show(issues[0].input)}`,
    );
  if (keyOf(record) !== key) throw damaged(key, value, `it is the record of another key, ${keyOf(record)}`);
  return record;
}

function damaged(key: string, value: unknown, why: string): LibnetworkError {
  const advice = 'restore the data directory from a copy, or move it away to start anew';
  return new LibnetworkError('INTERNAL', `the record at ${key} is damaged: ${why}; ${advice}`, {
    field: key,
    value,
  });
}
