import { LibnetworkError } from '../../errors.ts';
import {
  type Address,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../../ip.ts';
import { checkXfrm } from '../checks/xfrm.ts';
import type * as contract from '../xfrm.ts';
import { explainRefusal } from './capabilities.ts';
import { NETLINK_XFRM, type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './netlink/message.ts';
import { NetlinkSocket, throwRefusal } from './netlink/socket.ts';
import type { XfrmSelector } from './netlink/xfrm.ts';
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
  type XfrmStateStatistics,
} from './netlink/xfrm-state.ts';

/** See `Namespace.applyXfrm`. */
export async function applyXfrm(
  namespaceFd: number | undefined,
  changes: readonly contract.XfrmChange[],
): Promise<void> {
  checkXfrm(changes);
  const requests = xfrmRequests(changes);
  try {
    await withSocket(namespaceFd, async (socket) => throwRefusal(await socket.request(requests)));
  } catch (error) {
    throw explainRefusal(withoutEsp(error));
  }
}

/** Checked changes as messages. */
export function xfrmRequests(changes: readonly contract.XfrmChange[]): NetlinkRequest[] {
  return changes.map((change, i) => request(change, `xfrm[${i}] ${change.op}`));
}

/** A kernel without ESP, or without its cipher, calls the protocol unknown, or the algorithm not found. */
function withoutEsp(error: unknown): unknown {
  if (!LibnetworkError.is(error) || !error.operation?.endsWith('addState')) return error;
  const { errno = '', operation, kernelMessage } = error;
  if (errno !== 'EPROTONOSUPPORT' && errno !== 'ENOSYS') return error;
  return new LibnetworkError(
    'NOT_IMPLEMENTED',
    `${operation}: this kernel has no ESP with AES-GCM (${errno})`,
    {
      operation,
      errno,
      ...(kernelMessage ? { kernelMessage } : {}),
      cause: error,
    },
  );
}

/** The security associations of a namespace, ESP with AES-GCM only, and what passed them. */
export async function readXfrmStates(
  namespaceFd: number | undefined,
): Promise<readonly contract.FoundXfrmState[]> {
  return (await withSocket(namespaceFd, (socket) => dump(socket, XFRM_MSG_GETSA, decodeState))).map(
    viewState,
  );
}

/** The policies of a namespace. */
export async function readXfrmPolicies(
  namespaceFd: number | undefined,
): Promise<readonly contract.XfrmPolicy[]> {
  const read = (socket: NetlinkSocket) => dump(socket, XFRM_MSG_GETPOLICY, decodePolicy);
  return (await withSocket(namespaceFd, read)).map(viewPolicy);
}

async function dump<T>(
  socket: NetlinkSocket,
  type: number,
  decode: (payload: Buffer) => T | undefined,
): Promise<readonly T[]> {
  const all = { type, flags: 0, payload: Buffer.alloc(0), operation: 'list xfrm' };
  return (await socket.dump(all)).map(decode).filter((each) => each !== undefined);
}

function request(change: contract.XfrmChange, operation: string): NetlinkRequest {
  switch (change.op) {
    case 'addState': {
      const payload = encodeState({ ...change.state, ...ends(change.state) });
      return { type: XFRM_MSG_NEWSA, flags: NLM_F_CREATE | NLM_F_EXCL, payload, operation };
    }
    case 'deleteState': {
      const { spi, mark, destination } = change.state;
      const payload = encodeStateId({ spi, mark, destination: address(destination) });
      return { type: XFRM_MSG_DELSA, flags: 0, payload, operation };
    }
    case 'setPolicy': {
      const { template, priority, action } = change.policy;
      const raw: XfrmPolicy = {
        ...policyId(change.policy),
        priority,
        action,
        template: template && { ...template, ...ends(template) },
      };
      return { type: XFRM_MSG_UPDPOLICY, flags: NLM_F_CREATE, payload: encodePolicy(raw), operation };
    }
    case 'deletePolicy':
      return {
        type: XFRM_MSG_DELPOLICY,
        flags: 0,
        payload: encodePolicyId(policyId(change.policy)),
        operation,
      };
  }
}

function policyId({ direction, selector, mark }: contract.XfrmPolicyId): XfrmPolicyId {
  const raw: XfrmSelector = {
    ...selector,
    source: prefix(selector.source),
    destination: prefix(selector.destination),
  };
  return { direction, mark, selector: raw };
}

function ends({ source, destination }: { readonly source: string; readonly destination: string }) {
  return { source: address(source), destination: address(destination) };
}

function viewState(state: XfrmState & { readonly statistics: XfrmStateStatistics }): contract.FoundXfrmState {
  return { ...state, source: formatAddress(state.source), destination: formatAddress(state.destination) };
}

function viewPolicy({ selector, template, ...policy }: XfrmPolicy): contract.XfrmPolicy {
  return {
    ...policy,
    selector: {
      ...selector,
      source: formatPrefix(selector.source),
      destination: formatPrefix(selector.destination),
    },
    template: template && {
      ...template,
      source: formatAddress(template.source),
      destination: formatAddress(template.destination),
    },
  };
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(`checked before: ${text} is an address`);
  return parsed;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(`checked before: ${text} is a prefix`);
  return parsed;
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
