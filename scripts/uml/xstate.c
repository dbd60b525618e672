/*
 * Preloaded into User-Mode Linux by run.mjs. UML keeps the vector registers of its processes in a buffer that is too
 * short for processors with AMX, of whose 11 KiB it gets the first part; but ptrace takes them back only whole
 * (PTRACE_SETREGSET, NT_X86_XSTATE). So what UML has is laid over what the process has now; parts that are not
 * completely in UML's buffer are reset. Where ptrace takes what UML gives it, nothing is different.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEK_FIRST = 1, PEEK_LAST = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, NT_X86_XSTATE = 0x202 };
/* The bit map of parts in use, after the legacy area (Intel SDM 1, 13.4). */
enum { HEADER_AT = 512, HEADER_END = 576, LARGEST = 65536 };

static long set_whole(long pid, const struct iovec *given)
{
  static __thread unsigned char whole[LARGEST] __attribute__((aligned(64)));
  struct iovec all = { whole, sizeof whole };
  uint64_t used;
  unsigned part, size, offset, ecx, edx;

  if (syscall(SYS_ptrace, GETREGSET, pid, NT_X86_XSTATE, &all) < 0) return -1;
  if (given->iov_len < HEADER_END || given->iov_len >= all.iov_len) {
    errno = EINVAL;
    return -1;
  }
  memcpy(whole, given->iov_base, given->iov_len);
  memcpy(&used, whole + HEADER_AT, sizeof used);
  for (part = 2; part < 63; part++) {
    if (!(used >> part & 1)) continue;
    __cpuid_count(0xd, part, size, offset, ecx, edx);
    if (offset + size > given->iov_len) used &= ~((uint64_t)1 << part);
  }
  memcpy(whole + HEADER_AT, &used, sizeof used);
  return syscall(SYS_ptrace, SETREGSET, pid, NT_X86_XSTATE, &all);
}

long ptrace(int request, ...)
{
  long pid, address, data, result, peeked;
  va_list list;

  va_start(list, request);
  pid = va_arg(list, int);
  address = va_arg(list, long);
  data = va_arg(list, long);
  va_end(list);
  /* The kernel stores what it peeks at; glibc answers with it. */
  if (request >= PEEK_FIRST && request <= PEEK_LAST) {
    result = syscall(SYS_ptrace, (long)request, pid, address, &peeked);
    if (result < 0) return result;
    errno = 0;
    return peeked;
  }
  result = syscall(SYS_ptrace, (long)request, pid, address, data);
  if (result == 0 || request != SETREGSET || address != NT_X86_XSTATE) return result;
  return errno == EFAULT || errno == EINVAL ? set_whole(pid, (const struct iovec *)data) : result;
}
