/** Where plugins are looked for, and what one of them may cost its caller. Every limit here ends in a typed error. */
import * as v from 'valibot';

export interface PluginOptions {
  /** Directories of `NAME.sock` and `NAME/NAME.sock`, the first one that has it. @default ['/run/docker/plugins'] */
  readonly socketDirectories?: readonly string[] | undefined;
  /**
   * Directories of `NAME.spec` and `NAME.json`, also in a directory of that name.
   * @default ['/etc/docker/plugins', '/usr/lib/docker/plugins']
   */
  readonly specDirectories?: readonly string[] | undefined;
  /** Milliseconds from the request to the whole answer. Docker waits for ever. @default 30000 */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds within which a plugin that can't be reached is tried again. @default 30000 */
  readonly retryBudgetMs?: number | undefined;
  /** Milliseconds before the first retry; each further one waits twice as long, up to thirty times. @default 1000 */
  readonly retryDelayMs?: number | undefined;
  /** Milliseconds that a plugin which let a call time out is left alone, while it answers nobody. @default 5000 */
  readonly restMs?: number | undefined;
  /** As `timeoutMs`, while the controller starts; then nothing is retried. @default 5000 */
  readonly startTimeoutMs?: number | undefined;
  /** Connections to one plugin; further calls wait for one. @default 16 */
  readonly maxConnections?: number | undefined;
  /** Calls that may wait for a connection to one plugin. @default 10000 */
  readonly maxWaiting?: number | undefined;
  /** Bytes of one answer. @default 1048576 */
  readonly maxBodyBytes?: number | undefined;
}

export type PluginSettings = { readonly [K in keyof PluginOptions]-?: NonNullable<PluginOptions[K]> };

const count = v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(1));
const milliseconds = v.pipe(
  v.number('must be a number of milliseconds'),
  v.integer('must be a whole number of milliseconds'),
  v.minValue(0),
  v.maxValue(2 ** 31 - 1),
);
const directories = v.array(
  v.pipe(v.string('must be text'), v.startsWith('/', 'must be an absolute path')),
  'must be a list of directories',
);

/** The options as the controller checks them, with their defaults. */
export const pluginSettings = v.strictObject({
  socketDirectories: v.optional(directories, ['/run/docker/plugins']),
  specDirectories: v.optional(directories, ['/etc/docker/plugins', '/usr/lib/docker/plugins']),
  timeoutMs: v.optional(milliseconds, 30_000),
  retryBudgetMs: v.optional(milliseconds, 30_000),
  retryDelayMs: v.optional(milliseconds, 1_000),
  restMs: v.optional(milliseconds, 5_000),
  startTimeoutMs: v.optional(milliseconds, 5_000),
  maxConnections: v.optional(count, 16),
  maxWaiting: v.optional(count, 10_000),
  maxBodyBytes: v.optional(count, 1_048_576),
});
