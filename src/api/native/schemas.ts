/** The forms of what dnet's own API takes. The controller checks the values, and names the field that is wrong. */

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const texts = { type: 'array', items: text, maxItems: 1024 } as const;
const map = { type: 'object', additionalProperties: text, maxProperties: 1024 } as const;
const options = {
  type: 'object',
  additionalProperties: { type: ['string', 'number', 'boolean'] },
  maxProperties: 1024,
} as const;

export const params = (...names: readonly string[]) => ({
  type: 'object',
  required: names,
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string', minLength: 1 }])),
});

const pool = {
  type: 'object',
  properties: { subnet: text, ipRange: text, gateway: text, auxAddresses: map },
} as const;

const names = { type: 'object', additionalProperties: texts, maxProperties: 1024 } as const;
const dns = {
  type: 'object',
  properties: { records: names, wildcard: names, forward: text, allow: texts },
} as const;
/** Its rules have many forms: the controller alone checks them. */
const policy = { type: 'array', items: { type: 'object' }, maxItems: 256 } as const;

export const network = {
  type: 'object',
  required: ['name'],
  properties: {
    name: text,
    driver: text,
    ipv4: flag,
    ipv6: flag,
    internal: flag,
    attachable: flag,
    ingress: flag,
    persist: flag,
    scope: { type: 'string', enum: ['local', 'global'] },
    configOnly: flag,
    configFrom: text,
    labels: map,
    options,
    ipam: {
      type: 'object',
      properties: { driver: text, options: map, pools: { type: 'array', items: pool, maxItems: 128 } },
    },
    policy,
    dns,
  },
} as const;

export const networkChanges = {
  type: 'object',
  properties: {
    labels: map,
    options,
    policy,
    dns,
  },
} as const;

const port = {
  type: 'object',
  required: ['container'],
  properties: {
    protocol: { type: 'string', enum: ['tcp', 'udp', 'sctp'] },
    container: { type: 'integer' },
    host: { type: 'integer' },
    hostEnd: { type: 'integer' },
    hostAddress: text,
  },
} as const;

const limits = {
  type: 'object',
  properties: { ingress: { type: 'number' }, egress: { type: 'number' }, burst: { type: 'number' } },
} as const;

const exposed = {
  type: 'object',
  properties: { name: text, protocol: port.properties.protocol, port: { type: 'integer' } },
} as const;

const service = {
  type: 'object',
  required: ['name'],
  properties: {
    name: text,
    aliases: texts,
    mode: { type: 'string', enum: ['vip', 'dnsrr'] },
    enabled: flag,
  },
} as const;

export const endpoint = {
  type: 'object',
  required: ['name'],
  properties: {
    name: text,
    ipv4: text,
    ipv6: text,
    macAddress: text,
    labels: map,
    aliases: texts,
    linkLocal: texts,
    anonymous: flag,
    dnsNames: texts,
    exposedPorts: { type: 'array', items: exposed, maxItems: 4096 },
    gatewayPriority: { type: 'integer' },
    interfaceName: text,
    sysctls: map,
    options,
    ports: { type: 'array', items: port, maxItems: 4096 },
    limits,
    service,
  },
} as const;

export const endpointChanges = {
  type: 'object',
  properties: {
    ports: { type: 'array', items: port, maxItems: 4096 },
    limits,
    labels: map,
    service: { type: 'object', properties: { enabled: flag } },
  },
} as const;

export const join = {
  type: 'object',
  required: ['sandbox'],
  properties: {
    sandbox: text,
    aliases: texts,
    links: { ...texts, description: '`container:alias`: names that this sandbox alone knows' },
    priority: { type: 'integer' },
  },
} as const;

export const sandbox = {
  type: 'object',
  required: ['containerId'],
  properties: {
    containerId: text,
    hostname: text,
    domainname: text,
    hostsPath: text,
    resolvConfPath: text,
    extraHosts: map,
    dns: {
      type: 'object',
      properties: { servers: texts, search: texts, options: texts, aliases: map },
    },
    namespacePath: text,
    externalKey: flag,
  },
} as const;

export const key = { type: 'object', required: ['path'], properties: { path: text } } as const;

export const reconcile = { type: ['object', 'null'], properties: { dryRun: flag } } as const;

export const explain = {
  type: 'object',
  required: ['to'],
  properties: {
    from: {
      type: 'string',
      description: 'A sandbox, an endpoint, an address, `host` or `outside`; default: `outside`',
    },
    to: { type: 'string', description: 'A sandbox, an endpoint, an address, `host` or `outside`' },
    protocol: { type: 'string', enum: ['tcp', 'udp', 'sctp', 'icmp'] },
    port: { type: 'integer', minimum: 1, maximum: 65535 },
    family: { type: 'string', enum: ['ipv4', 'ipv6'] },
  },
} as const;

/** The same as a query: a number is text there. */
export const explainQuery = {
  ...explain,
  properties: { ...explain.properties, port: { type: 'string', pattern: '^[1-9][0-9]{0,4}$' } },
} as const;

export const force = {
  type: 'object',
  properties: { force: { type: 'string', enum: ['true', 'false'] } },
} as const;
