/*
 * Attach and detach, one at a time. Each line of input is a count n; its answer is one line with the
 * microseconds of n attaches and of their n detaches: {"attach":[...],"detach":[...]}
 * With a second argument the veths have the kernel's default number of queues.
 */
#include "veth.h"

int main(int argc, char **argv) {
  (void)argv;
  int count;
  default_queues = argc > 2;
  if (unshare(CLONE_NEWNET)) die("unshare");
  int host = open_here(), route = netlink(NETLINK_ROUTE), bridge = make_bridge(route);
  while (next_count(&count)) {
    struct container *c = calloc(count, sizeof *c);
    double *attach = samples(count), *detach = samples(count);
    for (int i = 0; i < count; i++) c[i] = make_container(host);
    for (int i = 0; i < count; i++) {
      double start = now_us();
      create_pair(route, c[i], bridge, i + 1);
      configure(c[i], i + 1);
      attach[i] = now_us() - start;
    }
    for (int i = 0; i < count; i++) {
      double start = now_us();
      delete_pair(route, i + 1);
      detach[i] = now_us() - start;
    }
    for (int i = 0; i < count; i++) drop_container(c[i]);
    print_samples("{", "attach", attach, count);
    print_samples(",", "detach", detach, count);
    puts("}");
    fflush(stdout);
    free(c), free(attach), free(detach);
  }
  return 0;
}
