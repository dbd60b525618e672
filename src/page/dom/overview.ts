/** What there is, in numbers, and how to read the drawing: while nothing is chosen. */
import type { Topology } from '../topology.ts';
import { countText, distinctPorts } from '../words.ts';
import { setText } from './element.ts';

export function showOverview(
  root: HTMLElement,
  { networks, sandboxes, endpoints }: Topology,
  isShown: boolean,
): void {
  root.hidden = !isShown;
  const ports = endpoints.reduce((sum, endpoint) => sum + distinctPorts(endpoint.ports).length, 0);
  const others = new Set(endpoints.flatMap(({ host }) => host ?? [])).size;
  const counts = root.querySelector('.counts');
  const text = [
    countText(networks.length, 'network'),
    countText(sandboxes.length, 'container'),
    countText(endpoints.length, 'endpoint'),
    countText(ports, 'published port'),
    ...(others > 0 ? [countText(others, 'other host')] : []),
  ].join(' · ');
  if (counts) setText(counts, text);
}
