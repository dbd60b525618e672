/** What systemd hands a service and hears of it: sockets that are open already (`LISTEN_FDS`), and `NOTIFY_SOCKET`. */
import { LibnetworkError } from '../../errors.ts';

const FIRST_DESCRIPTOR = 3;

/**
 * The socket that systemd listens at for us; `undefined` where it has none for this process.
 * @throws INVALID_ARGUMENT for more than one
 */
export function handedSocket(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  if (environment.LISTEN_PID !== String(pid)) return undefined;
  const count = Number(environment.LISTEN_FDS ?? '0');
  if (count === 0) return undefined;
  if (count === 1) return FIRST_DESCRIPTOR;
  throw new LibnetworkError(
    'INVALID_ARGUMENT',
    `systemd hands over ${count} sockets: the unit must have one`,
    {
      field: 'LISTEN_FDS',
      value: count,
    },
  );
}

export interface ServiceManager {
  /** `READY=1`, `STOPPING=1`, `STATUS=…` */
  tell(state: string): void;
  close(): void;
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;

/** Tells nobody where nobody listens. With a watchdog, tells it twice in its time that this lives. */
export async function serviceManager(environment: NodeJS.ProcessEnv): Promise<ServiceManager> {
  const path = environment.NOTIFY_SOCKET;
  if (!path) return { tell: () => undefined, close: () => undefined };
  const send = await sender(path);
  const watchdog = Number(environment.WATCHDOG_USEC ?? Number.NaN) / 1000;
  const timer = watchdog > 0 ? setInterval(() => send('WATCHDOG=1'), watchdog / 2) : undefined;
  timer?.unref();
  return { tell: send, close: () => clearInterval(timer) };
}

/** Node has no datagram sockets of this family; libc has. */
async function sender(path: string): Promise<(text: string) => void> {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int, int, int)');
  const sendto = libc.func('long sendto(int, const void *, size_t, int, const void *, unsigned int)');
  const close = libc.func('int close(int)');
  // An abstract name begins with a zero byte, which is written as @.
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  const address = Buffer.alloc(2 + name.length + (path.startsWith('@') ? 0 : 1));
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return (text) => {
    const data = Buffer.from(text);
    const fd: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, data, data.length, MSG_NOSIGNAL, address, address.length);
    close(fd);
  };
}
