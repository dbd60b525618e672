/** `libnetwork/osl/fake`: a kernel in memory behind the osl contract, with faults on demand. */
export {
  countingFaults,
  type FaultMode,
  type FaultOptions,
  type FaultPlan,
  type Faults,
  faultScript,
  SimulatedCrash,
  seededDelays,
} from '../../testing/faults.ts';
export type { KernelDump, NetnsDump } from './dump.ts';
export { FakeKernel, type FakeKernelOptions } from './kernel.ts';
export { type FakeOsl, type FakeOslOptions, fakeOsl } from './osl.ts';
export type { FakeProcess, Programs } from './process.ts';
export type { ReachAnswer, ReachOptions } from './reach.ts';
