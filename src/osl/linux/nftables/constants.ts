/** Numbers of nf_tables: linux/netfilter/nf_tables.h, nfnetlink.h, nf_conntrack_common.h. */

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_MSG_BATCH_BEGIN = 16;
export const NFNL_MSG_BATCH_END = 17;
/** The family of tables that see IPv4 and IPv6 alike. */
export const NFPROTO_INET = 1;
export const NFPROTO = { ipv4: 2, ipv6: 10 } as const;

const message = (number: number): number => (NFNL_SUBSYS_NFTABLES << 8) | number;
export const NFT_MSG_NEWTABLE = message(0);
export const NFT_MSG_GETTABLE = message(1);
export const NFT_MSG_DELTABLE = message(2);
export const NFT_MSG_NEWCHAIN = message(3);
export const NFT_MSG_GETCHAIN = message(4);
export const NFT_MSG_DELCHAIN = message(5);
export const NFT_MSG_NEWRULE = message(6);
export const NFT_MSG_GETRULE = message(7);
export const NFT_MSG_DELRULE = message(8);
export const NFT_MSG_NEWSET = message(9);
export const NFT_MSG_GETSET = message(10);
export const NFT_MSG_DELSET = message(11);
export const NFT_MSG_NEWSETELEM = message(12);
export const NFT_MSG_GETSETELEM = message(13);
export const NFT_MSG_DELSETELEM = message(14);
export const NFT_MSG_NEWGEN = message(15);
export const NFT_MSG_GETGEN = message(16);

export const NFTA_TABLE_NAME = 1;
export const NFTA_TABLE_FLAGS = 2;
/** Only the socket that made the table may change it, and its end is the table's (since Linux 5.12). */
export const NFT_TABLE_F_OWNER = 2;
export const NFTA_LIST_ELEM = 1;
export const NFTA_GEN_ID = 1;
export const NFTA_GEN_PROC_PID = 2;
export const NFTA_CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const;
export const NFTA_HOOK = { HOOKNUM: 1, PRIORITY: 2 } as const;
export const NFTA_RULE = { TABLE: 1, CHAIN: 2, EXPRESSIONS: 4, USERDATA: 7 } as const;
export const NFTA_SET = {
  TABLE: 1,
  NAME: 2,
  FLAGS: 3,
  KEY_TYPE: 4,
  KEY_LEN: 5,
  DATA_TYPE: 6,
  DATA_LEN: 7,
  ID: 10,
  USERDATA: 13,
} as const;
export const NFTA_SET_ELEM = { KEY: 1, DATA: 2, TIMEOUT: 4, EXPIRATION: 5 } as const;
export const NFTA_SET_ELEM_LIST = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const;
export const NFT_SET_ANONYMOUS = 1;
export const NFT_SET_MAP = 8;
export const NFT_SET_TIMEOUT = 0x10;

export const NFTA_DATA = { VALUE: 1, VERDICT: 2 } as const;
export const NFTA_VERDICT = { CODE: 1, CHAIN: 2 } as const;
export const NFT_DATA_VERDICT = 0xffffff00;
/** Verdict codes; the negative ones as unsigned. */
export const VERDICTS = {
  drop: 0,
  accept: 1,
  jump: 0xfffffffd,
  goto: 0xfffffffc,
  return: 0xfffffffb,
} as const;

export const NFTA_EXPR = { NAME: 1, DATA: 2 } as const;
export const NFTA_META = { DREG: 1, KEY: 2 } as const;
export const NFT_META = { MARK: 3, IIFNAME: 6, OIFNAME: 7, NFPROTO: 15, L4PROTO: 16 } as const;
export const NFTA_PAYLOAD = { DREG: 1, BASE: 2, OFFSET: 3, LEN: 4 } as const;
export const NFT_PAYLOAD_NETWORK_HEADER = 1;
export const NFT_PAYLOAD_TRANSPORT_HEADER = 2;
export const NFTA_CT = { DREG: 1, KEY: 2, DIRECTION: 3, SREG: 4 } as const;
export const NFT_CT = { STATE: 0, STATUS: 2, LABELS: 13, DST_IP: 20 } as const;
export const IP_CT_DIR_ORIGINAL = 0;
/** Bytes of a connection's label. */
export const NF_CT_LABELS_SIZE = 16;
export const NFTA_FIB = { DREG: 1, RESULT: 2, FLAGS: 3 } as const;
export const NFT_FIB_RESULT_ADDRTYPE = 3;
export const NFTA_FIB_F_SADDR = 1;
export const NFTA_FIB_F_DADDR = 2;
export const NFTA_BITWISE = { SREG: 1, DREG: 2, LEN: 3, MASK: 4, XOR: 5 } as const;
export const NFTA_CMP = { SREG: 1, OP: 2, DATA: 3 } as const;
export const NFT_CMP = { '==': 0, '!=': 1, '<=': 3, '>=': 5 } as const;
export const NFTA_LOOKUP = { SET: 1, SREG: 2, DREG: 3, FLAGS: 5 } as const;
export const NFT_LOOKUP_F_INV = 1;
export const NFTA_IMMEDIATE = { DREG: 1, DATA: 2 } as const;
export const NFTA_NAT = { TYPE: 1, FAMILY: 2, REG_ADDR_MIN: 3, REG_PROTO_MIN: 5 } as const;
export const NFTA_NG = { DREG: 1, MODULUS: 2, TYPE: 3, OFFSET: 4 } as const;
export const NFT_NG_RANDOM = 1;
export const NFT_NAT_SNAT = 0;
export const NFT_NAT_DNAT = 1;

export const NFT_REG_VERDICT = 0;
/** The first of sixteen registers of four bytes. */
export const NFT_REG32_00 = 8;

/** Bits of `ct state` (IP_CT_* as bits), of `ct status` (IPS_*) and of `ct label`, by their numbers. */
export const CT_BITS = {
  established: 1,
  related: 2,
  new: 3,
  untracked: 6,
  confirmed: 3,
  snat: 4,
  dnat: 5,
  117: 117,
  118: 118,
  119: 119,
  120: 120,
  121: 121,
  122: 122,
  123: 123,
  124: 124,
  125: 125,
  126: 126,
  127: 127,
} as const;
/** linux/rtnetlink.h: RTN_* */
export const ADDRESS_TYPES: Readonly<Record<string, number>> = { unicast: 1, local: 2, broadcast: 3 };
/** linux/netfilter.h: NF_INET_* */
export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
