// What the host offers and Swift cannot say: a pause hint, one block of thread-local words, processor count, memory hints,
// the image that code is in, who called, how much stack is left.
// No logic lives here.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Tells the core that this is a waiting loop.
static inline void azulejo_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#else
  __asm__ volatile("" ::: "memory");
#endif
}

/// The words every thread has of its own; zero at the thread's start. Runtime's Swift code decides what they mean.
struct azulejo_thread {
  void *_Nullable memory;
  void *_Nullable arena;
  int64_t arena_bytes;
  int64_t pool_depth;
  int64_t measures;
  int64_t measured_bytes;
  int64_t measured_peak;
};
extern _Thread_local struct azulejo_thread azulejo_thread_words;

static inline struct azulejo_thread *_Nonnull azulejo_this_thread(void) { return &azulejo_thread_words; }

/// Processors that this process may run on; at least 1.
int azulejo_processor_count(void);

/// Asks for huge pages; a refusal does not matter.
void azulejo_advise_huge(void *_Nonnull start, size_t bytes);

/// Makes the pages of [start, start + bytes) present and writable, keeping what they hold. start is page aligned.
void azulejo_populate(void *_Nonnull start, size_t bytes, size_t page);

/// Where the image (program or library) that holds `address` begins in memory; its path goes to `path`. NULL: none.
const void *_Nullable azulejo_image(const void *_Nonnull address, const char *_Nullable *_Nonnull path);

/// The lowest address of this thread's stack; 0 where the system does not say.
uintptr_t azulejo_stack_start(void);

/// Where the caller's stack stands.
static inline uintptr_t azulejo_stack_position(void) { return (uintptr_t)__builtin_frame_address(0); }

/// The return addresses of this thread's callers, nearest first, at most `limit`; how many. It follows frame pointers inside
/// the thread's stack: code that keeps none can hide callers, never crash the walk.
int azulejo_callers(uintptr_t *_Nonnull addresses, int limit);
