/** Values of flags: `key=value`, ports, times. */
import { LibnetworkError } from '../errors.ts';
import type { PortRequest } from '../index.ts';

/** For options that may be given several times; also after the one that says no to them. */
export function collect(value: string, before: readonly string[] | false = []): string[] {
  return [...(before || []), value];
}

/** Of a command that puts an endpoint into a sandbox. */
export const ALIAS = [
  '--alias <[container:]name>',
  'a further name as long as it is joined; with a container: what the sandbox alone calls that one',
  collect,
] as const;

/** The names for the network, and those that the sandbox alone knows. */
export function namesOf(aliases: readonly string[]): { aliases: string[]; links: string[] } {
  return {
    aliases: aliases.filter((alias) => !alias.includes(':')),
    links: aliases.filter((alias) => alias.includes(':')),
  };
}

/** `a=b`; without `=` the value is empty. */
export function pairs(list: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const at = text.indexOf('=');
      return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** Options of a driver: also several in one, with commas, where each has its own `=`, as libnetwork's own client has it. */
export function optionPairs(list: readonly string[] = []): Record<string, string> {
  return pairs(
    list.flatMap((text) => {
      const parts = text.split(',');
      return parts.length > 1 && parts.every((part) => part.includes('=')) ? parts : [text];
    }),
  );
}

/** `[ADDRESS:][HOST[-END]:]CONTAINER[/PROTOCOL]`. @throws INVALID_ARGUMENT */
export function readPort(text: string): PortRequest {
  const match = /^(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d+)?(?:-(\d+))?:)?(\d+)(?:\/(tcp|udp|sctp))?$/.exec(
    text,
  );
  if (!match)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `publish: must be [ADDRESS:][HOST[-END]:]CONTAINER[/tcp|udp|sctp], got ${text}`,
      { field: 'publish', value: text },
    );
  const [, address, host, end, container, protocol = 'tcp'] = match;
  return {
    protocol: protocol as PortRequest['protocol'],
    container: Number(container),
    ...(host === undefined ? {} : { host: Number(host) }),
    ...(end === undefined ? {} : { hostEnd: Number(end) }),
    ...(address === undefined ? {} : { hostAddress: address.replace(/^\[|\]$/g, '') }),
  };
}

/** Milliseconds since 1970 of `10m` ago, of a date, or of seconds since 1970. @throws INVALID_ARGUMENT */
export function readTime(text: string, now: number): number {
  const [, amount, unit] = /^(\d+)(s|m|h|d)$/.exec(text) ?? [];
  const span = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit ?? ''];
  if (span !== undefined) return now - Number(amount) * span;
  const time = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (!Number.isNaN(time)) return time;
  throw new LibnetworkError('INVALID_ARGUMENT', `since: must be a time or a span such as 10m, got ${text}`, {
    field: 'since',
    value: text,
  });
}

/** A whole number. @throws INVALID_ARGUMENT */
export function readInteger(field: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^-?\d+$/.test(text)) return Number(text);
  throw new LibnetworkError('INVALID_ARGUMENT', `${field}: must be a whole number, got ${text}`, {
    field,
    value: text,
  });
}

/** `SERVICE.NETWORK`: the network is what follows the last dot; without one it is `bridge`. */
export function splitService(text: string): { readonly service: string; readonly network: string } {
  const at = text.lastIndexOf('.');
  return at < 0
    ? { service: text, network: 'bridge' }
    : { service: text.slice(0, at), network: text.slice(at + 1) || 'bridge' };
}
