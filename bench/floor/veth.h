/* A container's attachment by the fewest and cheapest requests that the kernel offers. */
#pragma once
#include "netlink.h"

#define GROUP 7177

static struct batch batch;

/* A container: its namespace, and a netlink socket that was born there. */
struct container {
  int ns, route;
};

static int open_here(void) {
  int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("open namespace");
  return fd;
}

static void bring_up(int route, const char *name) {
  struct ifinfomsg i = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  size_t at = begin(&batch, RTM_NEWLINK, NLM_F_ACK, &i, sizeof i);
  attribute_text(&batch, IFLA_IFNAME, name);
  end(&batch, at);
  transact(route, &batch, "up");
}

/* A bridge in the namespace that plays the host; its index. */
static int make_bridge(int route) {
  struct ifinfomsg i = {.ifi_index = 100, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  size_t at = begin(&batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
  attribute_text(&batch, IFLA_IFNAME, "floor");
  size_t info = nest(&batch, IFLA_LINKINFO);
  attribute_text(&batch, IFLA_INFO_KIND, "bridge");
  end_nest(&batch, info);
  end(&batch, at);
  transact(route, &batch, "bridge");
  return i.ifi_index;
}

/* Links to come get no IPv6, which would only cost here; a kernel without IPv6 has no such setting. */
static void without_ipv6(void) {
  int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return;
  if (fd < 0 || write(fd, "1", 1) != 1) die("disable_ipv6");
  close(fd);
}

static struct container make_container(int host) {
  struct container c;
  if (unshare(CLONE_NEWNET)) die("unshare");
  without_ipv6();
  c.ns = open_here();
  c.route = netlink(NETLINK_ROUTE);
  bring_up(c.route, "lo");
  if (setns(host, CLONE_NEWNET)) die("setns");
  return c;
}

static void drop_container(struct container c) {
  close(c.route);
  close(c.ns);
}

static void host_end(char name[16], int number) { snprintf(name, 16, "v%011x", number); }

static void put_alias(const char *name) {
  struct ifinfomsg i = {0};
  size_t at = begin(&batch, RTM_SETLINK, NLM_F_ACK, &i, sizeof i);
  attribute_text(&batch, IFLA_IFNAME, name);
  attribute(&batch, IFLA_IFALIAS, "libnetwork:floor:0123456789abcdef0123456789abcdef", 49);
  end(&batch, at);
}

/* Leaves it to the kernel how many queues a veth has. */
static int default_queues;

/* Spares the kernel the queues that a veth never uses. */
static void one_queue(void) {
  if (default_queues) return;
  attribute_u32(&batch, IFLA_NUM_TX_QUEUES, 1);
  attribute_u32(&batch, IFLA_NUM_RX_QUEUES, 1);
}

/* One send: the pair, its host end a port of the bridge and up, its peer born in the container; and the alias. */
static void create_pair(int route, struct container c, int bridge, int number) {
  unsigned char mac[6] = {2, 66, 10, 9, number >> 8, number};
  struct ifinfomsg i = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, none = {0};
  char name[16];
  host_end(name, number);
  size_t at = begin(&batch, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
  attribute_text(&batch, IFLA_IFNAME, name);
  one_queue();
  attribute_u32(&batch, IFLA_MASTER, bridge);
  attribute_u32(&batch, IFLA_GROUP, GROUP);
  size_t info = nest(&batch, IFLA_LINKINFO);
  attribute_text(&batch, IFLA_INFO_KIND, "veth");
  size_t data = nest(&batch, IFLA_INFO_DATA);
  size_t peer = nest(&batch, VETH_INFO_PEER);
  append(&batch, &none, sizeof none);
  attribute_text(&batch, IFLA_IFNAME, "eth0");
  attribute_u32(&batch, IFLA_NET_NS_FD, c.ns);
  attribute(&batch, IFLA_ADDRESS, mac, sizeof mac);
  one_queue();
  end_nest(&batch, peer);
  end_nest(&batch, data);
  end_nest(&batch, info);
  end(&batch, at);
  put_alias(name);
  transact(route, &batch, "create pair");
}

/* One send in the container: address, up, default route. The first link after `lo` has index 2. */
static void configure(struct container c, int number) {
  uint32_t address = htonl(0x0a090000 + number), gateway = htonl(0x0a09fffe);
  struct ifaddrmsg a = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = 2};
  size_t at = begin(&batch, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
  attribute_u32(&batch, IFA_LOCAL, address);
  attribute_u32(&batch, IFA_ADDRESS, address);
  end(&batch, at);
  struct ifinfomsg i = {.ifi_index = 2, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  end(&batch, begin(&batch, RTM_NEWLINK, NLM_F_ACK, &i, sizeof i));
  struct rtmsg r = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
  at = begin(&batch, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &r, sizeof r);
  attribute_u32(&batch, RTA_GATEWAY, gateway);
  end(&batch, at);
  transact(c.route, &batch, "configure");
}

static void delete_pair(int route, int number) {
  struct ifinfomsg i = {0};
  char name[16];
  host_end(name, number);
  size_t at = begin(&batch, RTM_DELLINK, NLM_F_ACK, &i, sizeof i);
  attribute_text(&batch, IFLA_IFNAME, name);
  end(&batch, at);
  transact(route, &batch, "delete pair");
}

/* Everything of the group in one request, which shares the kernel's grace periods. */
static void delete_group(int route) {
  struct ifinfomsg i = {0};
  size_t at = begin(&batch, RTM_DELLINK, NLM_F_ACK, &i, sizeof i);
  attribute_u32(&batch, IFLA_GROUP, GROUP);
  end(&batch, at);
  transact(route, &batch, "delete group");
}
