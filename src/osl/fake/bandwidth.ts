import type { Bandwidth } from '../osl.ts';
import { needLink } from './netns.ts';
import type { LinkState, NetnsState } from './state.ts';

/** What limits a link; it goes with the link. Nothing in memory takes time, so it slows nothing down. */
const limits = new WeakMap<LinkState, Bandwidth>();

/** @throws Refusal ENODEV */
export function setBandwidth(netns: NetnsState, link: string, { send, receiveBy }: Bandwidth): void {
  const state = needLink(netns, link);
  if (receiveBy !== undefined) needLink(netns, receiveBy);
  limits.set(state, { send: send && { bitsPerSecond: send.bitsPerSecond }, receiveBy });
}

/** @throws Refusal ENODEV */
export function readBandwidth(netns: NetnsState, link: string): Bandwidth {
  const { send, receiveBy } = limits.get(needLink(netns, link)) ?? {};
  const there = receiveBy !== undefined && [...netns.links.values()].some(({ name }) => name === receiveBy);
  return { send, receiveBy: there ? receiveBy : undefined };
}
