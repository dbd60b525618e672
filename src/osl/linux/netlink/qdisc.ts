/** Traffic control: token buckets, and the redirection of what comes in (linux/pkt_sched.h, linux/pkt_cls.h). */
import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { attributeMap, requireLength, Writer } from './attributes.ts';

export const RTM_NEWQDISC = MessageType.NEWQDISC;
export const RTM_DELQDISC = MessageType.DELQDISC;
export const RTM_GETQDISC = MessageType.GETQDISC;
export const RTM_NEWTCLASS = MessageType.NEWTCLASS;
export const RTM_GETTCLASS = MessageType.GETTCLASS;
export const RTM_NEWTFILTER = MessageType.NEWTFILTER;
export const RTM_GETTFILTER = MessageType.GETTFILTER;
/** linux/netlink.h: without it, what RTM_GETQDISC finds is told to those alone who listen to all changes. */
export const NLM_F_ECHO = 0x8;
export const TC_H_ROOT = 0xffff_ffff;
export const TC_H_INGRESS = 0xffff_fff1;
const INGRESS_HANDLE = 0xffff_0000;
const BUCKET_HANDLE = 0x0001_0000;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
const TCA_HTB_PARMS = 1;
const TCA_HTB_INIT = 2;
const TCA_HTB_RATE64 = 6;
const TCA_HTB_CEIL64 = 7;
const HTB_VERSION = 3;
/** A class may send one-tenth of its rate's bytes in one turn, unless told otherwise (tc-htb(8), r2q). */
const RATE_TO_QUANTUM = 10;
/** net/sch_generic.h: the kernel's own unit of time, in ns (PSCHED_SHIFT). */
const TICK_NS = 64;
const TC_LINKLAYER_ETHERNET = 1;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TC_U32_TERMINAL = 1;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
const HEADER = 20;
const MAX_U32 = 0xffff_ffff;
/** Priority 1, and ETH_P_ALL in network byte order (TC_H_MAKE). */
const EVERY_PACKET = 0x0001_0300;

/** A token bucket: what it lets pass in a second and at once, and what may wait for it, all in bytes. */
export interface Bucket {
  readonly rate: number;
  readonly burst: number;
  readonly limit: number;
}

/** RTM_NEWQDISC: what leaves by a link goes through a token bucket (net/sched/sch_tbf.c). */
export function encodeBucket(index: number, { rate, burst, limit }: Bucket): Buffer {
  const writer = start(index, BUCKET_HANDLE, TC_H_ROOT).attrString(TCA_KIND, 'tbf');
  const parms = new Writer(36);
  // struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate; then none for the peak rate.
  parms.u8(0).u8(TC_LINKLAYER_ETHERNET).u16(0).u16(0).u16(0).u32(Math.min(rate, MAX_U32));
  parms.u32(0).u32(0).u32(0);
  // struct tc_tbf_qopt: limit, buffer and mtu, of which the buffer is given by TCA_TBF_BURST.
  parms.u32(limit).u32(0).u32(0);
  writer.nest(TCA_OPTIONS, (w) => {
    w.attrBytes(TCA_TBF_PARMS, parms.finish());
    if (rate > MAX_U32) w.attrBytes(TCA_TBF_RATE64, u64(rate));
    w.attrU32(TCA_TBF_BURST, burst);
  });
  return writer.finish();
}

/** A class of a tree of token buckets, in bytes a second: its own share, and what it may borrow up to. */
export interface Share {
  /** From 1 to 65535; its handle is `1:` and this number. */
  readonly id: number;
  readonly rate: number;
  /** At least `rate`. */
  readonly ceiling: number;
  /** What may go at once at the rate, and at the ceiling, in bytes. */
  readonly burst: number;
}

/** RTM_NEWQDISC: what leaves by a link is shared among classes (net/sched/sch_htb.c), the rest goes to one of them. */
export function encodeShares(index: number, defaultId: number): Buffer {
  const writer = start(index, BUCKET_HANDLE, TC_H_ROOT).attrString(TCA_KIND, 'htb');
  // struct tc_htb_glob: version, rate2quantum, defcls, debug, direct_pkts.
  const init = new Writer(20).u32(HTB_VERSION).u32(RATE_TO_QUANTUM).u32(defaultId).u32(0).u32(0);
  return writer.nest(TCA_OPTIONS, (w) => w.attrBytes(TCA_HTB_INIT, init.finish())).finish();
}

/** RTM_NEWTCLASS: a class of `encodeShares`' tree. */
export function encodeShare(index: number, { id, rate, ceiling, burst }: Share): Buffer {
  const writer = start(index, BUCKET_HANDLE | id, BUCKET_HANDLE).attrString(TCA_KIND, 'htb');
  // struct tc_htb_opt: two rates, two buffers in ticks, quantum, level, priority.
  const parms = new Writer(44);
  for (const each of [rate, ceiling])
    parms.u8(0).u8(TC_LINKLAYER_ETHERNET).u16(0).u16(0).u16(0).u32(Math.min(each, MAX_U32));
  for (const each of [rate, ceiling])
    parms.u32(Math.min(Math.ceil((burst / each) * (1e9 / TICK_NS)), MAX_U32));
  parms.u32(0).u32(0).u32(0);
  return writer
    .nest(TCA_OPTIONS, (w) => {
      w.attrBytes(TCA_HTB_PARMS, parms.finish());
      if (rate > MAX_U32) w.attrBytes(TCA_HTB_RATE64, u64(rate));
      if (ceiling > MAX_U32) w.attrBytes(TCA_HTB_CEIL64, u64(ceiling));
    })
    .finish();
}

