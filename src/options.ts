import * as v from 'valibot';
import { controller } from './controlleroptions.ts';
import { endpoint, join } from './endpointoptions.ts';
import { invalid } from './errors.ts';
import { flag, name, path, waits } from './fields.ts';
import { network } from './networkoptions.ts';
import { refresh, sandbox } from './sandboxoptions.ts';
import { serviceChanges } from './serviceoptions.ts';

/** What every call that waits takes. */
export interface Waits {
  /** Aborts the call: what was done so far is undone, and the call throws `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

/** What `controller.rotateKeys` takes. */
export interface RotateOptions extends Waits {
  /** How long it waits for the hosts, in milliseconds. @default 30 seconds more than `cluster.leaseMs` */
  readonly timeoutMs?: number | undefined;
}

const schemas = {
  network,
  endpoint,
  serviceChanges,
  join,
  sandbox,
  refresh,
  rename: v.strictObject({ name }),
  setKey: v.strictObject({ path }),
  rotateKeys: v.object({
    timeoutMs: v.optional(
      v.pipe(v.number('must be a number'), v.minValue(0, 'must be 0 milliseconds or more')),
    ),
  }),
  deleteEndpoint: v.object({ force: flag }),
  reconcile: v.object({ dryRun: flag }),
  waits,
  controller,
} as const;

type Schemas = typeof schemas;

/** Options after `parseOptions`: checked, with their defaults. */
export type Parsed<K extends keyof Schemas> = v.InferOutput<Schemas[K]>;

/**
 * Checks options from outside and fills in the defaults.
 * @throws INVALID_ARGUMENT naming the field and the value
 */
export function parseOptions<K extends keyof Schemas>(kind: K, input: unknown): Parsed<K> {
  const result = v.safeParse(schemas[kind] as v.GenericSchema<unknown, Parsed<K>>, input, {
    abortEarly: true,
  });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw invalid(v.getDotPath(issue) ?? kind, issue.input, problem(issue));
}

/** The library's own words for shapes are hard to read; ours say what is wrong. */
function problem(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' && issue.expected === 'never') return 'is not an option';
  return issue.message.startsWith('Invalid ')
    ? `must be ${issue.expected ?? 'something else'}`
    : issue.message;
}
