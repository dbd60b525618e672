/* Netlink in as little C as it takes: messages built in one buffer, one send, all answers read. */
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* A send in the making: messages one after the other. */
struct batch {
  char data[65536];
  size_t size;
  uint32_t sequence;
  int acks;
};

static void append(struct batch *b, const void *data, size_t size) {
  memcpy(b->data + b->size, data, size);
  memset(b->data + b->size + size, 0, NLMSG_ALIGN(size) - size);
  b->size += NLMSG_ALIGN(size);
}

/* Starts a message and returns its offset for `end`. */
static size_t begin(struct batch *b, uint16_t type, uint16_t flags, const void *header, size_t size) {
  struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = ++b->sequence};
  size_t at = b->size;
  if (flags & NLM_F_ACK) b->acks++;
  append(b, &h, sizeof h);
  append(b, header, size);
  return at;
}

static void end(struct batch *b, size_t at) { ((struct nlmsghdr *)(b->data + at))->nlmsg_len = b->size - at; }

static void attribute(struct batch *b, uint16_t type, const void *data, size_t size) {
  struct nlattr a = {.nla_len = NLA_HDRLEN + size, .nla_type = type};
  append(b, &a, sizeof a);
  append(b, data, size);
}

static void attribute_u32(struct batch *b, uint16_t type, uint32_t value) { attribute(b, type, &value, 4); }
static void attribute_text(struct batch *b, uint16_t type, const char *text) {
  attribute(b, type, text, strlen(text) + 1);
}

static size_t nest(struct batch *b, uint16_t type) {
  size_t at = b->size;
  attribute(b, type, "", 0);
  return at;
}

static void end_nest(struct batch *b, size_t at) { ((struct nlattr *)(b->data + at))->nla_len = b->size - at; }

static int netlink(int protocol) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), on = 1;
  struct sockaddr_nl a = {.nl_family = AF_NETLINK};
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a)) die("netlink socket");
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return fd;
}

/* Sends the batch once and reads until every message that asked for an ack has it. Empties the batch. */
static void transact(int fd, struct batch *b, const char *what) {
  static char answer[262144];
  int acks = b->acks;
  if (send(fd, b->data, b->size, 0) < 0) die(what);
  while (acks > 0) {
    ssize_t size = recv(fd, answer, sizeof answer, 0);
    if (size < 0) die(what);
    for (struct nlmsghdr *h = (struct nlmsghdr *)answer; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
      if (h->nlmsg_type != NLMSG_ERROR) continue;
      errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
      if (errno) die(what);
      acks--;
    }
  }
  b->size = 0;
  b->acks = 0;
}

/* The answer to a line with a count on standard input: false at the end of input. */
static int next_count(int *count) { return scanf("%d", count) == 1 && *count > 0; }

static void print_samples(const char *before, const char *name, const double *us, int count) {
  printf("%s\"%s\":[", before, name);
  for (int i = 0; i < count; i++) printf(i ? ",%.1f" : "%.1f", us[i]);
  printf("]");
}

static double *samples(int count) {
  double *us = calloc(count, sizeof *us);
  if (!us) die("calloc");
  return us;
}