/** RTM_GETTCLASS, a dump: the classes of a link. */
export function encodeGetShares(index: number): Buffer {
  return start(index, 0, 0).finish();
}

/** A class as the kernel tells it, its burst in ticks left away; `undefined` for one of another discipline. @throws INTERNAL */
export function decodeShare(data: Buffer): Omit<Share, 'burst'> | undefined {
  const options = optionsOf(data, 'htb');
  const parms = options?.get(TCA_HTB_PARMS);
  if (parms === undefined || parms.length < 24) return undefined;
  const wide = (type: number) => {
    const value = options?.get(type);
    return value?.length === 8 ? Number(value.readBigUInt64LE()) : undefined;
  };
  return {
    id: data.readUInt32LE(8) & 0xffff,
    rate: wide(TCA_HTB_RATE64) ?? parms.readUInt32LE(8),
    ceiling: wide(TCA_HTB_CEIL64) ?? parms.readUInt32LE(20),
  };
}

/** RTM_NEWQDISC: a place for filters of what comes in by a link. */
export function encodeIngress(index: number): Buffer {
  return start(index, INGRESS_HANDLE, TC_H_INGRESS).attrString(TCA_KIND, 'ingress').finish();
}

/** RTM_NEWTFILTER: everything that comes in by a link leaves by another one first (net/sched/act_mirred.c). */
export function encodeRedirection(index: number, to: number): Buffer {
  const writer = start(index, 0, INGRESS_HANDLE, EVERY_PACKET).attrString(TCA_KIND, 'u32');
  // struct tc_u32_sel with one key that is true of every packet.
  const selector = new Writer(32).u8(TC_U32_TERMINAL).u8(0).u8(1).u8(0).u32(0).u32(0).u32(0);
  selector.u32(0).u32(0).u32(0).u32(0);
  // struct tc_mirred: index, capabilities, action, two counters; then what to do, and with which link.
  const redirect = new Writer(28)
    .u32(0)
    .u32(0)
    .u32(TC_ACT_STOLEN)
    .u32(0)
    .u32(0)
    .u32(TCA_EGRESS_REDIR)
    .u32(to);
  writer.nest(TCA_OPTIONS, (w) => {
    w.attrBytes(TCA_U32_SEL, selector.finish());
    w.nest(TCA_U32_ACT, () =>
      w.nest(1, () => {
        w.attrString(TCA_ACT_KIND, 'mirred');
        w.nest(TCA_ACT_OPTIONS, () => w.attrBytes(TCA_MIRRED_PARMS, redirect.finish()));
      }),
    );
  });
  return writer.finish();
}

/** RTM_DELQDISC and RTM_GETQDISC: what is at a place of a link. */
export function encodeQdiscAt(index: number, place: typeof TC_H_ROOT | typeof TC_H_INGRESS): Buffer {
  return start(index, 0, place).finish();
}

/** RTM_GETTFILTER, a dump: the filters of what comes in by a link. */
export function encodeGetFilters(index: number): Buffer {
  return start(index, 0, INGRESS_HANDLE).finish();
}

/** The rate of a token bucket in bytes a second; `undefined` for any other discipline. @throws INTERNAL */
export function decodeBucketRate(data: Buffer): number | undefined {
  const options = optionsOf(data, 'tbf');
  const parms = options?.get(TCA_TBF_PARMS);
  if (parms === undefined || parms.length < 12) return undefined;
  const large = options?.get(TCA_TBF_RATE64);
  return large?.length === 8 ? Number(large.readBigUInt64LE()) : parms.readUInt32LE(8);
}

/** The link that a filter redirects to; `undefined` for any other filter. @throws INTERNAL */
export function decodeRedirection(data: Buffer): number | undefined {
  const actions = optionsOf(data, 'u32')?.get(TCA_U32_ACT);
  const action = actions && attributeMap(actions).get(1);
  const options = action && attributeMap(action).get(TCA_ACT_OPTIONS);
  const parms = options && attributeMap(options).get(TCA_MIRRED_PARMS);
  return parms !== undefined && parms.length >= 28 ? parms.readUInt32LE(24) : undefined;
}

function optionsOf(data: Buffer, kind: string): Map<number, Buffer> | undefined {
  requireLength(data, HEADER);
  const attributes = attributeMap(data, HEADER);
  const options = attributes.get(TCA_OPTIONS);
  const name = attributes.get(TCA_KIND)?.toString('latin1').replace(/\0.*$/s, '');
  return name === kind && options !== undefined ? attributeMap(options) : undefined;
}

/** struct tcmsg. */
function start(index: number, handle: number, parent: number, info = 0): Writer {
  return new Writer().u8(0).u8(0).u16(0).u32(index).u32(handle).u32(parent).u32(info);
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
