/** What the parts of one process's handle share: the kernel, the faults, and what dies with the process. */
import { type Faults, SimulatedCrash } from '../../testing/faults.ts';
import type { Namespace } from '../osl.ts';
import type { FakeKernel } from './kernel.ts';
import type { Programs } from './process.ts';
import { asOperation } from './refusal.ts';
import type { NetnsState } from './state.ts';

export interface Handle {
  readonly kernel: FakeKernel;
  readonly faults: Faults;
  readonly programs: Programs;
  /** The data behind a namespace of any handle on this kernel. */
  readonly stateOf: (namespace: Namespace) => NetnsState;
  /** Ends each open socket and held port of the process. */
  readonly sockets: Set<() => void>;
}

/** One step of the process: `act` runs at once, as a system call does; its answer comes on a later turn. */
export async function step<T>(handle: Handle, name: string, act: () => T): Promise<T> {
  const answer = handle.faults.around(name, () => {
    try {
      return act();
    } catch (error) {
      throw asOperation(name, error);
    } finally {
      handle.kernel.watchers.look();
    }
  });
  await Promise.resolve();
  if (handle.faults.crashed) throw new SimulatedCrash(name);
  return answer;
}
