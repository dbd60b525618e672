import { familyOf } from '../../../ip.ts';
import type { ProxyTarget, SocketAddress } from '../../osl.ts';
import { CONNECT_TIMEOUT_MS, relayTcp } from '../../relay/relay.ts';
import { relayUdp } from '../../relay/udp.ts';
import { bindUdp, connectTcp, tcpListener, udpSocket } from '../sockets.ts';

/** A port to serve, as one thread tells another. */
export interface Serve {
  readonly protocol: 'tcp' | 'udp';
  /** A descriptor of the bound socket; whoever serves it owns and closes it. */
  readonly fd: number;
  readonly local: SocketAddress;
  /** A descriptor of the namespace that the target is reached from; `undefined` for this process's own. */
  readonly namespaceFd: number | undefined;
  readonly target: ProxyTarget;
}

/** Serves a port in this thread. */
export async function serve({ protocol, fd, local, namespaceFd, target }: Serve): Promise<{ close(): void }> {
  if (protocol === 'udp') {
    const any = familyOf(target.address) === 'ipv6' ? '::' : '0.0.0.0';
    return relayUdp(await udpSocket(fd, local), () => bindUdp(namespaceFd, any, 0), target);
  }
  return relayTcp(
    {
      listen: (onConnection) => tcpListener(fd, local, onConnection),
      connect: () => connectTcp(namespaceFd, target.address, target.port, { timeoutMs: CONNECT_TIMEOUT_MS }),
    },
    target,
  );
}
