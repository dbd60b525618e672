/**
 * What the daemon has, as it changes. Events come by one stream; each says only that something has changed, and then
 * the whole is asked for, once for all that came meanwhile. So there is nothing to go out of step.
 */
import { ask, Unanswered } from '../ask.ts';
import { HAPPENINGS } from '../happenings.ts';
import type { Action } from '../state.ts';
import type { Happening, Topology } from '../topology.ts';

const EVENTS = '/dnet/v1/events';
/** So that a burst of events is one question. */
const GATHER_MS = 120;
/** What other hosts do with shared networks is no event here. */
const SHARED_MS = 5_000;
/** Browsers open few connections to one place: a page that nobody sees gives its own back. */
const HIDDEN_MS = 30_000;
const RETRY_MS = 2_000;

export class Live {
  readonly #dispatch: (action: Action) => void;
  #source: EventSource | undefined;
  #last = '';
  #gathered: Happening[] = [];
  #timer: number | undefined;
  #isAsking = false;
  #isStale = false;
  #isShared = false;
  #hideTimer: number | undefined;

  constructor(dispatch: (action: Action) => void) {
    this.#dispatch = dispatch;
    document.addEventListener('visibilitychange', () => this.#onVisibility());
    setInterval(() => {
      if (this.#isShared && this.#source?.readyState === EventSource.OPEN) this.#changed();
    }, SHARED_MS);
  }

  start(): void {
    // A stream that is made anew by the browser goes on after its last event; one that is made by us, too.
    const since = this.#last === '' ? '0' : String(timeOf(this.#last));
    const source = new EventSource(`${EVENTS}?since=${since}`);
    this.#source = source;
    source.addEventListener('open', () => {
      this.#dispatch({ kind: 'connected' });
      this.#changed();
    });
    source.addEventListener('error', () => {
      this.#dispatch({ kind: 'disconnected', at: Date.now() });
      // Refused, and not only cut off: the browser does not try again.
      if (source.readyState === EventSource.CLOSED && this.#source === source) this.#again();
    });
    for (const type of HAPPENINGS) source.addEventListener(type, (event) => this.#onEvent(event));
  }

  #onEvent({ data, lastEventId }: MessageEvent<string>): void {
    this.#last = lastEventId;
    const happening: Happening = JSON.parse(data);
    this.#gathered.push(happening);
    this.#changed();
  }

  #again(): void {
    setTimeout(() => {
      if (this.#source?.readyState === EventSource.CLOSED && !document.hidden) this.start();
    }, RETRY_MS);
  }

  #onVisibility(): void {
    clearTimeout(this.#hideTimer);
    if (document.hidden) this.#hideTimer = setTimeout(() => this.#source?.close(), HIDDEN_MS);
    else if (this.#source?.readyState === EventSource.CLOSED) this.start();
  }

  #changed(): void {
    this.#isStale = true;
    if (this.#timer === undefined && !this.#isAsking)
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        void this.#ask();
      }, GATHER_MS);
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    this.#isStale = false;
    const events = this.#gathered;
    this.#gathered = [];
    if (events.length > 0) this.#dispatch({ kind: 'events', events });
    try {
      const topology: Topology = await ask('/dnet/v1/topology');
      this.#isShared = topology.networks.some(({ scope }) => scope === 'global');
      this.#dispatch({ kind: 'topology', topology });
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      // A daemon that is gone is asked when its stream is back; one that is there and refused, after a while.
      setTimeout(() => this.#source?.readyState === EventSource.OPEN && this.#changed(), RETRY_MS);
    } finally {
      this.#isAsking = false;
      if (this.#isStale) this.#changed();
    }
  }
}

/** The first 48 bits of a UUID of version 7 are its time, in milliseconds since 1970 (RFC 9562, 5.7). */
function timeOf(id: string): number {
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}
