import { invalid, LibnetworkError } from '../../errors.ts';
import type { Bandwidth, Rate } from '../osl.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './netlink/message.ts';
import * as tc from './netlink/qdisc.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { dumpLinks, indexOf } from './tables.ts';

/** At the least what one segmented packet holds (GSO_LEGACY_MAX_SIZE): a smaller burst cuts each into pieces. */
const MIN_BURST = 65_536;
const DEFAULT_BURST_SECONDS = 0.02;
/** How long the last packet of a full queue waits; a longer queue would only make everything later. */
const QUEUE_SECONDS = 0.1;
const MIN_QUEUE = 32_768;
const MAX_U32 = 0xffff_ffff;
/** What the kernel says when there is nothing to delete. */
const NOTHING_THERE: readonly (string | undefined)[] = ['ENOENT', 'EINVAL'];

/** See `Namespace.setBandwidth`. */
export async function setBandwidth(
  socket: NetlinkSocket,
  link: string,
  { send, receiveBy }: Bandwidth,
): Promise<void> {
  const index = await indexOf(socket, link);
  const at = (text: string) => `${text} of ${link}`;
  if (send === undefined) await remove(socket, tc.encodeQdiscAt(index, tc.TC_H_ROOT), at('free the sending'));
  else {
    const payload = tc.encodeBucket(index, bucketOf(send));
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    await act(socket, [{ type: tc.RTM_NEWQDISC, flags, payload, operation: at('limit the sending') }]);
  }
  const by = receiveBy === undefined ? undefined : await indexOf(socket, receiveBy);
  if ((await redirectionOf(socket, index)) === by) return;
  await remove(socket, tc.encodeQdiscAt(index, tc.TC_H_INGRESS), at('free the receiving'));
  if (by === undefined) return;
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  const operation = at('redirect the receiving');
  await act(socket, [
    { type: tc.RTM_NEWQDISC, flags, payload: tc.encodeIngress(index), operation },
    { type: tc.RTM_NEWTFILTER, flags, payload: tc.encodeRedirection(index, by), operation },
  ]);
}

/** See `Namespace.bandwidth`. */
export async function readBandwidth(socket: NetlinkSocket, link: string): Promise<Bandwidth> {
  const index = await indexOf(socket, link);
  const payload = tc.encodeQdiscAt(index, tc.TC_H_ROOT);
  const operation = `read the sending of ${link}`;
  const flags = tc.NLM_F_ECHO;
  const [reply] = await socket.request([{ type: tc.RTM_GETQDISC, flags, payload, operation }]);
  if (reply?.error && reply.error.errno !== 'ENOENT') throw reply.error;
  const [root] = reply?.payloads ?? [];
  const rate = root && tc.decodeBucketRate(root);
  const by = await redirectionOf(socket, index);
  const name =
    by === undefined ? undefined : (await dumpLinks(socket, false)).find((each) => each.index === by)?.name;
  return { send: rate === undefined ? undefined : { bitsPerSecond: rate * 8 }, receiveBy: name };
}

/** A rate as a token bucket, in bytes. @throws INVALID_ARGUMENT for what no bucket can be */
export function bucketOf({ bitsPerSecond, burst }: Rate): tc.Bucket {
  if (!Number.isSafeInteger(bitsPerSecond) || bitsPerSecond < 8)
    throw invalid('bitsPerSecond', bitsPerSecond, 'must be a whole number from 8 on');
  const rate = Math.floor(bitsPerSecond / 8);
  const bytes = burst === undefined ? Math.max(rate * DEFAULT_BURST_SECONDS, MIN_BURST) : burst / 8;
  if (!(bytes >= 1 && bytes <= MAX_U32)) throw invalid('burst', burst, 'must be from 8 to 34359738360 bits');
  const queue = Math.max(rate * QUEUE_SECONDS, MIN_QUEUE);
  return { rate, burst: Math.floor(bytes), limit: Math.min(Math.floor(bytes + queue), MAX_U32) };
}

async function redirectionOf(socket: NetlinkSocket, index: number): Promise<number | undefined> {
  const operation = 'list filters';
  const payload = tc.encodeGetFilters(index);
  const payloads = await socket.dump({ type: tc.RTM_GETTFILTER, flags: 0, payload, operation });
  return payloads.map(tc.decodeRedirection).find((each) => each !== undefined);
}

async function act(socket: NetlinkSocket, requests: readonly NetlinkRequest[]): Promise<void> {
  for (const { error } of await socket.request(requests)) {
    if (error?.errno !== 'ENOENT') {
      if (error) throw error;
      continue;
    }
    throw new LibnetworkError(
      'NOT_IMPLEMENTED',
      `${error.message}: this kernel lacks sch_tbf, sch_ingress, cls_u32 or act_mirred, which limits are made of`,
      { errno: error.errno, cause: error },
    );
  }
}

async function remove(socket: NetlinkSocket, payload: Buffer, operation: string): Promise<void> {
  const [reply] = await socket.request([{ type: tc.RTM_DELQDISC, flags: 0, payload, operation }], {
    mode: 'async',
  });
  if (reply?.error && !NOTHING_THERE.includes(reply.error.errno)) throw reply.error;
}
