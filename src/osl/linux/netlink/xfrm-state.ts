import type { Address } from '../../../ip.ts';
import { familyName, familyNumber } from './address.ts';
import { eachAttribute, readString, requireLength, Writer } from './attributes.ts';
import {
  IPPROTO_ESP,
  MODES,
  modeName,
  readAddress,
  readMark,
  writeAddress,
  writeLifetimes,
  writeMark,
  writeSelector,
  writeU32BE,
  XFRMA_ALG_AEAD,
  XFRMA_MARK,
  XFRMA_REPLAY_ESN_VAL,
  type XfrmMark,
  type XfrmMode,
} from './xfrm.ts';

/** linux/xfrm.h */
export const XFRM_MSG_NEWSA = 0x10;
export const XFRM_MSG_DELSA = 0x11;
export const XFRM_MSG_GETSA = 0x12;
const XFRM_STATE_ESN = 128;
/** ESP with AES in Galois/counter mode (RFC 4106). */
const AES_GCM = 'rfc4106(gcm(aes))';
const NAME_SIZE = 64;
const STATE_SIZE = 224;
const AT = { destination: 56, spi: 72, protocol: 76, source: 80, bytes: 160, packets: 168 } as const;
const STATISTICS = { replayWindow: 192, replay: 196, integrity: 200 } as const;
const MORE = { reqid: 208, family: 212, mode: 214, window: 215, flags: 216 } as const;

/** What finds a security association (RFC 4301, 4.4.2). */
export interface XfrmStateId {
  readonly destination: Address;
  /** The security parameter index; 256 or more. */
  readonly spi: number;
  readonly mark?: XfrmMark | undefined;
}

/** A security association: how packets between two hosts are encrypted, in one direction. ESP with AES-GCM. */
export interface XfrmState extends XfrmStateId {
  readonly source: Address;
  readonly mode: XfrmMode;
  /** Ties it to policies. */
  readonly reqid: number;
  /** An AES key of 16, 24, or 32 bytes, and 4 bytes of salt (RFC 4106, 8.1). */
  readonly key: Uint8Array;
  /** Of the integrity check value: 64, 96 or 128 bits. */
  readonly icvBits: number;
  /** How many packets late a packet may come; 0 turns the check off. Beyond 32 only with `esn`. */
  readonly replayWindow: number;
  /** Sequence numbers of 64 bits (RFC 4303, 2.2.1). */
  readonly esn: boolean;
}

export interface XfrmStateStatistics {
  readonly bytes: number;
  readonly packets: number;
  /** Packets that came too late, twice, or forged. */
  readonly replayed: number;
  readonly forged: number;
}

/** The payload of XFRM_MSG_NEWSA (`struct xfrm_usersa_info`). */
export function encodeState(state: XfrmState): Buffer {
  const { source, destination, replayWindow, esn } = state;
  const { family } = destination;
  const writer = new Writer(512);
  writeSelector(writer, family);
  writeAddress(writer, destination);
  writeU32BE(writer, state.spi);
  writer.u8(IPPROTO_ESP).u8(0).u16(0);
  writeAddress(writer, source);
  writeLifetimes(writer);
  writer.u32(0).u32(0).u32(0).u32(0).u32(state.reqid).u16(familyNumber(family));
  writer
    .u8(MODES[state.mode])
    .u8(esn ? 0 : replayWindow)
    .u8(esn ? XFRM_STATE_ESN : 0);
  writer.bytes(Buffer.alloc(STATE_SIZE - MORE.flags - 1));
  writer.nest(XFRMA_ALG_AEAD, (w) => {
    const name = Buffer.alloc(NAME_SIZE);
    name.write(AES_GCM);
    w.bytes(name)
      .u32(state.key.length * 8)
      .u32(state.icvBits)
      .bytes(state.key);
  });
  if (esn) writeReplay(writer, replayWindow);
  if (state.mark) writeMark(writer, state.mark);
  return writer.finish();
}

/** `struct xfrm_replay_state_esn`: the window's bitmap in words, counters of 64 bits in halves. */
function writeReplay(writer: Writer, window: number): void {
  const words = Math.ceil(window / 32);
  writer.nest(XFRMA_REPLAY_ESN_VAL, (w) => {
    w.u32(words)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(window)
      .bytes(Buffer.alloc(words * 4));
  });
}

/** The payload of XFRM_MSG_DELSA (`struct xfrm_usersa_id`). */
export function encodeStateId({ destination, spi, mark }: XfrmStateId): Buffer {
  const writer = new Writer(64);
  writeAddress(writer, destination);
  writeU32BE(writer, spi);
  writer.u16(familyNumber(destination.family)).u8(IPPROTO_ESP).u8(0);
  if (mark) writeMark(writer, mark);
  return writer.finish();
}

/** Decodes XFRM_MSG_NEWSA; `undefined` for what is not ESP with AES-GCM. @throws INTERNAL for what is no state */
export function decodeState(
  data: Buffer,
): (XfrmState & { readonly statistics: XfrmStateStatistics }) | undefined {
  requireLength(data, STATE_SIZE);
  const family = familyName(data.readUInt16LE(MORE.family));
  const mode = modeName(data.readUInt8(MORE.mode));
  let key: Buffer | undefined;
  let icvBits = 0;
  let mark: XfrmMark | undefined;
  let replayWindow = data.readUInt8(MORE.window);
  eachAttribute(data, STATE_SIZE, data.length, (type, start, end) => {
    if (type === XFRMA_ALG_AEAD && end - start >= NAME_SIZE + 8) {
      if (readString(data, start, start + NAME_SIZE) !== AES_GCM) return;
      icvBits = data.readUInt32LE(start + NAME_SIZE + 4);
      key = Buffer.from(data.subarray(start + NAME_SIZE + 8, end));
    } else if (type === XFRMA_MARK) mark = readMark(data, start, end);
    else if (type === XFRMA_REPLAY_ESN_VAL && end - start >= 24) replayWindow = data.readUInt32LE(start + 20);
  });
  if (!family || !mode || !key || data.readUInt8(AT.protocol) !== IPPROTO_ESP) return undefined;
  return {
    destination: readAddress(data, AT.destination, family),
    source: readAddress(data, AT.source, family),
    spi: data.readUInt32BE(AT.spi),
    reqid: data.readUInt32LE(MORE.reqid),
    mode,
    key,
    icvBits,
    mark,
    replayWindow,
    esn: (data.readUInt8(MORE.flags) & XFRM_STATE_ESN) !== 0,
    statistics: {
      bytes: Number(data.readBigUInt64LE(AT.bytes)),
      packets: Number(data.readBigUInt64LE(AT.packets)),
      replayed: data.readUInt32LE(STATISTICS.replayWindow) + data.readUInt32LE(STATISTICS.replay),
      forged: data.readUInt32LE(STATISTICS.integrity),
    },
  };
}
