/*
 * One RCU grace period: MEMBARRIER_CMD_GLOBAL is the kernel's synchronize_rcu() and nothing else. Each line of
 * input is a count n; the answer: {"grace":[...]} in microseconds.
 */
#include "netlink.h"
#include <linux/membarrier.h>
#include <sys/syscall.h>

int main(void) {
  int count;
  while (next_count(&count)) {
    double *grace = samples(count);
    for (int i = 0; i < count; i++) {
      double start = now_us();
      if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0)) die("membarrier");
      grace[i] = now_us() - start;
    }
    print_samples("{", "grace", grace, count);
    puts("}");
    fflush(stdout);
    free(grace);
  }
  return 0;
}
