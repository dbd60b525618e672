import { errnoName, kernelError } from '../errno.ts';
import * as abi from './constants.ts';
import { check, libc, setOption, trySetOption } from './libc.ts';
import { NETLINK_ROUTE, type NetlinkMessage, parseMessages } from './netlink/message.ts';
import { inNamespace } from './window.ts';

/** linux/rtnetlink.h: what rtnetlink tells of, by its number as a multicast group (RTNLGRP_). */
export const NOTICES = { link: 1, ipv4Address: 5, ipv4Route: 7, ipv6Address: 9, ipv6Route: 11, nexthop: 32 };

const DATAGRAM = 64 * 1024;

/** A socket that the kernel tells of changes in a namespace, from when it is opened. */
export class Notices {
  readonly fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(DATAGRAM);

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * @param namespaceFd default: the namespace of this thread
   * @param groups of `NOTICES`; `optional` ones are left away where the kernel is too old to have them
   * @param receiveBuffer in bytes, the kernel doubles it; default: what the kernel gives a socket
   */
  static open(
    namespaceFd: number | undefined,
    groups: readonly number[],
    { optional = [], receiveBuffer }: { optional?: readonly number[]; receiveBuffer?: number } = {},
  ): Notices {
    const type = abi.SOCK_RAW | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
    const make = () => check(libc().socket(abi.AF_NETLINK, type, NETLINK_ROUTE), 'socket AF_NETLINK');
    const fd = inNamespace(namespaceFd, make);
    try {
      if (receiveBuffer !== undefined) trySetOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUFFORCE, receiveBuffer);
      const name = Buffer.alloc(12);
      name.writeUInt16LE(abi.AF_NETLINK);
      check(libc().bind(fd, name, name.length), 'bind a netlink socket');
      for (const group of groups) setOption(fd, abi.SOL_NETLINK, abi.NETLINK_ADD_MEMBERSHIP, group);
      for (const group of optional) trySetOption(fd, abi.SOL_NETLINK, abi.NETLINK_ADD_MEMBERSHIP, group);
      return new Notices(fd);
    } catch (error) {
      libc().close(fd);
      throw error;
    }
  }

  /**
   * What was told next, in memory that the next call writes over; `'lost'` where more was told than there was room
   * for, and `undefined` where nothing more has been told.
   */
  take(): readonly NetlinkMessage[] | 'lost' | undefined {
    const length = libc().recv(this.fd, this.#buffer, DATAGRAM, abi.MSG_DONTWAIT | abi.MSG_TRUNC);
    if (length > DATAGRAM) return 'lost';
    if (length >= 0) return parseMessages(this.#buffer.subarray(0, length));
    const errno = errnoName(libc().errno());
    if (errno === 'EAGAIN') return undefined;
    if (errno === 'ENOBUFS') return 'lost';
    throw kernelError('watch a namespace', errno);
  }

  close(): void {
    libc().close(this.fd);
  }
}
