/*
 * Sends UDP datagrams by 10,000 flows to an address: as many sockets, each to one of `ports` ports from `first` on.
 * Arguments: directory (unused), address, first, ports. Each line of input is a count n; the answer:
 * {"packet":[...]}, microseconds per datagram, one sample per round of 10,000.
 */
#include "netlink.h"
#include <sys/resource.h>

#define FLOWS 10000

static int sockets[FLOWS];

static void open_flows(const char *address, int first, int ports) {
  struct rlimit limit = {FLOWS + 100, FLOWS + 100};
  if (setrlimit(RLIMIT_NOFILE, &limit)) die("setrlimit");
  for (int i = 0; i < FLOWS; i++) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(first + i % ports)};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) die("address");
    sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&to, sizeof to)) die("connect");
  }
}

int main(int argc, char **argv) {
  int count;
  if (argc != 5) return fprintf(stderr, "usage: blast directory address first ports\n"), 2;
  open_flows(argv[2], atoi(argv[3]), atoi(argv[4]));
  while (next_count(&count)) {
    double *us = samples(count);
    for (int round = 0; round < count; round++) {
      double start = now_us();
      for (int i = 0; i < FLOWS; i++)
        if (send(sockets[i], "0123456789abcdef", 16, 0) != 16) die("send");
      us[round] = (now_us() - start) / FLOWS;
    }
    print_samples("{", "packet", us, count);
    puts("}");
    fflush(stdout);
    free(us);
  }
  return 0;
}
