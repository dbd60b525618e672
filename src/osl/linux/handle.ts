import { closeSync } from 'node:fs';
import { LibnetworkError } from '../../errors.ts';
import { NETLINK_ROUTE } from './netlink/message.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import { hostNamespaceFd } from './window.ts';

/**
 * What an open namespace consists of: its descriptor and one rtnetlink socket, both made when first needed.
 * Whoever has given the descriptor's number to the kernel holds the handle, so that closing it meanwhile can't
 * let the number mean another file.
 */
export class Handle {
  readonly path: string;
  readonly #fd: number | undefined;
  #socket: NetlinkSocket | undefined;
  #holders = 0;
  readonly #onClose: () => void;
  #closed = false;

  /** @param fd `undefined` for the namespace of this thread */
  constructor(path: string, fd: number | undefined, onClose: () => void = () => undefined) {
    this.path = path;
    this.#fd = fd;
    this.#onClose = onClose;
  }

  /** The namespace to enter for a while; `undefined` where this thread is at home. @throws UNAVAILABLE */
  get fd(): number | undefined {
    this.#assertOpen();
    return this.#fd;
  }

  /** A number that names the namespace to the kernel, valid while held. */
  get number(): number {
    return this.fd ?? hostNamespaceFd();
  }

  get socket(): NetlinkSocket {
    this.#assertOpen();
    this.#socket ??= NetlinkSocket.open(NETLINK_ROUTE, this.#fd);
    return this.#socket;
  }

  /** Keeps the descriptor open until the function it returns is called. */
  hold(): () => void {
    this.#assertOpen();
    this.#holders++;
    return () => {
      this.#holders--;
      this.#free();
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.close();
    this.#free();
    this.#onClose();
  }

  #free(): void {
    if (this.#closed && this.#holders === 0 && this.#fd !== undefined) closeSync(this.#fd);
  }

  #assertOpen(): void {
    if (!this.#closed) return;
    throw new LibnetworkError('UNAVAILABLE', `the namespace ${this.path} was closed; open it again`);
  }
}
