/*
 * RTM_GETLINK by name: one request at a time, and 50 in one send; and 50 changes of nothing, RTM_SETLINK, in one
 * send. Each line of input is a count n; the answer: {"single":[...],"pipelined":[...],"changes":[...]},
 * microseconds per request.
 */
#include "netlink.h"

#define PIPELINED 50

static struct batch batch;

static void ask(void) {
  struct ifinfomsg i = {0};
  size_t at = begin(&batch, RTM_GETLINK, NLM_F_ACK, &i, sizeof i);
  attribute_text(&batch, IFLA_IFNAME, "lo");
  end(&batch, at);
}

static void change(void) {
  struct ifinfomsg i = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  end(&batch, begin(&batch, RTM_SETLINK, NLM_F_ACK, &i, sizeof i));
}

int main(void) {
  int count;
  if (unshare(CLONE_NEWNET)) die("unshare");
  int fd = netlink(NETLINK_ROUTE), size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  while (next_count(&count)) {
    double *single = samples(count), *pipelined = samples(count), *changes = samples(count);
    for (int i = 0; i < count; i++) {
      double start = now_us();
      ask();
      transact(fd, &batch, "getlink");
      single[i] = now_us() - start;
    }
    for (int i = 0; i < count; i++) {
      double start = now_us();
      for (int k = 0; k < PIPELINED; k++) ask();
      transact(fd, &batch, "getlink");
      pipelined[i] = (now_us() - start) / PIPELINED;
    }
    for (int i = 0; i < count; i++) {
      double start = now_us();
      for (int k = 0; k < PIPELINED; k++) change();
      transact(fd, &batch, "setlink");
      changes[i] = (now_us() - start) / PIPELINED;
    }
    print_samples("{", "single", single, count);
    print_samples(",", "pipelined", pipelined, count);
    print_samples(",", "changes", changes, count);
    puts("}");
    fflush(stdout);
    free(single), free(pipelined), free(changes);
  }
  return 0;
}
