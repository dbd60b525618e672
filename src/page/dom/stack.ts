/** Counters and routes of a container, as the kernel has them: asked anew while they are looked at. */
import { ask, Unanswered } from '../ask.ts';
import type { Counters, Stack } from '../topology.ts';
import { countText, sizeText } from '../words.ts';
import { h } from './element.ts';

const EVERY_MS = 2_000;

export class StackView {
  readonly root = h('section', { class: 'stack' });
  #sandbox: string | undefined;
  #timer: number | undefined;

  /** @param sandbox its id; `undefined` for none */
  watch(sandbox: string | undefined): void {
    if (sandbox === this.#sandbox) return;
    this.#sandbox = sandbox;
    clearTimeout(this.#timer);
    this.root.replaceChildren();
    if (sandbox !== undefined) void this.#refresh(sandbox);
  }

  async #refresh(sandbox: string): Promise<void> {
    if (!document.hidden) {
      const stack = await this.#ask(sandbox);
      if (this.#sandbox !== sandbox) return;
      if (stack) this.#show(stack);
    }
    this.#timer = setTimeout(() => void this.#refresh(sandbox), EVERY_MS);
  }

  /** A sandbox that has just gone, or a daemon that is not there: what was last known stays. */
  async #ask(sandbox: string): Promise<Stack | undefined> {
    try {
      return await ask<Stack>(`/dnet/v1/sandboxes/${encodeURIComponent(sandbox)}/stack`);
    } catch (error) {
      if (error instanceof Unanswered) return undefined;
      throw error;
    }
  }

  #show({ interfaces, routes, dns }: Stack): void {
    const links = Object.entries(interfaces);
    this.root.replaceChildren(
      h('h3', { text: 'Counters' }),
      table(
        ['Interface', 'Received', 'Sent', 'Lost'],
        links.map(([name, counters]) => [name, ...countersOf(counters)]),
        'No interface yet',
      ),
      dns ? h('p', { class: 'dns', text: dnsText(dns) }) : '',
      h('h3', { text: 'Routes' }),
      table(
        ['Destination', 'Gateway', 'Interface'],
        routes.map(({ destination, family, gateway, link }) => [
          destination === 'default' && family === 'ipv6' ? 'default (IPv6)' : destination,
          gateway ?? 'on the link',
          link ?? '',
        ]),
        'No route',
      ),
    );
  }
}

function countersOf(each: Counters): string[] {
  return [
    `${sizeText(each.rxBytes)}\n${countText(each.rxPackets, 'packet')}`,
    `${sizeText(each.txBytes)}\n${countText(each.txPackets, 'packet')}`,
    `${each.rxDropped + each.txDropped} dropped\n${countText(each.rxErrors + each.txErrors, 'error')}`,
  ];
}

function dnsText({
  queries = 0,
  local = 0,
  forwarded = 0,
  failed = 0,
}: Readonly<Record<string, number>>): string {
  return `Names: ${queries} asked, ${local} answered here, ${forwarded} forwarded, ${failed} failed`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[], empty: string): HTMLElement {
  if (rows.length === 0) return h('p', { class: 'rest', text: empty });
  return h(
    'table',
    {},
    h('thead', {}, h('tr', {}, ...head.map((text) => h('th', { scope: 'col', text })))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((text) => h('td', { text }))))),
  );
}
