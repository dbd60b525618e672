import type { Address } from '../../../ip.ts';
import { familyName, familyNumber } from './address.ts';
import { eachAttribute, requireLength, Writer } from './attributes.ts';
import {
  IPPROTO_ESP,
  MODES,
  modeName,
  readAddress,
  readMark,
  readSelector,
  writeAddress,
  writeLifetimes,
  writeMark,
  writeSelector,
  writeU32BE,
  XFRMA_MARK,
  XFRMA_TMPL,
  type XfrmMark,
  type XfrmMode,
  type XfrmSelector,
} from './xfrm.ts';

/** linux/xfrm.h */
export const XFRM_MSG_DELPOLICY = 0x14;
export const XFRM_MSG_GETPOLICY = 0x15;
export const XFRM_MSG_UPDPOLICY = 0x19;
const DIRECTIONS = { in: 0, out: 1, forward: 2 } as const;
const ACTIONS = { allow: 0, block: 1 } as const;
const POLICY_SIZE = 168;
const TEMPLATE_SIZE = 64;
const AT = { family: 40, priority: 152, direction: 160, action: 161 } as const;
const ALL_ALGORITHMS = 0xffff_ffff;

export type XfrmDirection = keyof typeof DIRECTIONS;

/** What finds a policy. */
export interface XfrmPolicyId {
  readonly direction: XfrmDirection;
  readonly selector: XfrmSelector;
  readonly mark?: XfrmMark | undefined;
}

/** Which packets must be encrypted, and how (RFC 4301, 4.4.1). */
export interface XfrmPolicy extends XfrmPolicyId {
  /** The least is asked first. */
  readonly priority: number;
  /** `block` drops what it selects; `allow` sends it as `template` says, or as it is without one. */
  readonly action: 'allow' | 'block';
  readonly template?: XfrmTemplate | undefined;
}

/** The security association that a packet takes; what is named must be the association's. */
export interface XfrmTemplate {
  readonly source: Address;
  readonly destination: Address;
  readonly mode: XfrmMode;
  readonly reqid: number;
  readonly spi?: number | undefined;
  /** A packet may come without it as well. */
  readonly optional?: boolean | undefined;
}

/** The payload of XFRM_MSG_UPDPOLICY (`struct xfrm_userpolicy_info`), which makes a policy or replaces it. */
export function encodePolicy(policy: XfrmPolicy): Buffer {
  const { selector, template } = policy;
  const writer = new Writer(384);
  writeSelector(writer, selector.source.family, selector);
  writeLifetimes(writer);
  writer.u32(policy.priority).u32(0);
  writer.u8(DIRECTIONS[policy.direction]).u8(ACTIONS[policy.action]).u8(0).u8(0).u32(0);
  if (template) writer.nest(XFRMA_TMPL, (w) => writeTemplate(w, template));
  if (policy.mark) writeMark(writer, policy.mark);
  return writer.finish();
}

/** `struct xfrm_user_tmpl`. */
function writeTemplate(writer: Writer, template: XfrmTemplate): void {
  const { source, destination } = template;
  writeAddress(writer, destination);
  writeU32BE(writer, template.spi ?? 0);
  writer.u8(IPPROTO_ESP).u8(0).u16(0).u16(familyNumber(source.family)).u16(0);
  writeAddress(writer, source);
  writer.u32(template.reqid).u8(MODES[template.mode]).u8(0);
  writer.u8(template.optional ? 1 : 0).u8(0);
  writer.u32(ALL_ALGORITHMS).u32(ALL_ALGORITHMS).u32(ALL_ALGORITHMS);
}

/** The payload of XFRM_MSG_DELPOLICY (`struct xfrm_userpolicy_id`). */
export function encodePolicyId({ direction, selector, mark }: XfrmPolicyId): Buffer {
  const writer = new Writer(96);
  writeSelector(writer, selector.source.family, selector);
  writer.u32(0).u8(DIRECTIONS[direction]).u8(0).u16(0);
  if (mark) writeMark(writer, mark);
  return writer.finish();
}

/** Decodes XFRM_MSG_NEWPOLICY; `undefined` for directions and templates that are none of ours. @throws INTERNAL */
export function decodePolicy(data: Buffer): XfrmPolicy | undefined {
  requireLength(data, POLICY_SIZE);
  const family = familyName(data.readUInt16LE(AT.family));
  const direction = (Object.keys(DIRECTIONS) as XfrmDirection[]).find(
    (name) => DIRECTIONS[name] === data.readUInt8(AT.direction),
  );
  if (!family || !direction) return undefined;
  let template: XfrmTemplate | undefined;
  let mark: XfrmMark | undefined;
  eachAttribute(data, POLICY_SIZE, data.length, (type, start, end) => {
    if (type === XFRMA_MARK) mark = readMark(data, start, end);
    else if (type === XFRMA_TMPL && end - start >= TEMPLATE_SIZE) template = readTemplate(data, start);
  });
  return {
    direction,
    selector: readSelector(data, 0, family),
    priority: data.readUInt32LE(AT.priority),
    action: data.readUInt8(AT.action) === ACTIONS.block ? 'block' : 'allow',
    mark,
    template,
  };
}

function readTemplate(data: Buffer, at: number): XfrmTemplate | undefined {
  const family = familyName(data.readUInt16LE(at + 24));
  const mode = modeName(data.readUInt8(at + 48));
  if (!family || !mode) return undefined;
  return {
    destination: readAddress(data, at, family),
    source: readAddress(data, at + 28, family),
    spi: data.readUInt32BE(at + 16) || undefined,
    reqid: data.readUInt32LE(at + 44),
    mode,
    optional: data.readUInt8(at + 50) !== 0,
  };
}
