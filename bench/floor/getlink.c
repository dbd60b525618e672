/*
 * RTM_GETLINK by name: one request at a time, and 50 in one send. Each line of input is a count n; the answer:
 * {"single":[...],"pipelined":[...]}, microseconds per request.
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

int main(void) {
  int count;
  if (unshare(CLONE_NEWNET)) die("unshare");
  int fd = netlink(NETLINK_ROUTE), size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  while (next_count(&count)) {
    double *single = samples(count), *pipelined = samples(count);
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
    print_samples("{", "single", single, count);
    print_samples(",", "pipelined", pipelined, count);
    puts("}");
    fflush(stdout);
    free(single), free(pipelined);
  }
  return 0;
}
