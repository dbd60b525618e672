/** What is refused of IPsec's changes before anything is asked of the kernel. */
import { invalid } from '../../errors.ts';
import { familyOf, parseAddress, parsePrefix } from '../../ip.ts';
import type { XfrmChange, XfrmMark, XfrmPolicy, XfrmSelector, XfrmState, XfrmStateId } from '../xfrm.ts';
import { range } from './range.ts';

const KEY_BYTES = [20, 28, 36];
const ICV_BITS = [64, 96, 128];
const MAX_WINDOW = 4096;
const MAX_U32 = 0xffff_ffff;

/** @throws INVALID_ARGUMENT naming the field as `xfrm[1].state.key` */
export function checkXfrm(changes: readonly XfrmChange[]): void {
  for (const [i, change] of changes.entries()) checkChange(change, `xfrm[${i}]`);
}

function checkChange(change: XfrmChange, at: string): void {
  switch (change.op) {
    case 'addState':
      checkState(change.state, `${at}.state`);
      break;
    case 'deleteState':
      checkStateId(change.state, `${at}.state`);
      break;
    case 'setPolicy':
      checkPolicy(change.policy, `${at}.policy`);
      break;
    case 'deletePolicy':
      checkMark(change.policy.mark, `${at}.policy`);
      checkSelector(change.policy.selector, `${at}.policy.selector`);
      break;
    default:
      throw invalid(at, change, 'no such change');
  }
}

function checkStateId({ destination, spi, mark }: XfrmStateId, at: string): void {
  // RFC 4303, 2.1: the numbers up to 255 are reserved.
  range(spi, 256, MAX_U32, `${at}.spi`);
  if (parseAddress(destination) === undefined)
    throw invalid(`${at}.destination`, destination, 'must be an address');
  checkMark(mark, at);
}

function checkState(state: XfrmState, at: string): void {
  checkStateId(state, at);
  range(state.reqid, 0, MAX_U32, `${at}.reqid`);
  if (!KEY_BYTES.includes(state.key.length))
    throw invalid(`${at}.key`, `${state.key.length} bytes`, 'must be of 16, 24 or 32 bytes, and 4 of salt');
  if (!ICV_BITS.includes(state.icvBits))
    throw invalid(`${at}.icvBits`, state.icvBits, 'must be 64, 96 or 128');
  range(state.replayWindow, 0, state.esn ? MAX_WINDOW : 32, `${at}.replayWindow`);
  if (state.esn && state.replayWindow === 0)
    throw invalid(`${at}.replayWindow`, 0, 'must be 1 or more with sequence numbers of 64 bits');
  checkEnds(state, at);
}

function checkPolicy({ selector, template, priority, mark }: XfrmPolicy, at: string): void {
  range(priority, 0, MAX_U32, `${at}.priority`);
  checkMark(mark, at);
  checkSelector(selector, `${at}.selector`);
  if (!template) return;
  checkEnds(template, `${at}.template`);
  range(template.reqid, 0, MAX_U32, `${at}.template.reqid`);
  if (template.spi !== undefined) range(template.spi, 256, MAX_U32, `${at}.template.spi`);
}

function checkSelector(selector: XfrmSelector, at: string): void {
  const { source, destination, protocol, sourcePort, destinationPort } = selector;
  const family = parsePrefix(destination)?.family;
  if (family === undefined) throw invalid(`${at}.destination`, destination, 'must be a prefix');
  if (parsePrefix(source)?.family !== family)
    throw invalid(`${at}.source`, source, `must be a prefix of ${family}, as its destination is`);
  if (protocol !== undefined) range(protocol, 1, 255, `${at}.protocol`);
  for (const [name, port] of Object.entries({ sourcePort, destinationPort }))
    if (port !== undefined) range(port, 0, 0xffff, `${at}.${name}`);
}

interface Ends {
  readonly source: string;
  readonly destination: string;
}

function checkEnds({ source, destination }: Ends, at: string): void {
  const family = familyOf(destination);
  if (family === undefined) throw invalid(`${at}.destination`, destination, 'must be an address');
  if (familyOf(source) !== family)
    throw invalid(`${at}.source`, source, `must be an address of ${family}, as its destination is`);
}

function checkMark(mark: XfrmMark | undefined, at: string): void {
  if (!mark) return;
  range(mark.value, 0, MAX_U32, `${at}.mark.value`);
  range(mark.mask, 0, MAX_U32, `${at}.mark.mask`);
}
