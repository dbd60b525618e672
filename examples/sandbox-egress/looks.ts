/** What the code can't do itself, done in its network namespace or towards it. */
import type { Namespace } from 'libnetwork/osl';
import { EVIL, GUEST, HOST, NEIGHBOUR } from './addresses.ts';
import type { Told } from './cell.ts';
import type { Lab } from './lab.ts';
import type { Judged } from './report.ts';

interface Look extends Judged {
  readonly act: (lab: Lab, guest: Namespace, timeoutMs: number) => Promise<boolean>;
}

const PORT = 8000;

const ping = (address: string) => async (_: Lab, guest: Namespace, timeoutMs: number) =>
  (await guest.ping(address, { timeoutMs })) !== undefined;
const enter =
  (from: (lab: Lab) => Promise<Namespace>, address: string) =>
  async (lab: Lab, _: Namespace, timeoutMs: number) => {
    const stream = await (await from(lab)).connectTcp(address, PORT, { timeoutMs });
    stream.destroy();
    return true;
  };
const neighbour = (lab: Lab) => lab.namespaceOf(NEIGHBOUR.name);
const host = async (lab: Lab) => lab.host;

export const LOOKS: readonly Look[] = [
  { id: 'look-1', what: `ping another address: ${EVIL.ipv4}`, act: ping(EVIL.ipv4) },
  { id: 'look-2', what: `ping another address by IPv6: ${EVIL.ipv6}`, act: ping(EVIL.ipv6) },
  { id: 'look-3', what: `ping the host: ${HOST.gateway4}`, act: ping(HOST.gateway4) },
  { id: 'look-4', what: `ping a neighbour: ${NEIGHBOUR.ipv4}`, act: ping(NEIGHBOUR.ipv4) },
  { id: 'look-5', what: `a neighbour comes in: port ${PORT}`, act: enter(neighbour, GUEST.ipv4) },
  { id: 'look-6', what: `a neighbour comes in by IPv6: port ${PORT}`, act: enter(neighbour, GUEST.ipv6) },
  { id: 'look-7', what: `the host comes in: port ${PORT}`, act: enter(host, GUEST.ipv4) },
];

export async function lookAround(lab: Lab, timeoutMs: number): Promise<readonly Told[]> {
  const guest = await lab.namespaceOf('guest');
  const listeners = await Promise.all(
    ['0.0.0.0', '::'].map((address) => guest.listenTcp(address, PORT, (stream) => stream.end('guest'))),
  );
  const told = await Promise.all(
    LOOKS.map(async ({ id, act }): Promise<Told> => {
      try {
        return (await act(lab, guest, timeoutMs))
          ? { id, answer: 'it got there' }
          : { id, error: 'no answer' };
      } catch (error) {
        return { id, error: String(error) };
      }
    }),
  );
  for (const listener of listeners) listener.close();
  await guest.close();
  return told;
}
