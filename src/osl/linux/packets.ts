import * as abi from './constants.ts';
import { check, libc } from './libc.ts';
import { inNamespace } from './window.ts';

/** linux/socket.h */
export const AF_PACKET = 17;

/** A packet socket born in a namespace. Of protocol 0: it sends, and nothing is queued for it. Close it later. */
export function openPacketSocket(namespaceFd: number | undefined): number {
  const flags = abi.SOCK_DGRAM | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
  return inNamespace(namespaceFd, () => check(libc().socket(AF_PACKET, flags, 0), 'socket AF_PACKET'));
}
