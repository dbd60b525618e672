import { LibnetworkError } from '../errors.ts';

/** Where a plugin listens. */
export type PluginAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly tls: TlsFiles | undefined;
    };

/** How a plugin is spoken to over TLS. */
export interface TlsFiles {
  /** Its certificate is not checked. */
  readonly insecure: boolean;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/**
 * An address as plugin specs give it: `unix:///path`, `tcp://host:port`, `http://…` or `https://…`. Only `https` is
 * spoken to over TLS, as by Docker.
 * @throws INVALID_ARGUMENT saying which file it was in
 */
export function parsePluginAddress(text: string, file: string, tls?: TlsFiles): PluginAddress {
  const refuse = (why: string): LibnetworkError =>
    new LibnetworkError(
      'INVALID_ARGUMENT',
      `${file}: the address ${JSON.stringify(text.slice(0, 200))} ${why}`,
      {
        field: file,
        value: text.slice(0, 200),
      },
    );
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text) ?? [];
  if (scheme === undefined)
    throw refuse('must begin with its protocol: unix://, tcp://, http:// or https://');
  switch (scheme.toLowerCase()) {
    case 'unix':
      if (!rest.startsWith('/')) throw refuse('must name the absolute path of a socket');
      return { kind: 'unix', path: rest };
    case 'tcp':
    case 'http':
      return { kind: 'tcp', ...hostAndPort(rest, 80, refuse), tls: undefined };
    case 'https':
      return { kind: 'tcp', ...hostAndPort(rest, 443, refuse), tls: tls ?? { insecure: false } };
    default:
      throw refuse('has a protocol that is none of unix, tcp, http and https');
  }
}

function hostAndPort(
  rest: string,
  otherwise: number,
  refuse: (why: string) => LibnetworkError,
): { host: string; port: number } {
  if (!URL.canParse(`http://${rest}`)) throw refuse('must name a host and a port');
  const { hostname, port } = new URL(`http://${rest}`);
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? otherwise : Number(port),
  };
}

/** An address for people. */
export function showAddress(address: PluginAddress): string {
  if (address.kind === 'unix') return address.path;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${address.tls ? 'https' : 'http'}://${host}:${address.port}`;
}
