// What the machine can do: hand-written loops that move bytes or multiply, to hold kernels against.
// Not part of the product. Each works on one thread's share; the caller forks.
#pragma once
#include <stddef.h>

/// Reads `count` floats and gives something that depends on all of them.
float ceiling_read(const float *source, size_t count);
/// Copies past the caches (non-temporal stores); both 64-byte aligned, count a multiple of 16.
void ceiling_copy(float *target, const float *source, size_t count);
/// out = a + b with non-temporal stores.
void ceiling_add(float *target, const float *a, const float *b, size_t count);
/// Independent fused multiply-adds in registers; gives the floating operations done.
double ceiling_fma(size_t rounds, float *sink);
