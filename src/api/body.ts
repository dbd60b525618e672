/** Bodies are JSON, of whatever type a client calls them; nothing is read of a body that is not asked for. */
import type { FastifyInstance } from 'fastify';
import { LibnetworkError } from '../index.ts';

/**
 * Docker's client calls its bodies `application/json`; libnetwork's own calls an empty one `text/plain`. A body of
 * another type is refused, an empty one is none. Keys that reach into prototypes are refused too.
 */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  readJson(app, 'application/json', "the request's body is no JSON");
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined);
    const type = request.headers['content-type'] ?? '';
    done(refusal(`Content-Type specified (${type}) must be 'application/json'`, 'content-type'));
  });
}

function refusal(message: string, field: string): LibnetworkError {
  return new LibnetworkError('INVALID_ARGUMENT', message, { field });
}

/** What a route needs. @throws INVALID_ARGUMENT where there is none */
export function bodyOf<T>(body: T | undefined | null): T {
  if (body !== undefined && body !== null) return body;
  throw refusal('got EOF while reading request body', 'body');
}

/** As libnetwork's own API has it: its client calls a body without content `text/plain`. */
export function readClassicBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  readJson(app, '*', 'Invalid body');
}

/** An empty body is none. @param complaint before what is wrong with one that is no JSON */
function readJson(app: FastifyInstance, type: string, complaint: string): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser(type, { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined);
    parse(request, String(body), (error, value) => {
      if (error) done(refusal(`${complaint}: ${error.message}`, 'body'));
      else done(null, value);
    });
  });
}
