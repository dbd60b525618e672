/** IPsec's tables: entries are kept and refused as the kernel does (net/xfrm/xfrm_state.c, xfrm_policy.c). */
import type {
  FoundXfrmState,
  XfrmChange,
  XfrmMark,
  XfrmPolicy,
  XfrmPolicyId,
  XfrmState,
  XfrmStateId,
} from '../osl.ts';
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
