/**
 * Where packets meet the policies of networks: in base chains of their own that only ever refuse, before those that
 * protect and translate. What passes here is judged there all the same, whichever engine made it.
 */
import { FAMILIES, type Family } from '../../ip.ts';
import { is, type Layout, rule, WORDS } from './layout.ts';
import type { Chain, Hook, Match, Rule } from './model.ts';
import type { SetDeclaration } from './transaction.ts';

/** Bridge (or both of a packet's interfaces) to the chain that judges. */
export const POLICY_MAPS = {
  /** Between endpoints of one network. */
  inside: 'policy-inside',
  /** From a network to anywhere else but the host. */
  out: 'policy-out',
  in: 'policy-in',
  toHost: 'policy-to-host',
  fromHost: 'policy-from-host',
} as const;

/** Bridge and address of every endpoint of a network with a policy. */
export const sourceSet = (family: Family): string => `policy-source${WORDS[family].digit}`;

/** Before the rules of networks, which have 0. */
const PRIORITY = -10;

const ANSWERS: Match = { field: 'ct state', op: '==', values: ['established', 'related'] };
export const UNTRACKED: Match = { field: 'ct state', op: '==', values: ['untracked'] };

function base(hook: Hook['hook'], rules: readonly Rule[]): Chain {
  return {
    name: `policy-${hook}`,
    hook: { type: 'filter', hook, priority: PRIORITY, policy: 'accept' },
    rules: [
      rule('what was allowed once goes on', [ANSWERS], { kind: 'accept' }),
      rule('IPv6 finds its neighbours', [is('l4proto', 'icmpv6'), UNTRACKED], { kind: 'accept' }),
      ...rules,
    ],
  };
}

export const POLICY_LAYOUT: Layout = {
  name: 'policy',
  chains: [
    base('forward', [
      rule('between endpoints of a network', [], {
        kind: 'vmap',
        fields: ['iifname', 'oifname'],
        map: POLICY_MAPS.inside,
      }),
      rule('out of a network', [], { kind: 'vmap', fields: ['iifname'], map: POLICY_MAPS.out }),
      rule('into a network', [], { kind: 'vmap', fields: ['oifname'], map: POLICY_MAPS.in }),
    ]),
    base('input', [
      rule('from a network to the host', [], { kind: 'vmap', fields: ['iifname'], map: POLICY_MAPS.toHost }),
    ]),
    // Where the host's own packets to a published port of its loopback know the interface that they leave by.
    base('postrouting', [
      rule('from the host to an endpoint', [is('fib saddr type', 'local')], {
        kind: 'vmap',
        fields: ['oifname'],
        map: POLICY_MAPS.fromHost,
      }),
    ]),
  ],
  sets: [
    { name: POLICY_MAPS.inside, key: ['ifname', 'ifname'], value: 'verdict' },
    { name: POLICY_MAPS.out, key: ['ifname'], value: 'verdict' },
    { name: POLICY_MAPS.in, key: ['ifname'], value: 'verdict' },
    { name: POLICY_MAPS.toHost, key: ['ifname'], value: 'verdict' },
    { name: POLICY_MAPS.fromHost, key: ['ifname'], value: 'verdict' },
    ...FAMILIES.map(
      (family): SetDeclaration => ({ name: sourceSet(family), key: ['ifname', family], value: 'none' }),
    ),
  ],
};
