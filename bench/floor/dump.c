/*
 * A dump of all links of the namespace it is started in. Each line of input is a count n; the answer:
 * {"dump":[...],"links":[...]}: microseconds, and how many links were in it.
 */
#include "netlink.h"

static struct batch batch;

/* Until NLMSG_DONE; the number of links. */
static int dump(int fd) {
  static char answer[262144];
  struct ifinfomsg i = {0};
  int links = 0;
  end(&batch, begin(&batch, RTM_GETLINK, NLM_F_DUMP, &i, sizeof i));
  if (send(fd, batch.data, batch.size, 0) < 0) die("send");
  batch.size = 0;
  for (;;) {
    ssize_t size = recv(fd, answer, sizeof answer, 0);
    if (size < 0) die("recv");
    for (struct nlmsghdr *h = (struct nlmsghdr *)answer; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
      if (h->nlmsg_type == NLMSG_DONE) return links;
      if (h->nlmsg_type == RTM_NEWLINK) links++;
    }
  }
}

int main(void) {
  int count, fd = netlink(NETLINK_ROUTE);
  while (next_count(&count)) {
    double *us = samples(count), *links = samples(count);
    for (int i = 0; i < count; i++) {
      double start = now_us();
      links[i] = dump(fd);
      us[i] = now_us() - start;
    }
    print_samples("{", "dump", us, count);
    print_samples(",", "links", links, count);
    puts("}");
    fflush(stdout);
    free(us), free(links);
  }
  return 0;
}
