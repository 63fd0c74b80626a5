/* What the kernels for AVX2 share: how their functions are marked, and streamed stores.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_AVX2_H
#define EENS_AVX2_H

#include <immintrin.h>

#define WITH_AVX2 __attribute__((target("avx2")))

/* In halves: allocators align to 16 bytes, not to 32, and stores that complete the alignment would
 * share lines with streamed ones, which costs more than streaming brings. */
WITH_AVX2 static inline void eens_store_streamed(float *output, __m256 values) {
    _mm_stream_ps(output, _mm256_castps256_ps128(values));
    _mm_stream_ps(output + 4, _mm256_extractf128_ps(values, 1));
}

static inline bool eens_can_stream(const void *output) {
    return (uintptr_t)output % 16 == 0;
}

#endif
