/** The kinds of values that options are made of, checked with words that say what is wrong. */
import * as v from 'valibot';
import { contains, familyOf, parseAddress, parseCidr, parsePrefix } from './ip.ts';

/**
 * An object with fields. A list would have positions for names, and a Map or a Date no fields at all: what they hold
 * would be taken for something else, or lost without a word.
 */
const object = v.custom<object>(isFields, 'must be an object with fields');

export function isFields(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Fields of any names, each with a value of one kind. */
export function record<K extends v.GenericSchema<string, string>, T extends v.GenericSchema>(
  key: K,
  value: T,
) {
  return v.pipe(object, v.record(key, value));
}
/** Fields of these names alone. */
export function fields<E extends v.ObjectEntries>(entries: E) {
  return v.pipe(object, v.strictObject(entries));
}

// A surrogate without its other half is no character: a store or the kernel would keep another one in its place.
const CONTROL_CHARACTER = /\p{Cc}/u;
const HALF_CHARACTER = /\p{Cs}/u;
const UNUSABLE = ['127.0.0.0/8', '224.0.0.0/4', '::1/128', 'ff00::/8'].map(parsePrefix);

const MAX_NAME = 128;
export const name = v.pipe(
  v.string('must be text'),
  v.maxLength(MAX_NAME, `must have at most ${MAX_NAME} characters`),
  v.regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/,
    'must be letters, digits, "_", "." and "-", and start with a letter or digit',
  ),
);
export const flag = v.optional(v.boolean('must be true or false'), false);
export const line = v.pipe(
  v.string('must be text'),
  v.maxLength(4096, 'must have at most 4096 characters'),
  // Control characters would let a value end its line in a file, or its string in the kernel.
  v.check((text) => !CONTROL_CHARACTER.test(text), 'must not hold control characters'),
  v.check((text) => !HALF_CHARACTER.test(text), 'must be well-formed Unicode'),
);
export const path = v.pipe(
  line,
  v.check(isNormalPath, 'must be an absolute path without ".", ".." or empty parts'),
  v.check(fitsFileSystem, 'must have at most 255 bytes between slashes, and 4095 in all'),
);
export const hostname = v.pipe(
  v.string('must be text'),
  v.maxLength(253, 'must have at most 253 characters'),
  v.regex(/^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*$/, 'must be a host name'),
);
export const address = v.pipe(
  line,
  v.check((text) => familyOf(text) !== undefined, 'must be an IPv4 or IPv6 address'),
);
/** One of fe80::/10 or 169.254.0.0/16, as a CIDR of the length that links use. */
export const linkLocal = v.pipe(
  address,
  v.check(isLinkLocal, 'must be a link-local address, of 169.254.0.0/16 or fe80::/10'),
  v.transform((text) => `${text}/${familyOf(text) === 'ipv4' ? 16 : 64}`),
);
export const subnet = v.pipe(
  line,
  v.check((text) => parseCidr(text) !== undefined, 'must be a subnet such as 10.9.0.0/24'),
  v.check((text) => parsePrefix(text) !== undefined, 'must have no host bits set'),
  v.check((text) => !isUnusable(text), 'must not be of loopback or multicast addresses'),
);
export const labels = record(v.pipe(line, v.minLength(1, 'must not be empty')), line);
export const driverOptions = record(
  v.pipe(line, v.minLength(1, 'must not be empty')),
  v.union([line, v.boolean(), v.pipe(v.number(), v.finite())], 'must be text, a number or a boolean'),
);
export const interfaceName = v.pipe(
  v.string('must be text'),
  v.check((text) => Buffer.byteLength(text) <= 15 && text.length > 0, 'must have 1 to 15 bytes'),
  v.regex(/^[^\s/:\0%]+$/, 'must not hold white space, "/", ":" or "%"'),
  v.check((text) => text !== '.' && text !== '..', 'must not be "." or ".."'),
  v.check((text) => !CONTROL_CHARACTER.test(text), 'must not hold control characters'),
  v.check((text) => !HALF_CHARACTER.test(text), 'must be well-formed Unicode'),
);
/** The start of interface names. A number follows. */
export const interfacePrefix = v.pipe(
  interfaceName,
  v.check((text) => Buffer.byteLength(text) <= 12, 'must have at most 12 bytes: a number follows'),
);
export const macAddress = v.pipe(
  v.string('must be text'),
  v.regex(/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/, 'must be six hex pairs such as 02:42:0a:09:00:05'),
  v.check((text) => (Number.parseInt(text.slice(0, 2), 16) & 1) === 0, 'must not be a multicast address'),
  v.check((text) => !/^00(:00){5}$/.test(text), 'must not be all zeros'),
  v.toLowerCase(),
);
export const protocol = v.picklist(['tcp', 'udp', 'sctp'], 'must be "tcp", "udp" or "sctp"');
export const port = v.pipe(
  v.number('must be a number'),
  v.integer('must be a whole number'),
  v.minValue(1, 'must be 1 to 65535'),
  v.maxValue(65535, 'must be 1 to 65535'),
);
export const priority = v.pipe(v.number('must be a number'), v.safeInteger('must be a whole number'));

