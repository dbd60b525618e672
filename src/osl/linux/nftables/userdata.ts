/**
 * What is stored with a rule: a list of type, length and value, each a byte (libnftnl's udata). Type 0 is the comment
 * that `nft` shows; ours is skipped by it.
 */
const COMMENT = 0;
const MARK = 0x6c;
/** The most that the kernel keeps: NFT_USERDATA_MAXLEN. */
const MAX_LENGTH = 256;
/** `nft` refuses longer ones in its texts. */
const MAX_COMMENT = 127;

export function encodeUserdata(comment: string, mark: string): Buffer {
  const text = Buffer.from(comment).subarray(0, MAX_COMMENT);
  const list = Buffer.concat([
    entry(COMMENT, Buffer.concat([text, Buffer.of(0)])),
    entry(MARK, Buffer.from(mark)),
  ]);
  if (list.length > MAX_LENGTH) throw new RangeError(`userdata of ${list.length} bytes`);
  return list;
}

/** The comment and mark of a rule; both empty for a rule of somebody else. */
export function decodeUserdata(list: Buffer): { comment: string; mark: string } {
  const found = { comment: '', mark: '' };
  for (let at = 0; at + 2 <= list.length; ) {
    const end = at + 2 + list.readUInt8(at + 1);
    const value = list.toString('utf8', at + 2, end).replace(/\0$/, '');
    if (list[at] === COMMENT) found.comment = value;
    else if (list[at] === MARK) found.mark = value;
    at = end;
  }
  return found;
}

/** One entry of such a list. */
export function entry(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, value.length), value]);
}
