import * as v from 'valibot';
import { address, fields, flag, hostname, line, name, path, record } from './fields.ts';

/** What `controller.createSandbox` takes. */
export interface SandboxOptions {
  /** A container has one sandbox. */
  readonly containerId: string;
  /** Its own name in `/etc/hosts`. @default none */
  readonly hostname?: string | undefined;
  /** Makes the name there `hostname.domainname`. @default none */
  readonly domainname?: string | undefined;
  /** Where `/etc/hosts` is written. @default a file under the controller's `runDir` */
  readonly hostsPath?: string | undefined;
  /** Where `/etc/resolv.conf` is written. @default a file under the controller's `runDir` */
  readonly resolvConfPath?: string | undefined;
  /** Lines of `/etc/hosts`: name to address. */
  readonly extraHosts?: Readonly<Record<string, string>> | undefined;
  readonly dns?:
    | {
        /** Addresses of name servers. @default the host's */
        readonly servers?: readonly string[] | undefined;
        /** Domains to search; `['.']`: none. @default the host's */
        readonly search?: readonly string[] | undefined;
        /** Of `resolv.conf`, such as `ndots:2`. @default the host's */
        readonly options?: readonly string[] | undefined;
        /** Names that only this sandbox knows (links): `{ db: 'postgres-1' }`, or `'postgres-1.back'`. */
        readonly aliases?: Readonly<Record<string, string>> | undefined;
      }
    | undefined;
  /** An existing namespace, such as `/proc/4242/ns/net`; `'host'`: the host's own. @default a new one */
  readonly namespacePath?: string | undefined;
  /** The runtime makes the namespace: until `setKey` tells where it is, joins are only noted. @default false */
  readonly externalKey?: boolean | undefined;
}

/** What `sandbox.refresh` sets anew. What is not named has its default from then on. */
export type RefreshOptions = Pick<SandboxOptions, 'hostname' | 'domainname' | 'extraHosts' | 'dns'>;

const resolution = {
  hostname: v.optional(hostname),
  domainname: v.optional(hostname),
  extraHosts: v.optional(record(hostname, address), {}),
  dns: v.optional(
    fields({
      servers: v.optional(v.array(address)),
      search: v.optional(v.array(v.union([hostname, v.literal('.')], 'must be a domain name'))),
      options: v.optional(v.array(v.pipe(line, v.regex(/^\S+$/, 'must be one word')))),
      aliases: v.optional(record(hostname, hostname)),
    }),
    {},
  ),
};

export const sandbox = v.pipe(
  v.strictObject({
    containerId: name,
    hostsPath: v.optional(path),
    resolvConfPath: v.optional(path),
    namespacePath: v.optional(v.union([v.literal('host'), path], 'must be an absolute path, or "host"')),
    externalKey: flag,
    ...resolution,
  }),
  v.forward(
    v.check(
      (it) => !it.externalKey || it.namespacePath === undefined,
      'and namespacePath exclude each other',
    ),
    ['externalKey'],
  ),
  v.forward(
    v.check(
      (it) => it.hostsPath === undefined || it.hostsPath !== it.resolvConfPath,
      'must not be hostsPath: each is a file of its own',
    ),
    ['resolvConfPath'],
  ),
);

export const refresh = fields(resolution);
