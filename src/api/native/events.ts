/** Events as they happen: a line of JSON for each, or server-sent events for who asks for these. */
import type { FastifyInstance } from 'fastify';
import { LibnetworkError } from '../../index.ts';
import type { ApiContext } from '../context.ts';
import type { ApiEvent, Journal } from '../journal.ts';

/** So that a reader and what lies between notice that the other is gone. */
const BEAT_MS = 15_000;

interface Query {
  /** Milliseconds since 1970. */
  readonly since?: string;
  /** `false`: only those that were. */
  readonly follow?: string;
}

export function eventRoutes(app: FastifyInstance, { journal, streams }: ApiContext): void {
  const querystring = {
    type: 'object',
    properties: {
      since: { type: 'string', description: 'Milliseconds since 1970' },
      follow: { type: 'string', enum: ['true', 'false'] },
    },
  } as const;
  const summary =
    'What happens, as lines of JSON, or as server-sent events where `Accept` says so; after the one that `Last-Event-ID` names';
  app.get<{ Querystring: Query }>(
    '/events',
    { schema: { tags: ['dnet'], summary, querystring } },
    (request, reply) => {
      const { since, follow } = request.query;
      const last = request.headers['last-event-id'];
      const past = typeof last === 'string' ? journal.after(last) : pastOf(journal, since);
      const isSse = request.headers.accept?.includes('text/event-stream') ?? false;
      const form = isSse ? asServerSent : asLine;
      let stop = (): void => undefined;
      const type = isSse ? 'text/event-stream' : 'application/x-ndjson';
      const stream = streams.open(reply, type, () => stop());
      for (const event of past) stream.write(form(event));
      if (follow === 'false') return stream.end();
      const beat = isSse ? setInterval(() => stream.write(': \n\n'), BEAT_MS) : undefined;
      const unfollow = journal.follow((event) => stream.write(form(event)));
      stop = () => {
        clearInterval(beat);
        unfollow();
      };
    },
  );
}

function pastOf(journal: Journal, since: string | undefined): readonly ApiEvent[] {
  return since === undefined ? [] : journal.since(readTime(since));
}

function readTime(text: string): number {
  const time = Number(text);
  if (text !== '' && Number.isFinite(time)) return time;
  throw new LibnetworkError('INVALID_ARGUMENT', `since: must be milliseconds since 1970, got ${text}`, {
    field: 'since',
    value: text,
  });
}

function asLine(event: ApiEvent): string {
  return `${JSON.stringify(event)}\n`;
}

function asServerSent(event: ApiEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
