/** What a service manager has, and Node has not: a listening socket that it does not accept on, and datagrams. */
import koffi from 'koffi';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const BACKLOG = 16;
const LONGEST = 4096;

const libc = koffi.load(null);
const socket = libc.func('int socket(int, int, int)');
const bind = libc.func('int bind(int, const void *, unsigned int)');
const listen = libc.func('int listen(int, int)');
const recv = libc.func('long recv(int, void *, size_t, int)');
const closeFd = libc.func('int close(int)');

function open(type: number, path: string): number {
  const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  const fd: number = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, address, address.length) !== 0) throw new Error(`no socket at ${path}`);
  return fd;
}

export interface OpenSocket {
  readonly fd: number;
  close(): void;
}

/** As systemd opens one for a service that is to be started. */
export function openListener(path: string): OpenSocket {
  const fd = open(SOCK_STREAM, path);
  if (listen(fd, BACKLOG) !== 0) throw new Error(`nobody can listen at ${path}`);
  return { fd, close: () => closeFd(fd) };
}

/** Where a service tells its states (`NOTIFY_SOCKET`). */
export class NotifySocket {
  readonly path: string;
  readonly #fd: number;
  readonly #told: string[] = [];

  constructor(path: string) {
    this.path = path;
    this.#fd = open(SOCK_DGRAM, path);
  }

  /** All that has been told so far. */
  told(): readonly string[] {
    const data = Buffer.alloc(LONGEST);
    for (;;) {
      const length = Number(recv(this.#fd, data, data.length, MSG_DONTWAIT));
      if (length < 0) return this.#told;
      this.#told.push(data.toString('utf8', 0, length));
    }
  }

  close(): void {
    closeFd(this.#fd);
  }
}
