/*
 * A client of a name server that costs little itself: keeps a number of questions in flight and takes times.
 * Arguments: address, port, questions, in flight, name, 1 to change the name with each question.
 * Prints one line of JSON: seconds, answered, lost, bad, and the times p50, p99 and max in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int question(unsigned char *out, uint16_t id, const char *name) {
  unsigned char *at = out + 12;
  memset(out, 0, 12);
  out[0] = id >> 8;
  out[1] = id & 255;
  out[2] = 1;
  out[5] = 1;
  while (*name) {
    size_t length = strcspn(name, ".");
    *at++ = length;
    memcpy(at, name, length);
    at += length;
    name += length;
    if (*name == '.') name++;
  }
  memcpy(at, "\0\0\1\0\1", 5);
  return at + 5 - out;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  long total = atol(argv[3]), flight = atol(argv[4]);
  int vary = atoi(argv[6]);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &to.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  /* As long as libc waits (resolv.conf(5), option timeout). */
  struct timeval patience = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  /* Answers must not be lost here: this measures what the server loses. */
  int room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return perror("connect"), 1;
  static double sent_at[65536];
  float *times = malloc(total * sizeof *times);
  long sent = 0, answered = 0, lost = 0, bad = 0, waiting = 0;
  unsigned char out[512], in[4096];
  char name[300];
  double start = now();
  while (answered + lost < total) {
    while (waiting < flight && sent < total) {
      uint16_t id = sent & 65535;
      if (vary) snprintf(name, sizeof name, "n%ld.%s", sent, argv[5]);
      int length = question(out, id, vary ? name : argv[5]);
      sent_at[id] = now();
      if (send(fd, out, length, 0) < 0) bad++;
      sent++;
      waiting++;
    }
    ssize_t length = recv(fd, in, sizeof in, 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 12) {
      if (length < 0 && errno != EAGAIN && errno != ECONNREFUSED) return perror("recv"), 1;
      lost += waiting;
      waiting = 0;
      continue;
    }
    uint16_t id = in[0] << 8 | in[1];
    if (sent_at[id] == 0) {
      bad++;
      continue;
    }
    if ((in[3] & 15) != 0 || (in[2] & 128 && in[7] == 0)) bad++;
    times[answered++] = (now() - sent_at[id]) * 1e6;
    sent_at[id] = 0;
    waiting--;
  }
  double seconds = now() - start;
  qsort(times, answered, sizeof *times, ascending);
  printf("{\"seconds\":%.6f,\"answered\":%ld,\"lost\":%ld,\"bad\":%ld,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n", seconds, answered, lost, bad,
         answered ? times[answered / 2] : 0, answered ? times[answered * 99 / 100] : 0, answered ? times[answered - 1] : 0);
  return 0;
}
