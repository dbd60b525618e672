/*
 * A name server that does nothing else: answers every question with one address, at an address and port given.
 * It ends when its input does.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 192, 0, 2, 1};

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &at.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return perror("bind"), 1;
  puts("ready");
  fflush(stdout);
  struct pollfd ends[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  unsigned char bytes[4096];
  for (;;) {
    if (poll(ends, 2, -1) < 0 || (ends[1].revents & (POLLIN | POLLHUP))) return 0;
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t length;
    while ((length = recvfrom(fd, bytes, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &size)) >= 12) {
      bytes[2] |= 0x80;
      bytes[3] = 0x80;
      bytes[7] = 1;
      memcpy(bytes + length, record, sizeof record);
      sendto(fd, bytes, length + sizeof record, 0, (struct sockaddr *)&from, size);
    }
  }
}
