#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "CHost.h"
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

_Thread_local struct azulejo_thread azulejo_thread_words;

int azulejo_processor_count(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    int count = CPU_COUNT(&set);
    if (count > 0) return count;
  }
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

void azulejo_advise_huge(void *start, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  (void)madvise(start, bytes, MADV_HUGEPAGE);
#else
  (void)start;
  (void)bytes;
#endif
}

void azulejo_populate(void *start, size_t bytes, size_t page) {
#if defined(__linux__)
  // MADV_POPULATE_WRITE, Linux 5.14; older headers lack the name.
  if (madvise(start, bytes, 23) == 0) return;
#endif
  for (size_t offset = 0; offset < bytes; offset += page) {
    volatile unsigned char *byte = (volatile unsigned char *)start + offset;
    *byte = *byte;
  }
}

const void *azulejo_image(const void *address, const char **path) {
  Dl_info image;
  if (dladdr(address, &image) == 0) return NULL;
  *path = image.dli_fname;
  return image.dli_fbase;
}
