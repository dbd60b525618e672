/** By which address somebody is seen: a neighbour tells. */
import type { Namespace } from '../../src/osl/osl.ts';
import { udpClient } from '../unit/drivers/setting.ts';

const PORT = 7;

/** Tells whoever sends a datagram which address it came from. */
export async function mirror(namespace: Namespace): Promise<void> {
  for (const address of ['0.0.0.0', '::']) {
    const socket = await namespace.bindUdp(address, PORT);
    socket.onMessage((_, from) => socket.send(Buffer.from(from.address), from));
  }
}

/** How long an answer is waited for before the mirror is asked again. */
const AGAIN_MS = 250;

/**
 * The address that a mirror at `address` sees `from` by; `nobody` where no answer comes. It is asked again and again:
 * a datagram may be lost while a link is young.
 */
export async function seenAs(from: Namespace, address: string, timeoutMs = 5_000): Promise<string> {
  const client = await udpClient(from, address);
  try {
    let seen = 'nobody';
    for (let left = timeoutMs; seen === 'nobody' && left > 0; left -= AGAIN_MS)
      seen = await client.ask(PORT, AGAIN_MS);
    return seen;
  } finally {
    client.close();
  }
}
