/** What happened, as it reads: a line each, or a line for many where they come in a burst. */
import type { Key } from './scene.ts';
import type { Happening } from './topology.ts';
import { countText, shortName } from './words.ts';

export interface TimelineEntry {
  /** The id of its last event. */
  readonly id: string;
  /** Of the last one, in milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
  /** Names, where the text only counts them. */
  readonly more?: string | undefined;
  readonly tone: 'come' | 'go' | 'change';
  readonly network?: string | undefined;
  /** What it is about, first what is nearest; what is gone can't be chosen. */
  readonly keys: readonly Key[];
}

/** Events no further apart than this are one burst, and more of them than this are told together. */
const BURST_MS = 1500;
const BURST_LEAST = 8;
const NAMES = 4;

/** @param events in the order of time. @returns the newest first, at most `limit` */
export function timelineOf(events: readonly Happening[], limit: number): readonly TimelineEntry[] {
  const entries: TimelineEntry[] = [];
  let end = events.length;
  while (end > 0 && entries.length < limit) {
    const start = burstStart(events, end);
    const burst = events.slice(start, end);
    if (burst.length >= BURST_LEAST) entries.push(...together(burst));
    else entries.push(...burst.map(entryOf).reverse());
    end = start;
  }
  return entries.slice(0, limit);
}

function burstStart(events: readonly Happening[], end: number): number {
  let start = end - 1;
  while (start > 0 && (events[start]?.time ?? 0) - (events[start - 1]?.time ?? 0) <= BURST_MS) start -= 1;
  return start;
}

/** Those of one kind, about one network, are one entry: in the order of their last events. */
function together(burst: readonly Happening[]): TimelineEntry[] {
  const groups = new Map<string, Happening[]>();
  for (const event of burst) {
    const key = `${event.type} ${event.network?.id ?? ''}`;
    const group = groups.get(key);
    if (group) group.push(event);
    else groups.set(key, [event]);
  }
  return [...groups.values()].flatMap(summary).sort((a, b) => (a.id < b.id ? 1 : -1));
}

function summary(events: readonly Happening[]): TimelineEntry[] {
  const last = events.at(-1);
  if (!last) return [];
  if (events.length < 3) return events.map(entryOf);
  const { keys, ...entry } = entryOf(last);
  const names = [...new Set(events.map(subjectOf))];
  const rest = names.length - NAMES;
  const more = `${names.slice(0, NAMES).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  return [{ ...entry, text: phrase(last, events.length), more, keys: keys.slice(1) }];
}

function entryOf(event: Happening): TimelineEntry {
  const { id, time, network, facts, type } = event;
  const key = (kind: string, fact: string): Key[] =>
    facts[fact] === undefined ? [] : [`${kind}:${facts[fact]}`];
  return {
    id,
    time,
    text: phrase(event),
    tone: toneOf(type),
    network: network?.id,
    keys: [...key('sandbox', 'sandboxId'), ...key('endpoint', 'endpointId'), ...key('network', 'networkId')],
  };
}

function toneOf(type: string): TimelineEntry['tone'] {
  if (/:(create|join)$/.test(type)) return 'come';
  return /:(delete|leave|lost)$/.test(type) ? 'go' : 'change';
}

/** Who or what an event is about. */
function subjectOf({ type, facts, containerId, network }: Happening): string {
  if (type.startsWith('network:')) return String(facts.name ?? network?.name ?? '');
  const name = facts.name ?? facts.containerId ?? containerId ?? facts.endpointId ?? '';
  return shortName(String(name));
}

const PLURALS = {
  Network: 'networks',
  Endpoint: 'endpoints',
  Sandbox: 'sandboxes',
  Service: 'services',
} as const;

/** @param count of many events of this kind: they are counted instead of named */
function phrase(event: Happening, count?: number): string {
  const { type, facts, network } = event;
  const at = network ? ` ${network.name}` : ' a network';
  const who = (what: keyof typeof PLURALS) =>
    count === undefined ? `${what} ${subjectOf(event)}` : `${count} ${PLURALS[what]}`;
  const container = count === undefined ? subjectOf(event) : countText(count, 'container');
  const as = count === undefined && facts.interfaceName !== undefined ? ` as ${facts.interfaceName}` : '';
  switch (type) {
    case 'network:create':
      return `${who('Network')} made`;
    case 'network:update':
      return `${who('Network')} changed`;
    case 'network:delete':
      return `${who('Network')} deleted`;
    case 'endpoint:create':
      return `${who('Endpoint')} added to${at}`;
    case 'endpoint:update':
      return `${who('Endpoint')} changed in${at}`;
    case 'endpoint:delete':
      return `${who('Endpoint')} deleted from${at}`;
    case 'endpoint:lost':
      return `${who('Endpoint')} lost from${at}`;
    case 'endpoint:join':
      return `${container} joined${at}${as}`;
    case 'endpoint:leave':
      return `${container} left${at}`;
    case 'service:create':
      return `${who('Service')} made in${at}`;
    case 'service:update':
      return `${who('Service')} changed in${at}${count === undefined ? `: ${facts.live} live` : ''}`;
    case 'service:delete':
      return `${who('Service')} deleted from${at}`;
    case 'sandbox:create':
      return `${who('Sandbox')} made`;
    case 'sandbox:update':
      return `${who('Sandbox')} changed`;
    case 'sandbox:delete':
      return `${who('Sandbox')} deleted`;
    case 'reconcile':
      return `Reconciled: ${facts.missing} missing, ${facts.orphaned} orphaned, ${facts.repaired} repaired`;
    default:
      return type;
  }
}
