/** What passes the links of a namespace, as a packet socket sees it (packet(7)). */
import { closeSync, openSync } from 'node:fs';
import { errnoName } from '../../src/osl/errno.ts';
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../src/osl/linux/constants.ts';
import { check, libc } from '../../src/osl/linux/libc.ts';
import { AF_PACKET } from '../../src/osl/linux/packets.ts';
import { inNamespace } from '../../src/osl/linux/window.ts';

/** sys/socket.h, linux/if_ether.h: all protocols, in network order. */
const SOCK_RAW = 3;
const ALL_PROTOCOLS = 0x0300;
const LARGEST = 65_536;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;

export interface Captured {
  /** The whole frame. */
  readonly frame: Buffer;
  /** Of IP, IPv4's or IPv6's; undefined for other frames. */
  readonly protocol: number | undefined;
  /** What follows the IP header. */
  readonly payload: Buffer;
}

export class Capture {
  readonly packets: Captured[] = [];
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = Buffer.alloc(LARGEST);

  constructor(namespacePath: string) {
    const namespace = openSync(namespacePath, 'r');
    const flags = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const open = () => check(libc().socket(AF_PACKET, flags, ALL_PROTOCOLS), 'socket AF_PACKET');
    try {
      this.#fd = inNamespace(namespace, open);
    } finally {
      closeSync(namespace);
    }
    this.#timer = setInterval(() => this.#drain(), 2);
  }

  /** Ends it, with everything that has passed until now. */
  end(): readonly Captured[] {
    clearInterval(this.#timer);
    this.#drain();
    libc().close(this.#fd);
    return this.packets;
  }

  #drain(): void {
    for (;;) {
      const length = libc().recv(this.#fd, this.#buffer, LARGEST, 0);
      if (length >= 0) this.packets.push(read(Buffer.from(this.#buffer.subarray(0, length))));
      else if (errnoName(libc().errno()) === 'EAGAIN') return;
      else throw new Error(`a capture failed: ${errnoName(libc().errno())}`);
    }
  }
}

function read(frame: Buffer): Captured {
  const type = frame.length >= 34 ? frame.readUInt16BE(12) : 0;
  if (type === IPV4) {
    const header = (frame.readUInt8(14) & 0xf) * 4;
    return { frame, protocol: frame.readUInt8(23), payload: frame.subarray(14 + header) };
  }
  if (type === IPV6 && frame.length >= 54)
    return { frame, protocol: frame.readUInt8(20), payload: frame.subarray(54) };
  return { frame, protocol: undefined, payload: frame.subarray(14) };
}
