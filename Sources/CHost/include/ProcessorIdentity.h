// What the processor says about itself, without /proc: CPUID on x86, hwcap bits on AArch64 Linux.
// Not a feature list: Swift gives the bits their names. Surprise: on other processors every word is zero.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

/// eax, ebx, ecx, edx of a CPUID leaf; zeros where the leaf or the instruction does not exist.
static inline void azulejo_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t words[4]) {
  words[0] = words[1] = words[2] = words[3] = 0;
#if defined(__x86_64__)
  __get_cpuid_count(leaf, subleaf, &words[0], &words[1], &words[2], &words[3]);
#else
  (void)leaf, (void)subleaf;
#endif
}

/// XCR0: which register files the operating system saves. Call only if CPUID says OSXSAVE.
static inline uint64_t azulejo_xcr0(void) {
#if defined(__x86_64__)
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
#else
  return 0;
#endif
}

/// AT_HWCAP, or 0.
static inline uint64_t azulejo_hwcap(void) {
#if defined(__aarch64__) && defined(__linux__)
  return getauxval(AT_HWCAP);
#else
  return 0;
#endif
}

/// Makes freshly written machine code visible to instruction fetch; nothing to do on x86.
static inline void azulejo_clear_instruction_cache(void *begin, void *end) {
  __builtin___clear_cache((char *)begin, (char *)end);
}
