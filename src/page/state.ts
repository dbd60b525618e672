/** Everything that the page shows depends on this, and on nothing else. */
import { subjectOf } from './lookup.ts';
import type { LevelName } from './measures.ts';
import type { Key } from './scene.ts';
import type { Happening, Topology } from './topology.ts';

export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** What is shown is what was known at the time, in milliseconds since 1970. */
  | { readonly kind: 'lost'; readonly since: number };

export interface State {
  readonly topology: Topology | undefined;
  /** In the order of their ids, which is that of time. */
  readonly events: readonly Happening[];
  readonly connection: Connection;
  readonly search: string;
  readonly level: LevelName;
  /** How much larger the drawing is than its own size; one of `ZOOMS`. */
  readonly zoom: number;
  readonly view: 'drawing' | 'table';
  readonly folded: ReadonlySet<string>;
  readonly chosen: Key | undefined;
}

export type Action =
  | { readonly kind: 'topology'; readonly topology: Topology }
  | { readonly kind: 'events'; readonly events: readonly Happening[] }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly at: number }
  | { readonly kind: 'search'; readonly text: string }
  | { readonly kind: 'level'; readonly level: LevelName }
  /** One step larger or smaller; 0: to its own size. */
  | { readonly kind: 'zoom'; readonly by: -1 | 0 | 1 }
  | { readonly kind: 'view'; readonly view: State['view'] }
  | { readonly kind: 'fold'; readonly network: string }
  | { readonly kind: 'choose'; readonly key: Key | undefined };

/** How many events are kept: as many as the daemon keeps by default. */
export const MAX_EVENTS = 1024;

export const ZOOMS: readonly number[] = [0.4, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3];

export const FIRST: State = {
  topology: undefined,
  events: [],
  connection: { kind: 'connecting' },
  search: '',
  level: 'auto',
  zoom: 1,
  view: 'drawing',
  folded: new Set(),
  chosen: undefined,
};

export function reduce(state: State, action: Action): State {
  switch (action.kind) {
    case 'topology':
      return { ...state, topology: action.topology, chosen: stillThere(action.topology, state.chosen) };
    case 'events':
      return withEvents(state, action.events);
    case 'connected':
      return { ...state, connection: { kind: 'live' } };
    case 'disconnected':
      // The first failure tells since when nothing is known; the attempts after it change nothing.
      return state.connection.kind === 'lost'
        ? state
        : { ...state, connection: { kind: 'lost', since: action.at } };
    case 'search':
      return { ...state, search: action.text };
    case 'level':
      return { ...state, level: action.level };
    case 'zoom':
      return withZoom(state, action.by);
    case 'view':
      return { ...state, view: action.view };
    case 'fold':
      return { ...state, folded: toggled(state.folded, action.network) };
    case 'choose':
      return state.chosen === action.key ? state : { ...state, chosen: action.key };
  }
}

function withZoom(state: State, by: -1 | 0 | 1): State {
  const zoom = by === 0 ? 1 : ZOOMS[ZOOMS.indexOf(state.zoom) + by];
  return zoom === undefined || zoom === state.zoom ? state : { ...state, zoom };
}

/** Events may come twice, when a connection is made anew. */
function withEvents(state: State, more: readonly Happening[]): State {
  const known = new Set(state.events.map(({ id }) => id));
  const fresh = more.filter(({ id }) => !known.has(id));
  if (fresh.length === 0) return state;
  const events = [...state.events, ...fresh].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return { ...state, events: events.slice(-MAX_EVENTS) };
}

function toggled(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** What is gone is no longer chosen. An endpoint that has joined is found in its sandbox. */
function stillThere(topology: Topology, chosen: Key | undefined): Key | undefined {
  if (chosen === undefined || subjectOf(topology, chosen)) return chosen;
  const joined = topology.endpoints.find(({ id }) => chosen === `endpoint:${id}`)?.sandboxId;
  return joined === undefined ? undefined : `sandbox:${joined}`;
}
