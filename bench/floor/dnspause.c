/* What a container of the bench runs: nothing, for ever. Linked statically, so that its image is this one file. */
#include <unistd.h>

int main(void) {
  for (;;) pause();
}