/** What every call that waits takes, beside its other options. */
export const waits = v.pipe(
  object,
  v.object({ signal: v.optional(v.custom<AbortSignal>(isSignal, 'must be an AbortSignal')) }),
);

export const exposedPort = v.strictObject({
  protocol: v.optional(protocol, 'tcp'),
  port,
  // One label, with the underscore that stands before it in a SRV record's name.
  name: v.optional(
    v.pipe(
      v.string('must be text'),
      v.regex(/^[a-zA-Z0-9_-]{1,62}$/, 'must be 1 to 62 letters, digits, "-" or "_"'),
    ),
  ),
});

export const portRequest = v.pipe(
  v.strictObject({
    protocol: v.optional(protocol, 'tcp'),
    container: port,
    host: v.optional(port),
    hostEnd: v.optional(port),
    hostAddress: v.optional(address),
  }),
  v.check(
    (p) => p.hostEnd === undefined || (p.host !== undefined && p.hostEnd >= p.host),
    'hostEnd must not be below host',
  ),
);

export const pool = v.pipe(
  fields({
    subnet: v.optional(subnet),
    ipRange: v.optional(subnet),
    gateway: v.optional(address),
    auxAddresses: v.optional(record(name, address), {}),
  }),
  v.check((p) => p.subnet !== undefined || p.ipRange === undefined, 'ipRange needs a subnet'),
  v.check((p) => inside(p.ipRange, p.subnet), 'ipRange must lie inside the subnet'),
  v.check((p) => inside(p.gateway, p.subnet), 'gateway must lie inside the subnet'),
  v.check(
    (p) => Object.values(p.auxAddresses).every((aux) => inside(aux, p.subnet)),
    'auxAddresses must lie inside the subnet',
  ),
);

/** Subnets that no container can have an address of. */
function isUnusable(text: string): boolean {
  const wanted = parsePrefix(text);
  return UNUSABLE.some((range) => wanted !== undefined && range !== undefined && contains(range, wanted));
}

/** What Linux's own file systems hold at most (NAME_MAX, PATH_MAX). */
function fitsFileSystem(text: string): boolean {
  return Buffer.byteLength(text) <= 4095 && text.split('/').every((part) => Buffer.byteLength(part) <= 255);
}

/** By what it does: a page's or a test's own kind of signal is as good as Node's. */
function isSignal(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    'aborted' in value &&
    'addEventListener' in value &&
    typeof value.addEventListener === 'function'
  );
}

function isLinkLocal(text: string): boolean {
  const parsed = parseAddress(text);
  if (parsed === undefined) return false;
  const range = parsePrefix(parsed.family === 'ipv4' ? '169.254.0.0/16' : 'fe80::/10');
  return range !== undefined && contains(range, parsed);
}

function isNormalPath(text: string): boolean {
  return (
    text.startsWith('/') &&
    text
      .slice(1)
      .split('/')
      .every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

function inside(what: string | undefined, subnetText: string | undefined): boolean {
  if (what === undefined || subnetText === undefined) return true;
  const outer = parsePrefix(subnetText);
  const inner = what.includes('/') ? parsePrefix(what) : parseAddress(what);
  return outer !== undefined && inner !== undefined && contains(outer, inner);
}
