import { LibnetworkError } from '../../errors.ts';
import type { StoreOperation } from '../datastore.ts';
import { conditionFailed, encodeValue, holds } from '../entry.ts';
import type { Call } from '../remote/calls.ts';
import type { Agents } from './agents.ts';
import type { ConsulKeys, ConsulPair } from './keys.ts';
import { pairsOf } from './watch.ts';

/** One operation of `/v1/txn`. */
interface TxnOperation {
  readonly Verb: string;
  readonly Key: string;
  readonly Value?: string;
  readonly Index?: number;
  readonly Session?: string;
}

interface TxnAnswer {
  readonly Results: readonly { readonly KV: ConsulPair }[] | null;
  readonly Errors: readonly { readonly OpIndex: number; readonly What: string }[] | null;
}

/** Writes as Consul's transactions. */
export class ConsulWrites {
  readonly #agents: Agents;
  readonly #keys: ConsulKeys;
  readonly #most: number;

  constructor(agents: Agents, keys: ConsulKeys, maxOperations: number) {
    this.#agents = agents;
    this.#keys = keys;
    this.#most = maxOperations;
  }

  async find(call: Call, key: string): Promise<ConsulPair | undefined> {
    const path = `kv/${this.#keys.encode(key)}`;
    const query = { consistent: '' };
    const answer = await this.#agents.ask(call, 'read', { method: 'GET', path, query, accept: [404] });
    return pairsOf(answer)[0];
  }

  /** All or nothing; the new versions of the puts, in order. @throws CONFLICT, INVALID_ARGUMENT, NOT_FOUND for a lost session */
  async commit(
    call: Call,
    operations: readonly StoreOperation[],
    session?: string,
  ): Promise<readonly number[]> {
    const steps = operations.map((each) => this.#steps(each, session));
    const answer = await this.#txn(call, steps.flat());
    if (answer.Errors) throw await this.#refusal(call, operations, steps, answer.Errors);
    const versions: number[] = [];
    for (const each of operations) {
      if (each.op === 'delete') continue;
      const pair = answer.Results?.findLast(({ KV }) => KV.Key === this.#keys.encode(each.key))?.KV;
      if (pair === undefined) throw new LibnetworkError('INTERNAL', `Consul did not answer for ${each.key}`);
      const leased = session === undefined && pair.Session !== undefined && pair.Session !== '';
      versions.push(leased ? await this.#detach(call, each, pair.ModifyIndex) : pair.ModifyIndex);
    }
    return versions;
  }

  /** True when the key was there. @throws CONFLICT */
  async remove(call: Call, key: string, ifVersion: number | undefined): Promise<boolean> {
    for (;;) {
      const found = await this.find(call, key);
      const version = found?.ModifyIndex ?? 0;
      if (!holds(ifVersion, version)) throw conditionFailed(key, ifVersion, version);
      if (found === undefined) return false;
      const steps = this.#steps({ op: 'delete', key, ifVersion: version }, undefined);
      const answer = await this.#txn(call, steps);
      if (!answer.Errors) return true;
      if (call.signal.aborted) throw conditionFailed(key, ifVersion, -1);
    }
  }

  #steps(operation: StoreOperation, session: string | undefined): readonly TxnOperation[] {
    const Key = this.#keys.encode(operation.key);
    const { ifVersion } = operation;
    const check =
      ifVersion === 0
        ? { Verb: 'check-not-exists', Key }
        : { Verb: 'check-index', Key, Index: ifVersion ?? 0 };
    const checks = ifVersion === undefined ? [] : [check];
    if (operation.op === 'delete') return ifVersion === 0 ? checks : [...checks, { Verb: 'delete', Key }];
    const Value = Buffer.from(encodeValue(operation.key, operation.value)).toString('base64');
    // A key that another session holds can't be locked: it is made anew.
    if (session !== undefined)
      return [...checks, { Verb: 'delete', Key }, { Verb: 'lock', Key, Value, Session: session }];
    if (ifVersion === undefined) return [{ Verb: 'set', Key, Value }];
    return [{ Verb: 'cas', Key, Value, Index: ifVersion }];
  }

  async #txn(call: Call, steps: readonly TxnOperation[]): Promise<TxnAnswer> {
    if (steps.length > this.#most) throw tooMany(steps.length, this.#most);
    const body = steps.map((KV) => ({ KV }));
    const answer = await this.#agents.ask(call, 'write', { method: 'PUT', path: 'txn', body, accept: [409] });
    return answer.body as TxnAnswer;
  }

  /**
   * A key that was written over keeps the session that held it, and would go with it: it is made anew without.
   * If somebody wrote it since, that is how it stays; if the session took it along meanwhile, it is written again.
   */
  async #detach(call: Call, operation: StoreOperation & { op: 'put' }, version: number): Promise<number> {
    const Key = this.#keys.encode(operation.key);
    const Value = Buffer.from(encodeValue(operation.key, operation.value)).toString('base64');
    const anew = [
      { Verb: 'check-index', Key, Index: version },
      { Verb: 'delete', Key },
      { Verb: 'set', Key, Value },
    ];
    for (const steps of [anew, [{ Verb: 'cas', Key, Value, Index: 0 }]]) {
      const made = (await this.#txn(call, steps)).Results?.findLast(({ KV }) => KV.Key === Key)?.KV;
      if (made !== undefined) return made.ModifyIndex;
    }
    return version;
  }

  async #refusal(
    call: Call,
    operations: readonly StoreOperation[],
    steps: readonly (readonly TxnOperation[])[],
    errors: NonNullable<TxnAnswer['Errors']>,
  ): Promise<LibnetworkError> {
    const text = errors.map(({ What }) => What).join('; ');
    if (/invalid session/i.test(text))
      return new LibnetworkError('NOT_FOUND', `the session is gone: ${text}`);
    const failed = errors[0]?.OpIndex ?? 0;
    let first = 0;
    const operation = operations.find((_, i) => {
      first += steps[i]?.length ?? 0;
      return failed < first;
    });
    if (operation?.ifVersion === undefined)
      return new LibnetworkError('INTERNAL', `Consul refused a transaction: ${text}`);
    const found = await this.find(call, operation.key);
    return conditionFailed(operation.key, operation.ifVersion, found?.ModifyIndex ?? 0);
  }
}

function tooMany(count: number, most: number): LibnetworkError {
  return new LibnetworkError(
    'INVALID_ARGUMENT',
    `operations: this Consul takes ${most} steps in a transaction, these need ${count}; split it, or raise maxOperations if the server takes more`,
    { field: 'operations', value: count, limit: 'maxOperations' },
  );
}
