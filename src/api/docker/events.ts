/** `/events`: a line of JSON for each, from `since` to `until`, or without an end. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import type { ApiEvent } from '../journal.ts';
import { type Filters, readFilters, timeOf } from './filters.ts';

const FILTERS = ['type', 'event', 'network', 'container', 'scope', 'label', 'daemon'] as const;
/** Docker's events about these are not told here: who asks for them alone hears nothing. */
const ELSEWHERE = ['image', 'plugin', 'volume', 'service', 'node', 'secret', 'config'] as const;

interface Query {
  readonly since?: string;
  readonly until?: string;
  readonly filters?: string;
}

export function eventRoutes(app: FastifyInstance, { journal, streams }: ApiContext): void {
  const text = { type: 'string' } as const;
  const querystring = { type: 'object', properties: { since: text, until: text, filters: text } } as const;
  app.get<{ Querystring: Query }>(
    '/events',
    { schema: { tags: ['docker'], summary: 'What happens to networks, as it happens', querystring } },
    (request, reply) => {
      const { since, until, filters: given } = request.query;
      const filters = readFilters(given, [...FILTERS, ...ELSEWHERE]);
      const now = Date.now();
      const from = since ? timeOf(since, now) : undefined;
      const end = until ? timeOf(until, now) : undefined;
      let timer: NodeJS.Timeout | undefined;
      let stop = (): void => undefined;
      const stream = streams.open(reply, 'application/json', () => {
        stop();
        clearTimeout(timer);
      });
      const tell = (event: ApiEvent): void => {
        if (end !== undefined && event.time > end) return;
        const message = messageOf(event);
        if (message && isWanted(filters, message)) stream.write(`${JSON.stringify(message)}\n`);
      };
      if (from !== undefined) for (const event of journal.since(from)) tell(event);
      stop = journal.follow(tell);
      if (end !== undefined) timer = endAt(end, () => stream.end());
    },
  );
}

const MAX_TIMER = 2_147_483_647;

function endAt(time: number, end: () => void): NodeJS.Timeout | undefined {
  const wait = time - Date.now();
  if (wait <= 0) end();
  return wait > 0 ? setTimeout(end, Math.min(wait, MAX_TIMER)) : undefined;
}

interface Message {
  readonly Type: 'network';
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly scope: 'local';
  readonly time: number;
  readonly timeNano: number;
}

const ACTIONS: Readonly<Partial<Record<ApiEvent['type'], string>>> = {
  'network:create': 'create',
  'network:update': 'update',
  'network:delete': 'destroy',
  'endpoint:join': 'connect',
  'endpoint:leave': 'disconnect',
};

/** An event in Docker's words; `undefined` for what Docker does not tell. */
function messageOf({ type, time, network, containerId }: ApiEvent): Message | undefined {
  const action = ACTIONS[type];
  if (action === undefined || network === undefined) return undefined;
  return {
    Type: 'network',
    Action: action,
    Actor: {
      ID: network.id,
      Attributes: {
        ...(containerId === undefined ? {} : { container: containerId }),
        name: network.name,
        type: network.driver,
      },
    },
    scope: 'local',
    time: Math.floor(time / 1000),
    timeNano: time * 1_000_000,
  };
}

/** Networks and containers also by the start of their id or name, as Docker has it. */
function isWanted(filters: Filters, { Type, Action, Actor, scope }: Message): boolean {
  const { container = '', name = '' } = Actor.Attributes;
  const fits: Readonly<Record<string, (value: string) => boolean>> = {
    type: (value) => value === Type,
    event: (value) => value === Action,
    network: (value) => Actor.ID.startsWith(value) || name.startsWith(value),
    container: (value) => container !== '' && container.startsWith(value),
    scope: (value) => value === scope,
  };
  return [...filters].every(([key, values]) => values.some((value) => fits[key]?.(value) ?? false));
}
