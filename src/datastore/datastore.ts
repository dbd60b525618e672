/**
 * The datastore contract: values under keys, with versions. `memoryStore()` and `levelStore()` are local;
 * distributed stores are shared by many controllers. The suite `datastoreContract` runs on each.
 */

/** A stored value. `value` is JSON data, frozen; `version` grows with every write of this key. */
export interface Entry {
  readonly key: string;
  readonly value: unknown;
  readonly version: number;
}

export interface WriteCondition {
  /** The version the key must have now; `0`: the key must not exist. Omitted: whatever is there. */
  readonly ifVersion?: number | undefined;
}

export type StoreOperation =
  | ({ readonly op: 'put'; readonly key: string; readonly value: unknown } & WriteCondition)
  | ({ readonly op: 'delete'; readonly key: string } & WriteCondition);

export type StoreEvent =
  | { readonly type: 'put'; readonly entry: Entry }
  | { readonly type: 'delete'; readonly key: string };

export interface StoreWaits {
  readonly signal?: AbortSignal | undefined;
}

export interface Datastore {
  readonly scope: 'local' | 'global';
  /** @throws UNAVAILABLE when the store can't be asked (also after `close`), INTERNAL when the value can't be read */
  get(key: string, options?: StoreWaits): Promise<Entry | undefined>;
  /** The new version. @throws CONFLICT when the condition does not hold: nothing was written */
  put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number>;
  /** False when there was no such key. @throws CONFLICT when the condition does not hold */
  delete(key: string, options?: StoreWaits & WriteCondition): Promise<boolean>;
  /** Every entry whose key starts with `prefix`, in the order of the keys' bytes. */
  list(prefix: string, options?: StoreWaits): Promise<readonly Entry[]>;
  /** All or nothing; the new versions of the puts, in order. @throws CONFLICT naming the key whose condition failed */
  transaction(operations: readonly StoreOperation[], options?: StoreWaits): Promise<readonly number[]>;
  /** Changes under `prefix` from now on, in order, until the signal fires or the store closes. */
  watch(prefix: string, options?: StoreWaits): AsyncIterable<StoreEvent>;
  /**
   * Keys written with the lease go when its holder stops renewing it. Absent where the store knows no leases.
   * `ttlMs` is the time after which a silent holder counts as gone.
   */
  lease?(ttlMs: number, options?: StoreWaits): Promise<Lease>;
  /** Ends every watch; calls after it throw UNAVAILABLE. Closing twice is fine. */
  close(): Promise<void>;
}

export interface Lease {
  put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number>;
  /** Fires when the lease was lost: its keys are gone. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** A key must be non-empty UTF-8 text without NUL, of at most 1,024 bytes. */
export const MAX_KEY_BYTES = 1024;
