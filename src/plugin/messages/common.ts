/** What every answer of a plugin may hold. */
import * as v from 'valibot';
import { list, message, text } from '../json.ts';

/** The kinds of plugins that this package knows. */
export type PluginKind = 'NetworkDriver' | 'IpamDriver';

/** The content type of the protocol; who reads it does not look at it. */
export const CONTENT_TYPE = 'application/vnd.docker.plugins.v1.2+json';

export const activation = message({ Implements: list(v.string('must be text')) });

/**
 * A refusal. Network drivers say `Err`, IPAM drivers `Error`, and with another status than 200 both say `Err`. The
 * rest is said by plugins that this package serves, and lets their errors arrive as what they were.
 */
export const refusal = message({
  Err: text,
  Error: text,
  Code: v.optional(v.unknown()),
  Field: v.optional(v.unknown()),
  Holder: v.optional(v.unknown()),
  Limit: v.optional(v.unknown()),
});

export const nothing = message({});
