import { LibnetworkError } from '../../../errors.ts';
import { FAMILIES } from '../../../ip.ts';
import { errnoName } from '../../errno.ts';
import type { Flow } from '../../firewall/trespass.ts';
import { forgetConnections } from '../conntrack.ts';
import * as abi from '../constants.ts';
import { check, type Koffi, koffi, libc, setOption, trySetOption } from '../libc.ts';
import { attributeMap, readString } from '../netlink/attributes.ts';
import { NETLINK_NETFILTER, type NetlinkMessage, parseMessages } from '../netlink/message.ts';
import { inNamespace } from '../window.ts';
import * as nft from './constants.ts';

/** linux/netfilter/nfnetlink.h: NFNLGRP_NFTABLES */
const GROUP = 7;
/** linux/sockios.h: a descriptor of the network namespace of a socket. */
const SIOCGSKNS = 0x894c;
/** Room for what our own largest transactions make the kernel tell. */
const RECEIVE_BUFFER = 8 << 20;
const DATAGRAM = 64 * 1024;

/** The kernel's messages of a removal, by type. The name of the table is the first attribute of each. */
const REMOVALS: ReadonlySet<number> = new Set([
  nft.NFT_MSG_DELTABLE,
  nft.NFT_MSG_DELCHAIN,
  nft.NFT_MSG_DELRULE,
  nft.NFT_MSG_DELSET,
  nft.NFT_MSG_DELSETELEM,
]);

/** Whose table it is: nf_tables' number of the family, and the name. */
export type IsWatched = (family: number | undefined, table: string) => boolean;

/** A chain that somebody else must not add rules to unheard. */
export type IsJealous = (table: string, chain: string) => boolean;

/** The end of a transaction: the number of its first request, and the process that sent it. */
export interface Generation {
  readonly sequence: number;
  readonly process: number;
}

/**
 * Picks the messages that end somebody else's transactions with a removal. All messages of one transaction come
 * together; only the last, of the new generation, tells for certain whose it was.
 * @param isJealous of which chains a rule that somebody adds counts as well
 */
export function foreignRemovals(
  isWatched: IsWatched,
  isOwn: (generation: Generation) => boolean,
  isJealous: IsJealous = () => false,
): (message: NetlinkMessage) => boolean {
  let touched = false;
  return ({ type, sequence, payload }) => {
    if (type === nft.NFT_MSG_NEWGEN) {
      const process = attributeMap(payload, 4).get(nft.NFTA_GEN_PROC_PID)?.readUInt32BE() ?? 0;
      const foreign = touched && !isOwn({ sequence, process });
      touched = false;
      return foreign;
    }
    if (touched || (type !== nft.NFT_MSG_NEWRULE && !REMOVALS.has(type))) return false;
    const attributes = attributeMap(payload, 4);
    const text = (attribute: number) => {
      const value = attributes.get(attribute) ?? Buffer.alloc(0);
      return readString(value, 0, value.length);
    };
    const table = text(nft.NFTA_TABLE_NAME);
    touched =
      isWatched(payload[0], table) &&
      (type !== nft.NFT_MSG_NEWRULE || isJealous(table, text(nft.NFTA_RULE.CHAIN)));
    return false;
  };
}

/**
 * A socket that the kernel tells of every change to the rules of its namespace. It listens once `start` was called,
 * does not keep the process alive, and must be closed.
 */
export class RulesetWatch {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(DATAGRAM);
  #poll: ReturnType<Koffi['node']['poll']> | undefined;
  #closed = false;

  /** @param namespaceFd of the namespace, by default this thread's; it may be closed afterwards */
  constructor(namespaceFd: number | undefined, receiveBuffer = RECEIVE_BUFFER) {
    const type = abi.SOCK_RAW | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
    const make = () => check(libc().socket(abi.AF_NETLINK, type, NETLINK_NETFILTER), 'socket AF_NETLINK');
    this.#fd = inNamespace(namespaceFd, make);
    trySetOption(this.#fd, abi.SOL_SOCKET, abi.SO_RCVBUFFORCE, receiveBuffer);
  }

  /**
   * @param isWatched tells the tables whose removal, whole or in part, is told
   * @param isOwn tells our own transactions
   * @param onRemoval is called soon after somebody else's removal, once for many, and whenever notifications were
   * lost: then there may have been one
   * @param isJealous of which chains a rule that somebody adds counts as well
   */
  start(
    isWatched: IsWatched,
    isOwn: (generation: Generation) => boolean,
    onRemoval: () => void,
    isJealous?: IsJealous,
  ): void {
    const name = Buffer.alloc(12);
    name.writeUInt16LE(abi.AF_NETLINK);
    check(libc().bind(this.#fd, name, name.length), 'bind a netlink socket');
    setOption(this.#fd, abi.SOL_NETLINK, abi.NETLINK_ADD_MEMBERSHIP, GROUP);
    const foreign = foreignRemovals(isWatched, isOwn, isJealous);
    const listen = () => {
      const removed = this.#takeAll(foreign);
      if (this.#closed) return;
      // libuv stops watching a descriptor that had an error to tell, such as ENOBUFS.
      this.#poll?.start({ readable: true }, listen);
      // Promises settled in the poll's callback would wait: it runs outside of Node's callback scopes.
      if (removed) setImmediate(onRemoval);
    };
    this.#poll = koffi().node.poll(this.#fd, { readable: true }, listen);
    this.#poll.unref();
  }

  /**
   * Makes the kernel forget tracked connections of the namespace that it watches. Where it was built without
   * nf_conntrack_netlink nobody can: then it is left at that.
   */
  async forget(matches: (flow: Flow) => boolean): Promise<void> {
    const fd = check(libc().ioctl(this.#fd, SIOCGSKNS), 'find the namespace of a socket');
    try {
      for (const family of FAMILIES) await forgetConnections(fd, family, matches);
    } catch (error) {
      const isUnknown =
        LibnetworkError.is(error) && (error.errno === 'EINVAL' || error.errno === 'EOPNOTSUPP');
      if (!isUnknown) throw error;
    } finally {
      libc().close(fd);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll?.close();
    libc().close(this.#fd);
  }

  /** Takes what there is. True when it tells of a removal by somebody else, or may have. */
  #takeAll(foreign: (message: NetlinkMessage) => boolean): boolean {
    let found = false;
    for (;;) {
      const length = libc().recv(this.#fd, this.#buffer, DATAGRAM, abi.MSG_DONTWAIT | abi.MSG_TRUNC);
      if (length < 0) {
        const errno = errnoName(libc().errno());
        if (errno === 'EAGAIN') return found;
        found = true;
        // Overrun: a removal may be among what was lost, and there is more. Anything else is asked again later.
        if (errno !== 'ENOBUFS') return found;
      } else if (length > DATAGRAM) found = true;
      else if (parseMessages(this.#buffer.subarray(0, length)).filter(foreign).length > 0) found = true;
    }
  }
}
