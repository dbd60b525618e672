export { type Hold, type HoldRequest, holdPorts } from './portmap.ts';
