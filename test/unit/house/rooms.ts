/**
 * The rooms of the house and what each may see (docs/architecture.md). The first room whose pattern matches a
 * file is its room. Patterns are of paths under `src`, without the extension.
 */
export interface Room {
  readonly name: string;
  readonly holds: RegExp;
  /** Files it may import, beside those of the same folder group (`own`). */
  readonly sees: readonly RegExp[];
  /** Files of which it may import types only. */
  readonly seesTypesOf?: readonly RegExp[];
  /** It stands outside the library, and may see its index where `sees` or `seesTypesOf` says so. */
  readonly outside?: boolean;
  /** Packages it may import; `node:` modules are open to all but contracts. */
  readonly packages?: readonly string[];
}

const words = /^(errors|ids|ip)$/;
const tools = /^(labels|abortable|directories|locks|events|sleep|undo|written)$/;
const contracts =
  /^(driverapi\/(?:driver|keyring)|ipam\/ipam|osl\/(?:osl|link|event|xfrm)|osl\/firewall\/firewall|osl\/firewall\/model|datastore\/datastore|discovery\/discovery)$/;
/** Of the kernel, but of none in particular. */
const errno = /^osl\/(errno|checks\/[a-z]+)$/;
const counters = /^osl\/counters$/;

export const rooms: readonly Room[] = [
  { name: 'contract', holds: contracts, sees: [words], seesTypesOf: [contracts] },
  { name: 'words', holds: words, sees: [words] },
  { name: 'osl words', holds: errno, sees: [words, errno], seesTypesOf: [contracts] },
  { name: 'counters', holds: counters, sees: [] },
  { name: 'tools', holds: tools, sees: [words, tools], packages: ['uuid'] },
  { name: 'public doors', holds: /^index$/, sees: [/./] },
  { name: 'suites', holds: /^testing\//, sees: [/./], packages: ['vitest', 'fast-check', 'valibot'] },
  // What macvlan and ipvlan have in common.
  {
    name: 'sublink drivers',
    holds: /^drivers\/sublink\//,
    sees: [words, /^labels$/, contracts, errno, /^driverapi\//, /^drivers\/sublink\//],
  },
  ...['bridge', 'host', 'null', 'macvlan', 'ipvlan', 'overlay', 'remote'].map((driver) => ({
    name: `${driver} driver`,
    holds: new RegExp(`^drivers/${driver}(/|$)`),
    sees: [
      words,
      /^labels$/,
      contracts,
      errno,
      /^driverapi\//,
      /^osl\/portmap\//,
      /^ipam\/(bitseq|idm|prefixtree$)/,
      new RegExp(`^drivers/${driver}(/|$)`),
      ...(driver === 'remote' ? [/^plugin\//] : []),
      ...(driver === 'macvlan' || driver === 'ipvlan' ? [/^drivers\/sublink\//] : []),
    ],
    packages: ['valibot'],
  })),
  {
    name: 'real kernel',
    holds: /^osl\/linux\//,
    sees: [words, tools, contracts, errno, counters, /^osl\/(linux|firewall|relay)\//],
    packages: ['koffi', 'netlink', 'dbus-next'],
  },
  {
    name: 'fake kernel',
    holds: /^osl\/fake\//,
    sees: [words, tools, contracts, errno, /^osl\/(fake|firewall|relay)\//, /^testing\/faults$/],
  },
  {
    name: 'firewall',
    holds: /^osl\/firewall\//,
    sees: [words, tools, contracts, errno, counters, /^osl\/firewall\//],
  },
  { name: 'relay of served ports', holds: /^osl\/relay\//, sees: [words, contracts, /^osl\/relay\//] },
  {
    name: 'port mapping',
    holds: /^osl\/portmap\//,
    sees: [words, tools, contracts, errno, /^osl\/portmap\//],
  },
  { name: 'built-in drivers', holds: /^drivers\/index$/, sees: [contracts, /^drivers\//] },
  { name: 'osl door', holds: /^osl\/index$/, sees: [/^osl\//] },
  { name: 'another host', holds: /^osl\/onhost$/, sees: [contracts] },
  {
    name: 'plugins',
    holds: /^plugin\//,
    sees: [words, tools, contracts, errno, /^plugin\//],
    packages: ['valibot'],
  },
  {
    name: 'remote ipam',
    holds: /^ipam\/remote\//,
    sees: [words, contracts, /^ipam\/options$/, /^ipam\/remote\//, /^plugin\//],
    packages: ['valibot'],
  },
  {
    name: 'ipam',
    holds: /^ipam\//,
    sees: [words, tools, contracts, /^ipam\//],
    packages: ['bitset', 'valibot'],
  },
  {
    name: 'datastore',
    holds: /^datastore\//,
    sees: [words, tools, contracts, errno, /^datastore\//],
    // koffi for flock, the lock that a second opener in one process can't lose.
    packages: ['level', 'koffi', 'valibot', 'etcd3', 'node-zookeeper-client'],
  },
  { name: 'discovery', holds: /^discovery\//, sees: [words, tools, contracts, /^discovery\//] },
  {
    name: 'resolver',
    holds: /^resolver\//,
    sees: [words, tools, contracts, errno, /^resolver\//],
    packages: ['dns-packet'],
  },
  {
    name: 'global scope',
    holds: /^globalscope\//,
    sees: [words, tools, contracts, /^records$/, /^discovery\//, /^globalscope\//],
  },
  {
    name: 'services',
    holds: /^services\//,
    sees: [words, tools, contracts, /^records$/, /^services\//],
    seesTypesOf: [/^resolver\/names$/],
  },
  { name: 'host files', holds: /^hostfiles\//, sees: [/^directories$/, words, /^hostfiles\//] },
  { name: 'driver api', holds: /^driverapi\//, sees: [words, /^labels$/, contracts, errno, /^driverapi\//] },
  // What runs in a browser; the rest of the package sees only what it is told.
  { name: 'page', holds: /^page\//, sees: [/^page\//] },
  {
    name: 'http api',
    outside: true,
    holds: /^api\//,
    sees: [words, /^index$/, /^(api|client)\//],
    seesTypesOf: [/^page\/topology$/],
    packages: ['ajv', 'fastify', '@fastify/swagger', 'prom-client'],
  },
  // Works wherever a daemon can be reached: it knows the forms of answers, and nothing that makes them.
  {
    name: 'http client',
    outside: true,
    holds: /^client\//,
    sees: [words, /^client\//],
    seesTypesOf: [/^index$/, /^api\//],
  },
  // A hook of container runtimes: it speaks to a controller over its socket, and starts at once.
  { name: 'runtime hook', holds: /^cmd\/setkey$/, sees: [] },
  {
    name: 'programs',
    outside: true,
    holds: /^cmd\//,
    sees: [words, /^(index|osl\/fake\/index|datastore\/index)$/, /^(api|client|cmd)\//],
    seesTypesOf: [contracts],
    packages: ['commander', 'fastify', 'koffi', 'pino', 'valibot'],
  },
  {
    name: 'core',
    holds: /^[a-z0-9-]+$/,
    sees: [
      words,
      tools,
      contracts,
      errno,
      /^[a-z0-9-]+$/,
      /^driverapi\/registry$/,
      /^(resolver|hostfiles|globalscope|services)\//,
      /^plugin\/options$/,
    ],
    packages: ['valibot', 'uuid'],
  },
];
