/** `libnetwork/client`: a typed client of the daemon `dnet`. */
export * from './client.ts';
export { type Host, parseHost } from './host.ts';
export { type AskOptions, connectTo, type TlsOptions, type Transport } from './transport.ts';
