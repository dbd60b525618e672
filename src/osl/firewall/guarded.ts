import type { Firewall } from './firewall.ts';

/** A firewall that looks after its rules when it is told to: whoever hears of a reload tells. */
export interface GuardedFirewall extends Firewall {
  /** Soon, what somebody else has removed is put back. */
  repair(): void;
}
