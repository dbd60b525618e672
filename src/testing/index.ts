/**
 * `libnetwork/testing`: one suite for each contract, for people who write drivers, stores, allocators and kernels,
 * and the faults that the suites and simulations use. The suites need vitest (an optional peer dependency).
 */
export { type DatastoreDeviation, type DatastoreSubject, datastoreContract } from './datastore.ts';
export {
  type DriverDeviation,
  type DriverSubject,
  type DriverWorld,
  driverContract,
  type OpenWorld,
} from './driver.ts';
export {
  countingFaults,
  type FaultMode,
  type FaultPlan,
  type Faults,
  faultScript,
  SimulatedCrash,
} from './faults.ts';
export { type FaultyStoreOptions, faultyStore } from './faultystore.ts';
export { type IpamDeviation, type IpamSubject, ipamContract } from './ipam.ts';
export { type OslSuite, oslContract } from './osl.ts';
