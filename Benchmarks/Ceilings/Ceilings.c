#include "Ceilings.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static float read512(const float *s, size_t n) {
  __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    a = _mm512_add_ps(a, _mm512_loadu_ps(s + i));
    b = _mm512_add_ps(b, _mm512_loadu_ps(s + i + 16));
    c = _mm512_add_ps(c, _mm512_loadu_ps(s + i + 32));
    d = _mm512_add_ps(d, _mm512_loadu_ps(s + i + 48));
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
}

__attribute__((target("avx512f"))) static void copy512(float *t, const float *s, size_t n) {
  for (size_t i = 0; i < n; i += 16) _mm512_stream_ps(t + i, _mm512_loadu_ps(s + i));
  _mm_sfence();
}

__attribute__((target("avx512f"))) static void add512(float *t, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i += 16) _mm512_stream_ps(t + i, _mm512_add_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)));
  _mm_sfence();
}

__attribute__((target("avx512f"))) static double fma512(size_t rounds, float *sink) {
  __m512 x = _mm512_set1_ps(1.0001f), y = _mm512_set1_ps(1e-7f), a[24];
  for (int k = 0; k < 24; k++) a[k] = _mm512_set1_ps((float)k);
  for (size_t i = 0; i < rounds; i++) {
#pragma clang loop unroll(full)
    for (int k = 0; k < 24; k++) a[k] = _mm512_fmadd_ps(a[k], x, y);
  }
  for (int k = 1; k < 24; k++) a[0] = _mm512_add_ps(a[0], a[k]);
  *sink += _mm512_reduce_add_ps(a[0]);
  return (double)rounds * 24 * 16 * 2;
}

__attribute__((target("avx2,fma"))) static float read256(const float *s, size_t n) {
  __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
  for (size_t i = 0; i + 32 <= n; i += 32) {
    a = _mm256_add_ps(a, _mm256_loadu_ps(s + i));
    b = _mm256_add_ps(b, _mm256_loadu_ps(s + i + 8));
    c = _mm256_add_ps(c, _mm256_loadu_ps(s + i + 16));
    d = _mm256_add_ps(d, _mm256_loadu_ps(s + i + 24));
  }
  float out[8];
  _mm256_storeu_ps(out, _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)));
  return out[0] + out[1] + out[2] + out[3] + out[4] + out[5] + out[6] + out[7];
}

__attribute__((target("avx2,fma"))) static double fma256(size_t rounds, float *sink) {
  __m256 x = _mm256_set1_ps(1.0001f), y = _mm256_set1_ps(1e-7f), a[12];
  for (int k = 0; k < 12; k++) a[k] = _mm256_set1_ps((float)k);
  for (size_t i = 0; i < rounds; i++) {
#pragma clang loop unroll(full)
    for (int k = 0; k < 12; k++) a[k] = _mm256_fmadd_ps(a[k], x, y);
  }
  for (int k = 1; k < 12; k++) a[0] = _mm256_add_ps(a[0], a[k]);
  float out[8];
  _mm256_storeu_ps(out, a[0]);
  *sink += out[0];
  return (double)rounds * 12 * 8 * 2;
}

static void copy128(float *t, const float *s, size_t n) {
  for (size_t i = 0; i < n; i += 4) _mm_stream_ps(t + i, _mm_loadu_ps(s + i));
  _mm_sfence();
}

static void add128(float *t, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i += 4) _mm_stream_ps(t + i, _mm_add_ps(_mm_loadu_ps(a + i), _mm_loadu_ps(b + i)));
  _mm_sfence();
}

static int wide(void) { return __builtin_cpu_supports("avx512f"); }
static int middle(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

static float read_plain(const float *s, size_t n) {
  float a = 0, b = 0, c = 0, d = 0;
  for (size_t i = 0; i + 4 <= n; i += 4) a += s[i], b += s[i + 1], c += s[i + 2], d += s[i + 3];
  return a + b + c + d;
}

static double fma_plain(size_t rounds, float *sink) {
  float a[16];
  for (int k = 0; k < 16; k++) a[k] = (float)k;
  for (size_t i = 0; i < rounds; i++)
    for (int k = 0; k < 16; k++) a[k] = a[k] * 1.0001f + 1e-7f;
  for (int k = 0; k < 16; k++) *sink += a[k];
  return (double)rounds * 16 * 2;
}

float ceiling_read(const float *source, size_t count) {
#if defined(__x86_64__)
  if (wide()) return read512(source, count);
  if (middle()) return read256(source, count);
#endif
  return read_plain(source, count);
}

void ceiling_copy(float *target, const float *source, size_t count) {
#if defined(__x86_64__)
  if (wide()) copy512(target, source, count);
  else copy128(target, source, count);
#else
  for (size_t i = 0; i < count; i++) target[i] = source[i];
#endif
}

void ceiling_add(float *target, const float *a, const float *b, size_t count) {
#if defined(__x86_64__)
  if (wide()) add512(target, a, b, count);
  else add128(target, a, b, count);
#else
  for (size_t i = 0; i < count; i++) target[i] = a[i] + b[i];
#endif
}

double ceiling_fma(size_t rounds, float *sink) {
#if defined(__x86_64__)
  if (wide()) return fma512(rounds, sink);
  if (middle()) return fma256(rounds, sink);
#endif
  return fma_plain(rounds, sink);
}
