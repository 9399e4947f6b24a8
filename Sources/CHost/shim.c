#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "CHost.h"
#include <dlfcn.h>
#include <pthread.h>
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

/// The stack of this thread, [*start, *end); zeros where the system does not say.
static void stack_bounds(uintptr_t *start, uintptr_t *end) {
  *start = *end = 0;
#if defined(__linux__)
  void *lowest = NULL;
  size_t bytes = 0;
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  if (pthread_attr_getstack(&attributes, &lowest, &bytes) == 0) {
    *start = (uintptr_t)lowest;
    *end = *start + bytes;
  }
  pthread_attr_destroy(&attributes);
#elif defined(__APPLE__)
  *end = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
  *start = *end - pthread_get_stacksize_np(pthread_self());
#endif
}

uintptr_t azulejo_stack_start(void) {
  static _Thread_local uintptr_t start, end;
  if (end == 0) stack_bounds(&start, &end);
  return start;
}

int azulejo_callers(uintptr_t *addresses, int limit) {
  static _Thread_local uintptr_t start, end;
  if (end == 0) stack_bounds(&start, &end);
  // Swift marks the frames of asynchronous functions with bit 60 of the pointer they save.
  const uintptr_t mark = ~((uintptr_t)1 << 60);
  uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
  int count = 0;
  while (count < limit && frame % sizeof(void *) == 0 && frame + 2 * sizeof(void *) <= end) {
    const uintptr_t *words = (const uintptr_t *)frame;
    if (words[1] == 0) break;
    addresses[count++] = words[1];
    uintptr_t next = words[0] & mark;
    if (next <= frame) break;
    frame = next;
  }
  return count;
}
