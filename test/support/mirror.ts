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

/** The address that a mirror at `address` sees `from` by; `nobody` where no answer comes. */
export async function seenAs(from: Namespace, address: string, timeoutMs = 3_000): Promise<string> {
  const client = await udpClient(from, address);
  try {
    return await client.ask(PORT, timeoutMs);
  } finally {
    client.close();
  }
}
