/** The parts that a caller may hand in: what they must be able to do, as far as that can be seen. */
import * as v from 'valibot';
import type { Datastore } from './datastore/datastore.ts';
import type { DriverFactory, Logger } from './driverapi/driver.ts';
import type { Osl } from './osl/osl.ts';

const store = v.optional(
  able<Datastore>('a datastore', ['get', 'put', 'delete', 'list', 'transaction', 'watch', 'close']),
);

export const controllerParts = {
  osl: v.optional(able<Osl>('a kernel', ['createNamespace', 'openNamespace', 'deleteNamespace', 'close'])),
  store,
  globalStore: store,
  drivers: v.optional(
    v.array(
      v.custom<DriverFactory>((it) => typeof it === 'function', 'must be a function that makes a driver'),
    ),
  ),
  logger: v.optional(able<Logger>('a logger', ['debug', 'info', 'warn', 'error'])),
} as const;

function able<T>(what: string, methods: readonly (keyof T & string)[]) {
  const has = (it: object, method: string): boolean =>
    method in it && typeof Reflect.get(it, method) === 'function';
  return v.custom<T>(
    (it) => typeof it === 'object' && it !== null && methods.every((method) => has(it, method)),
    `must be ${what}, with ${methods.join(', ')}`,
  );
}
