/** Which rules a packet meets: questions that suggest themselves, each answered when it is opened. */
import { ask, Unanswered } from '../ask.ts';
import type { Explained } from '../topology.ts';
import { h } from './element.ts';

export interface Question {
  readonly title: string;
  /** Default: outside. */
  readonly from?: string | undefined;
  readonly to: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
  readonly port?: number | undefined;
}

export class Packets {
  readonly root = h('section', { class: 'packets' });

  about(questions: readonly Question[]): void {
    this.root.replaceChildren(h('h3', { text: 'Rules that a packet meets' }), ...questions.map(questionOf));
  }
}

/** It is asked when it is opened, each time anew. */
function questionOf(question: Question): HTMLElement {
  const answer = h('div', { class: 'answer', 'aria-live': 'polite' });
  const details = h('details', {}, h('summary', { text: question.title }), answer);
  details.addEventListener('toggle', () => {
    if (details.open) void answerTo(question, answer);
  });
  return details;
}

async function answerTo({ from, to, protocol, port }: Question, into: HTMLElement): Promise<void> {
  const query = new URLSearchParams({ to, protocol });
  if (from) query.set('from', from);
  if (port !== undefined) query.set('port', String(port));
  try {
    into.replaceChildren(...explained(await ask<Explained>(`/dnet/v1/firewall/explain?${query}`)));
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error;
    into.replaceChildren(h('p', { class: 'rest', text: error.message }));
  }
}

function explained({ verdict, destination, source, steps, notes }: Explained): HTMLElement[] {
  const end =
    verdict === 'accept'
      ? `Passes, to ${destination}; its source is ${source}`
      : `Refused, on its way to ${destination}`;
  const list = steps.map(({ hook, chain, comment, rule, outcome }) =>
    h(
      'li',
      {},
      h('p', {}, h('b', { text: comment }), h('span', { class: 'outcome', text: ` ${outcome}` })),
      h('p', { class: 'chain', text: `${hook} · ${chain}` }),
      h('code', { text: rule }),
    ),
  );
  return [
    h('p', { class: `verdict ${verdict}`, text: end }),
    h('ol', {}, ...list),
    ...notes.map((text) => h('p', { class: 'rest', text })),
  ];
}
