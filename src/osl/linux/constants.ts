/** Numbers of the Linux ABI that Node does not export, as in the headers named. */

/** linux/socket.h, bits/socket.h */
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;

/** asm-generic/socket.h */
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_RCVBUF = 8;
export const SO_ATTACH_FILTER = 26;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;

/** netinet/in.h */
export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;
export const IPPROTO_RAW = 255;
export const IPV6_V6ONLY = 26;

/** linux/icmpv6.h: a socket option of level IPPROTO_ICMPV6. */
export const ICMPV6_FILTER = 1;

/** linux/netlink.h: a socket option of level SOL_NETLINK. */
export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;

/** linux/sched.h */
export const CLONE_NEWNET = 0x40000000;

/** linux/mount.h */
export const MS_BIND = 4096;
export const MNT_DETACH = 2;

/** linux/nsfs.h: the ioctl that tells what kind a namespace is of. */
export const NS_GET_NSTYPE = 0xb703;

/** linux/magic.h: what `statfs` calls the file system that namespaces live in. */
export const NSFS_MAGIC = 0x6e736673;

/** linux/fcntl.h */
export const F_SETFD = 2;
export const FD_CLOEXEC = 1;
export const F_DUPFD_CLOEXEC = 1030;
/** The same number on every architecture (Linux 5.9). */
export const SYS_close_range = 436;
export const CLOSE_RANGE_CLOEXEC = 1 << 2;
