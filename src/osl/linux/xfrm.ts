import { invalid } from '../../errors.ts';
import type { Address, Family } from '../../ip.ts';
import { NETLINK_XFRM, type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './netlink/message.ts';
import { NetlinkSocket, throwRefusal } from './netlink/socket.ts';
import {
  decodePolicy,
  encodePolicy,
  encodePolicyId,
  XFRM_MSG_DELPOLICY,
  XFRM_MSG_GETPOLICY,
  XFRM_MSG_UPDPOLICY,
  type XfrmPolicy,
  type XfrmPolicyId,
} from './netlink/xfrm-policy.ts';
import {
  decodeState,
  encodeState,
  encodeStateId,
  XFRM_MSG_DELSA,
  XFRM_MSG_GETSA,
  XFRM_MSG_NEWSA,
  type XfrmState,
  type XfrmStateId,
  type XfrmStateStatistics,
} from './netlink/xfrm-state.ts';
import { requireRange } from './values.ts';

/** A change of the kernel's IPsec tables. */
export type XfrmChange =
  | { readonly op: 'addState'; readonly state: XfrmState }
  | { readonly op: 'deleteState'; readonly state: XfrmStateId }
  /** Makes a policy, or replaces the one of the same direction, selector and mark. */
  | { readonly op: 'setPolicy'; readonly policy: XfrmPolicy }
  | { readonly op: 'deletePolicy'; readonly policy: XfrmPolicyId };

const KEY_BYTES = [20, 28, 36];
const ICV_BITS = [64, 96, 128];
const MAX_WINDOW = 4096;
const MAX_U32 = 0xffff_ffff;

/**
 * Sends all changes at once, in order. All are tried; the first refusal is thrown, with `operation` such as
 * `xfrm[1] addState`. @throws INVALID_ARGUMENT before anything is sent; NOT_IMPLEMENTED without ESP in the kernel
 */
export async function applyXfrm(
  namespaceFd: number | undefined,
  changes: readonly XfrmChange[],
): Promise<void> {
  const requests = changes.map((change, i) => request(change, `xfrm[${i}]`));
  await withSocket(namespaceFd, async (socket) => throwRefusal(await socket.request(requests)));
}

/** The security associations of a namespace, ESP with AES-GCM only, and what passed them. */
export function readXfrmStates(
  namespaceFd: number | undefined,
): Promise<readonly (XfrmState & { readonly statistics: XfrmStateStatistics })[]> {
  return withSocket(namespaceFd, (socket) => dump(socket, XFRM_MSG_GETSA, decodeState));
}

/** The policies of a namespace. */
export function readXfrmPolicies(namespaceFd: number | undefined): Promise<readonly XfrmPolicy[]> {
  return withSocket(namespaceFd, (socket) => dump(socket, XFRM_MSG_GETPOLICY, decodePolicy));
}

async function dump<T>(
  socket: NetlinkSocket,
  type: number,
  decode: (payload: Buffer) => T | undefined,
): Promise<readonly T[]> {
  const all = { type, flags: 0, payload: Buffer.alloc(0), operation: 'list xfrm' };
  return (await socket.dump(all)).map(decode).filter((each) => each !== undefined);
}

function request(change: XfrmChange, at: string): NetlinkRequest {
  const operation = `${at} ${change.op}`;
  switch (change.op) {
    case 'addState': {
      validateState(change.state, `${at}.state`);
      const payload = encodeState(change.state);
      return { type: XFRM_MSG_NEWSA, flags: NLM_F_CREATE | NLM_F_EXCL, payload, operation };
    }
    case 'deleteState':
      requireRange(change.state.spi, 1, MAX_U32, `${at}.state.spi`);
      return { type: XFRM_MSG_DELSA, flags: 0, payload: encodeStateId(change.state), operation };
    case 'setPolicy':
      validatePolicy(change.policy, `${at}.policy`);
      return {
        type: XFRM_MSG_UPDPOLICY,
        flags: NLM_F_CREATE,
        payload: encodePolicy(change.policy),
        operation,
      };
    case 'deletePolicy':
      return { type: XFRM_MSG_DELPOLICY, flags: 0, payload: encodePolicyId(change.policy), operation };
    default:
      throw invalid(at, change, 'no such change');
  }
}

function validateState(state: XfrmState, at: string): void {
  // RFC 4303, 2.1: the numbers up to 255 are reserved.
  requireRange(state.spi, 256, MAX_U32, `${at}.spi`);
  requireRange(state.reqid, 0, MAX_U32, `${at}.reqid`);
  if (!KEY_BYTES.includes(state.key.length))
    throw invalid(`${at}.key`, `${state.key.length} bytes`, 'must be of 16, 24 or 32 bytes, and 4 of salt');
  if (!ICV_BITS.includes(state.icvBits))
    throw invalid(`${at}.icvBits`, state.icvBits, 'must be 64, 96 or 128');
  requireRange(state.replayWindow, 0, state.esn ? MAX_WINDOW : 32, `${at}.replayWindow`);
  if (state.esn && state.replayWindow === 0)
    throw invalid(`${at}.replayWindow`, 0, 'must be 1 or more with sequence numbers of 64 bits');
  requireSame(state.destination.family, state.source, `${at}.source`);
}

function validatePolicy({ selector, template, priority }: XfrmPolicy, at: string): void {
  requireRange(priority, 0, MAX_U32, `${at}.priority`);
  const { source, destination, sourcePort, destinationPort } = selector;
  requireSame(destination.family, source, `${at}.selector.source`);
  for (const [name, port] of Object.entries({ sourcePort, destinationPort }))
    if (port !== undefined) requireRange(port, 0, 0xffff, `${at}.selector.${name}`);
  if (template) requireSame(template.destination.family, template.source, `${at}.template.source`);
}

function requireSame(family: Family, address: Pick<Address, 'family'>, field: string): void {
  if (address.family !== family)
    throw invalid(field, address.family, `must be of ${family}, as its destination is`);
}

async function withSocket<T>(
  namespaceFd: number | undefined,
  work: (socket: NetlinkSocket) => Promise<T>,
): Promise<T> {
  const socket = NetlinkSocket.open(NETLINK_XFRM, namespaceFd);
  try {
    return await work(socket);
  } finally {
    socket.close();
  }
}
