/*
 * A network namespace kept alive by a mount under the directory given as argument, with `lo` up; and its end.
 * Each line of input is a count n; the answer: {"create":[...],"delete":[...]} in microseconds.
 */
#include "veth.h"
#include <sys/mount.h>

static void create(int host, const char *path) {
  int file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (file < 0) die(path);
  close(file);
  if (unshare(CLONE_NEWNET)) die("unshare");
  if (mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL)) die("mount");
  int route = netlink(NETLINK_ROUTE);
  bring_up(route, "lo");
  close(route);
  if (setns(host, CLONE_NEWNET)) die("setns");
}

static void drop(const char *path) {
  if (umount2(path, MNT_DETACH)) die("umount");
  if (unlink(path)) die("unlink");
}

int main(int argc, char **argv) {
  int count;
  if (argc != 2) return fprintf(stderr, "usage: sandbox directory\n"), 2;
  if (unshare(CLONE_NEWNET)) die("unshare");
  int host = open_here();
  while (next_count(&count)) {
    double *made = samples(count), *gone = samples(count);
    for (int i = 0; i < count; i++) {
      char path[4096];
      snprintf(path, sizeof path, "%s/floor-%d", argv[1], i);
      double start = now_us();
      create(host, path);
      double between = now_us();
      drop(path);
      gone[i] = now_us() - between;
      made[i] = between - start;
    }
    print_samples("{", "create", made, count);
    print_samples(",", "delete", gone, count);
    puts("}");
    fflush(stdout);
    free(made), free(gone);
  }
  return 0;
}
