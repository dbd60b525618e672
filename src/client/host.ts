import { LibnetworkError } from '../errors.ts';

/** Where a daemon listens. */
export type Host = { readonly kind: 'unix'; readonly path: string } | ({ readonly kind: 'tcp' } & TcpHost);

export interface TcpHost {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `unix:///run/dnet.sock` or `tcp://10.0.0.1:2376`. @throws INVALID_ARGUMENT */
export function parseHost(text: string): Host {
  const unix = /^unix:\/\/(\/[^\0]{1,106})$/.exec(text)?.[1];
  if (unix !== undefined) return { kind: 'unix', path: unix };
  const tcp = text.startsWith('tcp://') ? parseTcp(text.slice('tcp://'.length)) : undefined;
  if (tcp) return { kind: 'tcp', ...tcp };
  throw new LibnetworkError(
    'INVALID_ARGUMENT',
    `host: must be unix:///PATH (at most 107 bytes) or tcp://ADDRESS:PORT, got ${text}`,
    { field: 'host', value: text },
  );
}

/** `10.0.0.1:2376`, `[::1]:2376` or a name and a port; `undefined` for anything else. */
export function parseTcp(text: string): TcpHost | undefined {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^:/\s]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65535) return undefined;
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

/** True for an address that only this host reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
