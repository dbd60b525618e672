/** The daemon's settings: a file, then the environment, then flags; the later ones win. */
import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { LibnetworkError } from '../../errors.ts';

const path = v.pipe(v.string(), v.startsWith('/', 'must be an absolute path'));
const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
const flag = v.boolean('must be true or false');
const schema = v.strictObject({
  host: v.optional(v.string(), 'unix:///run/dnet.sock'),
  dataDir: v.optional(path, '/var/lib/libnetwork'),
  runDir: v.optional(path),
  instance: v.optional(v.string()),
  fake: v.optional(flag, false),
  web: v.optional(v.string()),
  webExposed: v.optional(flag, false),
  firewall: v.optional(v.picklist(['nftables', 'iptables', 'none'], 'must be nftables, iptables or none')),
  allowDirectRouting: v.optional(flag),
  bridgeAcceptFwmark: v.optional(v.string()),
  predefined: v.optional(flag, true),
  runtimeHook: v.optional(flag, false),
  logLevel: v.optional(v.picklist(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`), 'info'),
  socketMode: v.optional(v.pipe(v.string(), v.regex(/^0?[0-7]{3}$/, 'must be octal, such as 0660')), '0660'),
  /** By number. */
  socketGroup: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  tlsCaCert: v.optional(path),
  tlsCert: v.optional(path),
  tlsKey: v.optional(path),
  /** The store that the hosts of a cluster share: `etcd://10.0.0.1:2379,10.0.0.2:2379`. */
  clusterStore: v.optional(v.string()),
  /** The address, or the link, by which other hosts reach this one. */
  clusterAdvertise: v.optional(v.string()),
  /** What tells this host from the others, always the same. */
  clusterHost: v.optional(v.string()),
  clusterLeaseMs: v.optional(v.number()),
  clusterTimeoutMs: v.optional(v.number()),
  clusterStoreCaCert: v.optional(path),
  clusterStoreCert: v.optional(path),
  clusterStoreKey: v.optional(path),
  clusterStoreUser: v.optional(v.string()),
  clusterStorePasswordFile: v.optional(path),
  limits: v.optional(v.record(v.string(), v.number()), {}),
  defaultAddressPools: v.optional(v.array(v.strictObject({ base: v.string(), size: v.number() }))),
});

export type DaemonConfig = v.InferOutput<typeof schema>;
export type DaemonFlags = Partial<Record<keyof DaemonConfig, unknown>>;

export const DEFAULT_CONFIG = '/etc/libnetwork/dnet.json';

/** Names of the environment, beside `DNET_CONFIG`. */
const ENVIRONMENT: Readonly<Record<string, keyof DaemonConfig>> = {
  DNET_HOST: 'host',
  DNET_DATA_DIR: 'dataDir',
  DNET_RUN_DIR: 'runDir',
  DNET_INSTANCE: 'instance',
  DNET_FAKE: 'fake',
  DNET_WEB: 'web',
  DNET_FIREWALL: 'firewall',
  DNET_PREDEFINED: 'predefined',
  DNET_LOG_LEVEL: 'logLevel',
  DNET_TLS_CA_CERT: 'tlsCaCert',
  DNET_TLS_CERT: 'tlsCert',
  DNET_TLS_KEY: 'tlsKey',
  DNET_CLUSTER_STORE: 'clusterStore',
  DNET_CLUSTER_ADVERTISE: 'clusterAdvertise',
  DNET_CLUSTER_HOST: 'clusterHost',
  DNET_CLUSTER_STORE_CA_CERT: 'clusterStoreCaCert',
  DNET_CLUSTER_STORE_CERT: 'clusterStoreCert',
  DNET_CLUSTER_STORE_KEY: 'clusterStoreKey',
  DNET_CLUSTER_STORE_USER: 'clusterStoreUser',
  DNET_CLUSTER_STORE_PASSWORD_FILE: 'clusterStorePasswordFile',
};

/** @throws INVALID_ARGUMENT naming the setting and where it comes from; NOT_FOUND for a file that was asked for */
export function readConfig(
  flags: DaemonFlags,
  environment: NodeJS.ProcessEnv,
  file: string | undefined,
): DaemonConfig {
  const named = file ?? environment.DNET_CONFIG;
  const name = named ?? DEFAULT_CONFIG;
  const inFile = readFile(name, named !== undefined);
  const inEnvironment = fromEnvironment(environment);
  const asFlags = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const result = v.safeParse(schema, { ...inFile, ...inEnvironment, ...asFlags }, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? 'settings';
  const [key = field] = field.split('.');
  const from = key in asFlags ? '' : key in inEnvironment ? ` (${variableOf(key)})` : ` (in ${name})`;
  throw new LibnetworkError(
    'INVALID_ARGUMENT',
    `${field}: ${issue.expected === 'never' ? 'is no setting' : issue.message}${from}`,
    { field, value: issue.input },
  );
}

function variableOf(setting: string): string {
  return Object.entries(ENVIRONMENT).find(([, key]) => key === setting)?.[0] ?? '';
}

function readFile(name: string, isAsked: boolean): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(name, 'utf8');
  } catch (error) {
    if (!isAsked && error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new LibnetworkError('NOT_FOUND', `the settings in ${name} can't be read`, {
      field: 'config',
      value: name,
      cause: error,
    });
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return { ...parsed };
    throw new LibnetworkError('INVALID_ARGUMENT', 'it must be one object');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LibnetworkError('INVALID_ARGUMENT', `the settings in ${name} are no JSON: ${why}`, {
      field: 'config',
      value: name,
      cause: error,
    });
  }
}

/** What else stands there is refused with the other settings. */
const FLAGS: Readonly<Record<string, boolean>> = { '1': true, true: true, '0': false, false: false };

function fromEnvironment(environment: NodeJS.ProcessEnv): Record<string, unknown> {
  const entries = Object.entries(ENVIRONMENT).flatMap(([name, key]) => {
    const value = environment[name];
    if (value === undefined || value === '') return [];
    const isFlag = key === 'fake' || key === 'predefined';
    return [[key, isFlag ? (FLAGS[value] ?? value) : value]];
  });
  return Object.fromEntries(entries);
}
