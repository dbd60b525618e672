/* n detaches at once, by one group delete. Each line of input is n; the answer: {"detach":[microseconds of all n]} */
#include "veth.h"

int main(void) {
  int count;
  if (unshare(CLONE_NEWNET)) die("unshare");
  int host = open_here(), route = netlink(NETLINK_ROUTE), bridge = make_bridge(route);
  while (next_count(&count)) {
    struct container *c = calloc(count, sizeof *c);
    for (int i = 0; i < count; i++) {
      c[i] = make_container(host);
      create_pair(route, c[i], bridge, i + 1);
      configure(c[i], i + 1);
    }
    double start = now_us();
    delete_group(route);
    double all = now_us() - start;
    for (int i = 0; i < count; i++) drop_container(c[i]);
    print_samples("{", "detach", &all, 1);
    puts("}");
    fflush(stdout);
    free(c);
  }
  return 0;
}
