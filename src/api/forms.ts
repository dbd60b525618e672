/**
 * The forms of requests, checked by ajv as fastify does it, but compiled when a route is first asked: a daemon that
 * rests holds neither the compiler nor what it would make of sixty routes.
 */
import { createRequire } from 'node:module';
import type { Ajv as AjvClass, ValidateFunction } from 'ajv';
import type { FastifyServerOptions } from 'fastify';
import { LibnetworkError } from '../errors.ts';

/** For the option `schemaController` of an application. */
export const lazyForms: NonNullable<FastifyServerOptions['schemaController']> = {
  compilersFactory: {
    buildValidator: () => (route) => {
      let compiled: ValidateFunction | undefined;
      const check = (data: unknown): boolean => {
        compiled ??= compiler().compile(route.schema);
        const fits = compiled(data);
        check.errors = compiled.errors;
        return fits;
      };
      check.errors = undefined as ValidateFunction['errors'];
      // All that fastify asks of it; what else a compiled form has is for ajv itself.
      return check as ValidateFunction;
    },
    // Answers are written by JSON.stringify: no route has a form of them.
    buildSerializer: () => (route) => {
      throw new LibnetworkError('INTERNAL', `${route.method} ${route.url}: answers have no schema`);
    },
  },
};

let shared: AjvClass | undefined;

/** Nothing is coerced, filled in or taken away: a request is as its client has sent it. */
function compiler(): AjvClass {
  if (!shared) {
    // Synchronously, since a form is checked so; `import` at the top would load it at once.
    const { Ajv }: { Ajv: typeof AjvClass } = createRequire(import.meta.url)('ajv');
    shared = new Ajv({ allowUnionTypes: true, addUsedSchema: false });
  }
  return shared;
}
