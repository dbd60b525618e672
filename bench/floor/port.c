/*
 * A published TCP port: a listening socket that holds it, and one nftables transaction that adds its element to
 * a DNAT map and to a set of open ports; then the end of both. Each line of input is a count n; the answer:
 * {"publish":[...],"unpublish":[...]} in microseconds.
 */
#include "netlink.h"
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define TABLE "floor"
#define MESSAGE(type) ((NFNL_SUBSYS_NFTABLES << 8) | (type))
#define NESTED 0x8000

static struct batch batch;

static void edge(uint16_t type) {
  struct nfgenmsg g = {.res_id = htons(NFNL_SUBSYS_NFTABLES)};
  end(&batch, begin(&batch, type, 0, &g, sizeof g));
}

static size_t command(uint16_t type, uint16_t flags) {
  struct nfgenmsg g = {.nfgen_family = NFPROTO_INET};
  return begin(&batch, MESSAGE(type), NLM_F_ACK | flags, &g, sizeof g);
}

static void attribute_be32(uint16_t type, uint32_t value) { attribute_u32(&batch, type, htonl(value)); }

/* `tcp . address . port`, each padded to four bytes; with a value, a map to `address . port`. */
static void add_set(const char *name, uint32_t id, int is_map) {
  size_t at = command(NFT_MSG_NEWSET, NLM_F_CREATE);
  attribute_text(&batch, NFTA_SET_TABLE, TABLE);
  attribute_text(&batch, NFTA_SET_NAME, name);
  attribute_be32(NFTA_SET_FLAGS, is_map ? NFT_SET_MAP : 0);
  attribute_be32(NFTA_SET_KEY_TYPE, 1);
  attribute_be32(NFTA_SET_KEY_LEN, 12);
  if (is_map) {
    attribute_be32(NFTA_SET_DATA_TYPE, 1);
    attribute_be32(NFTA_SET_DATA_LEN, 8);
  }
  attribute_be32(NFTA_SET_ID, id);
  end(&batch, at);
}

static void make_table(int fd) {
  edge(NFNL_MSG_BATCH_BEGIN);
  size_t at = command(NFT_MSG_NEWTABLE, NLM_F_CREATE);
  attribute_text(&batch, NFTA_TABLE_NAME, TABLE);
  end(&batch, at);
  add_set("dnat", 1, 1);
  add_set("open", 2, 0);
  edge(NFNL_MSG_BATCH_END);
  transact(fd, &batch, "table");
}

static void element(uint16_t type, const char *set, uint32_t address, uint16_t port, int with_value) {
  uint32_t key[3] = {IPPROTO_TCP, htonl(address), htons(port)}, value[2] = {htonl(0x0a090002), htons(80)};
  size_t at = command(type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
  attribute_text(&batch, NFTA_SET_ELEM_LIST_TABLE, TABLE);
  attribute_text(&batch, NFTA_SET_ELEM_LIST_SET, set);
  size_t list = nest(&batch, NFTA_SET_ELEM_LIST_ELEMENTS | NESTED);
  size_t one = nest(&batch, NFTA_LIST_ELEM | NESTED);
  size_t k = nest(&batch, NFTA_SET_ELEM_KEY | NESTED);
  attribute(&batch, NFTA_DATA_VALUE, key, sizeof key);
  end_nest(&batch, k);
  if (with_value) {
    size_t v = nest(&batch, NFTA_SET_ELEM_DATA | NESTED);
    attribute(&batch, NFTA_DATA_VALUE, value, sizeof value);
    end_nest(&batch, v);
  }
  end_nest(&batch, one);
  end_nest(&batch, list);
  end(&batch, at);
}

static void change(int fd, uint16_t type, uint16_t port, const char *what) {
  edge(NFNL_MSG_BATCH_BEGIN);
  element(type, "dnat", 0, port, type == NFT_MSG_NEWSETELEM);
  element(type, "open", 0x0a090002, port, 0);
  edge(NFNL_MSG_BATCH_END);
  transact(fd, &batch, what);
}

static int hold(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1)) die("hold port");
  return fd;
}

int main(void) {
  int count;
  if (unshare(CLONE_NEWNET)) die("unshare");
  int fd = netlink(NETLINK_NETFILTER);
  make_table(fd);
  while (next_count(&count)) {
    int *held = calloc(count, sizeof *held);
    double *publish = samples(count), *unpublish = samples(count);
    for (int i = 0; i < count; i++) {
      double start = now_us();
      held[i] = hold(20000 + i);
      change(fd, NFT_MSG_NEWSETELEM, 20000 + i, "publish");
      publish[i] = now_us() - start;
    }
    for (int i = 0; i < count; i++) {
      double start = now_us();
      change(fd, NFT_MSG_DELSETELEM, 20000 + i, "unpublish");
      close(held[i]);
      unpublish[i] = now_us() - start;
    }
    print_samples("{", "publish", publish, count);
    print_samples(",", "unpublish", unpublish, count);
    puts("}");
    fflush(stdout);
    free(held), free(publish), free(unpublish);
  }
  return 0;
}
