import type { Verdict } from '../../firewall/model.ts';
import { Writer } from '../netlink/attributes.ts';
import { NFPROTO_INET, NFTA_DATA, NFTA_VERDICT, VERDICTS } from './constants.ts';

/** Writes an nf_tables message: nfgenmsg, then attributes whose numbers are in network order. */
export class NftWriter extends Writer {
  /** Starts with the header of a message about our family. */
  static message(family: number = NFPROTO_INET, resource = 0): NftWriter {
    return new NftWriter()
      .u8(family)
      .u8(0)
      .u8(resource >> 8)
      .u8(resource & 0xff);
  }

  attrU32BE(type: number, value: number): this {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32BE(value >>> 0);
    return this.attrBytes(type, bytes);
  }

  attrU64BE(type: number, value: bigint): this {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64BE(value);
    return this.attrBytes(type, bytes);
  }

  /** An attribute of attributes. */
  group(type: number, fill: (writer: this) => void): this {
    return this.nest(type, fill, true);
  }

  /** A value to load, compare or store. */
  data(type: number, value: Uint8Array): this {
    return this.group(type, (data) => data.attrBytes(NFTA_DATA.VALUE, value));
  }

  verdict(type: number, verdict: Verdict): this {
    return this.group(type, (data) =>
      data.group(NFTA_DATA.VERDICT, (inner) => {
        inner.attrU32BE(NFTA_VERDICT.CODE, VERDICTS[verdict.kind]);
        if ('chain' in verdict) inner.attrString(NFTA_VERDICT.CHAIN, verdict.chain);
      }),
    );
  }
}
