/** IPsec's tables: entries are kept and refused as the kernel does (net/xfrm/xfrm_state.c, xfrm_policy.c). */
import { type Address, contains, parsePrefix } from '../../ip.ts';
import type {
  FoundXfrmState,
  XfrmChange,
  XfrmMark,
  XfrmPolicy,
  XfrmPolicyId,
  XfrmState,
  XfrmStateId,
  XfrmTemplate,
} from '../osl.ts';
import type { Packet } from './packet.ts';
import { Refusal } from './refusal.ts';
import type { NetnsState } from './state.ts';

const NO_STATISTICS = { bytes: 0, packets: 0, replayed: 0, forged: 0 } as const;

/** @throws Refusal EEXIST, ESRCH, ENOENT */
export function changeXfrm({ xfrm }: NetnsState, change: XfrmChange): void {
  switch (change.op) {
    case 'addState': {
      const key = stateKey(change.state);
      if (xfrm.states.has(key)) throw new Refusal('EEXIST');
      xfrm.states.set(key, { mark: undefined, ...change.state, key: Uint8Array.from(change.state.key) });
      return;
    }
    case 'deleteState':
      if (!xfrm.states.delete(stateKey(change.state))) throw new Refusal('ESRCH');
      return;
    case 'setPolicy': {
      const { template } = change.policy;
      xfrm.policies.set(policyKey(change.policy), {
        mark: undefined,
        ...change.policy,
        template: template && { spi: undefined, ...template, optional: template.optional === true },
      });
      return;
    }
    case 'deletePolicy':
      if (!xfrm.policies.delete(policyKey(change.policy))) throw new Refusal('ENOENT');
  }
}

export function viewStates({ xfrm }: NetnsState): readonly FoundXfrmState[] {
  return [...xfrm.states.values()].map((state) => ({
    ...state,
    key: Uint8Array.from(state.key),
    statistics: NO_STATISTICS,
  }));
}

export function viewPolicies({ xfrm }: NetnsState): readonly XfrmPolicy[] {
  return [...xfrm.policies.values()];
}

/** One line each, without keys: for dumps. */
export function dumpXfrm({ xfrm }: NetnsState): readonly string[] {
  const states = [...xfrm.states.values()].map((s) => `state ${s.source} > ${stateKey(s)} reqid ${s.reqid}`);
  const policies = [...xfrm.policies.values()].map((p) => `policy ${policyKey(p)} ${p.action}`);
  return [...states, ...policies].sort();
}

/**
 * Whether a UDP packet without a mark gets from one namespace to another: it leaves encrypted or not, as the first
 * policy that selects it says, and comes in as the first one there asks for (xfrm_lookup, xfrm_policy_check).
 */
export function passesXfrm(from: NetnsState, to: NetnsState, packet: Packet): boolean {
  const out = firstPolicy(from, 'out', packet);
  if (out?.action === 'block') return false;
  const sentBy = out?.template && associationFor(from, out.template);
  if (out?.template && !sentBy && !out.template.optional) return false;
  const takenBy = sentBy && to.xfrm.states.get(stateKey({ ...sentBy, mark: undefined }));
  if (sentBy && !(takenBy && Buffer.compare(takenBy.key, sentBy.key) === 0)) return false;
  const into = firstPolicy(to, 'in', packet);
  if (into?.action === 'block') return false;
  if (!into?.template || into.template.optional) return true;
  return takenBy !== undefined && fits(takenBy, into.template);
}

function firstPolicy({ xfrm }: NetnsState, direction: 'in' | 'out', packet: Packet): XfrmPolicy | undefined {
  const selected = [...xfrm.policies.values()].filter(
    (policy) => policy.direction === direction && policy.mark === undefined && selects(policy, packet),
  );
  return selected.sort((a, b) => a.priority - b.priority)[0];
}

const PROTOCOL_UDP = 17;

function selects({ selector }: XfrmPolicy, packet: Packet): boolean {
  const { protocol, source, destination, sourcePort, destinationPort } = selector;
  return (
    (protocol === undefined || protocol === PROTOCOL_UDP) &&
    (sourcePort === undefined || sourcePort === packet.sourcePort) &&
    (destinationPort === undefined || destinationPort === packet.destinationPort) &&
    isIn(packet.source, source) &&
    isIn(packet.destination, destination)
  );
}

function isIn(address: Address, prefix: string): boolean {
  const parsed = parsePrefix(prefix);
  return parsed !== undefined && parsed.family === address.family && contains(parsed, address);
}

function associationFor({ xfrm }: NetnsState, template: XfrmTemplate): XfrmState | undefined {
  const { source, destination } = template;
  return [...xfrm.states.values()].find(
    (state) => state.source === source && state.destination === destination && fits(state, template),
  );
}

function fits({ spi, reqid, mode }: XfrmState, template: XfrmTemplate): boolean {
  return (
    (template.spi === undefined || template.spi === spi) &&
    (template.reqid === 0 || template.reqid === reqid) &&
    template.mode === mode
  );
}

function stateKey({ destination, spi, mark }: XfrmStateId | XfrmState): string {
  return `${destination} spi ${spi}${markText(mark)}`;
}

function policyKey({ direction, selector, mark }: XfrmPolicyId): string {
  const { source, destination, protocol = 0, sourcePort = '*', destinationPort = '*' } = selector;
  return `${direction} ${source} ${sourcePort} > ${destination} ${destinationPort} ${protocol}${markText(mark)}`;
}

function markText(mark: XfrmMark | undefined): string {
  return mark === undefined ? '' : ` mark ${mark.value}/${mark.mask}`;
}
