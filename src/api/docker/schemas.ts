/** What requests of Docker's clients hold. Absent and `null` are one, unknown fields are ignored, as in Go. */

const text = { type: ['string', 'null'] } as const;
const flag = { type: ['boolean', 'null'] } as const;
const texts = { type: ['array', 'null'], items: { type: 'string' }, maxItems: 1024 } as const;
const map = {
  type: ['object', 'null'],
  additionalProperties: { type: 'string' },
  maxProperties: 1024,
} as const;

export const createSchema = {
  type: ['object', 'null'],
  properties: {
    Name: text,
    Driver: text,
    Scope: text,
    EnableIPv4: flag,
    EnableIPv6: flag,
    Internal: flag,
    Attachable: flag,
    Ingress: flag,
    ConfigOnly: flag,
    ConfigFrom: { type: ['object', 'null'], properties: { Network: text } },
    IPAM: {
      type: ['object', 'null'],
      properties: {
        Driver: text,
        Options: map,
        Config: {
          type: ['array', 'null'],
          maxItems: 128,
          items: {
            type: 'object',
            properties: { Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: map },
          },
        },
      },
    },
    Options: map,
    Labels: map,
    CheckDuplicate: flag,
  },
} as const;

export interface CreateBody {
  readonly Name?: string | null;
  readonly Driver?: string | null;
  readonly Scope?: string | null;
  readonly EnableIPv4?: boolean | null;
  readonly EnableIPv6?: boolean | null;
  readonly Internal?: boolean | null;
  readonly Attachable?: boolean | null;
  readonly Ingress?: boolean | null;
  readonly ConfigOnly?: boolean | null;
  readonly ConfigFrom?: { readonly Network?: string | null } | null;
  readonly IPAM?: {
    readonly Driver?: string | null;
    readonly Options?: Readonly<Record<string, string>> | null;
    readonly Config?: readonly PoolBody[] | null;
  } | null;
  readonly Options?: Readonly<Record<string, string>> | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

export interface PoolBody {
  readonly Subnet?: string | null;
  readonly IPRange?: string | null;
  readonly Gateway?: string | null;
  readonly AuxiliaryAddresses?: Readonly<Record<string, string>> | null;
}

export const connectSchema = {
  type: ['object', 'null'],
  properties: {
    Container: text,
    EndpointConfig: {
      type: ['object', 'null'],
      properties: {
        IPAMConfig: {
          type: ['object', 'null'],
          properties: { IPv4Address: text, IPv6Address: text, LinkLocalIPs: texts },
        },
        Links: texts,
        Aliases: texts,
        MacAddress: text,
        DriverOpts: map,
        GwPriority: { type: ['integer', 'null'] },
      },
    },
  },
} as const;

export interface ConnectBody {
  readonly Container?: string | null;
  readonly EndpointConfig?: EndpointBody | null;
}

export interface EndpointBody {
  readonly IPAMConfig?: {
    readonly IPv4Address?: string | null;
    readonly IPv6Address?: string | null;
    readonly LinkLocalIPs?: readonly string[] | null;
  } | null;
  readonly Links?: readonly string[] | null;
  readonly Aliases?: readonly string[] | null;
  readonly MacAddress?: string | null;
  readonly DriverOpts?: Readonly<Record<string, string>> | null;
  readonly GwPriority?: number | null;
}

export const disconnectSchema = {
  type: ['object', 'null'],
  properties: { Container: text, Force: flag },
} as const;

export interface DisconnectBody {
  readonly Container?: string | null;
  readonly Force?: boolean | null;
}

export const idParams = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', minLength: 1 } },
} as const;

export const message = {
  type: 'object',
  required: ['message'],
  properties: { message: { type: 'string' } },
} as const;
