/* Codes to values (S4.4), 16 at a time: the scalar code's one product, in the same order. */
#include "eens_vector.h"

#if defined(EENS_AVX2)

#include "eens_avx2.h"

/* The integer arithmetic of eens_to_float16: 0 and the normal range of a float16. others: lanes
 * with anything else. A 32-bit lane keeps its half in the lower 16 bits. */
WITH_AVX2 static inline __m256i to_half(__m256 values, __m256i *others) {
    __m256i bits = _mm256_castps_si256(values);
    __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
    __m256i rebased = _mm256_sub_epi32(magnitude, _mm256_set1_epi32(0x38000000));
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(rebased, 13), _mm256_set1_epi32(1));
    __m256i half = _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(rebased, _mm256_set1_epi32(0xFFF)), odd), 13);
    __m256i is_zero = _mm256_cmpeq_epi32(magnitude, _mm256_setzero_si256());
    __m256i is_low = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x38800000), magnitude);
    __m256i is_high = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x477FFFFF));
    *others = _mm256_or_si256(*others,
                              _mm256_or_si256(_mm256_andnot_si256(is_zero, is_low), is_high));
    __m256i sign = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x8000));
    return _mm256_or_si256(sign, _mm256_andnot_si256(is_zero, half));
}

WITH_AVX2 static inline void store_halves(uint16_t *output, __m256 low, __m256 high) {
    __m256i others = _mm256_setzero_si256();
    __m256i first = to_half(low, &others);
    __m256i both = _mm256_packus_epi32(first, to_half(high, &others));
    if (_mm256_testz_si256(others, others)) {
        _mm256_storeu_si256((__m256i *)output, _mm256_permute4x64_epi64(both, 0xD8));
        return;
    }
    float values[16];
    _mm256_storeu_ps(values, low);
    _mm256_storeu_ps(values + 8, high);
    eens_to_float16(values, 16, output);
}

WITH_AVX2 static inline __m256 values_of(const int8_t *codes, __m256i zero_point, __m256 scale) {
    __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)codes));
    return _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_sub_epi32(wide, zero_point)));
}

WITH_AVX2 static void scale_floats(__m256i zero_point, __m256 scale, const int8_t *codes,
                                   uint32_t count, float *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        __m256 low = values_of(codes + i, zero_point, scale);
        __m256 high = values_of(codes + i + 8, zero_point, scale);
        _mm256_storeu_ps(output + i, low);
        _mm256_storeu_ps(output + i + 8, high);
    }
}

WITH_AVX2 static void stream_floats(__m256i zero_point, __m256 scale, const int8_t *codes,
                                    uint32_t count, float *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        eens_store_streamed(output + i, values_of(codes + i, zero_point, scale));
        eens_store_streamed(output + i + 8, values_of(codes + i + 8, zero_point, scale));
    }
}

WITH_AVX2 static void scale_halves(__m256i zero_point, __m256 scale, const int8_t *codes,
                                   uint32_t count, uint16_t *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        store_halves(output + i, values_of(codes + i, zero_point, scale),
                     values_of(codes + i + 8, zero_point, scale));
    }
}

WITH_AVX2 void eens_scale_all(eens_grid grid, float scale, const int8_t *codes, uint32_t count,
                              void *output) {
    __m256i zero_point = _mm256_set1_epi32(grid.zero_point);
    __m256 factor = _mm256_set1_ps(scale);
    if (grid.type == EENS_FLOAT16) {
        scale_halves(zero_point, factor, codes, count, output);
    } else if (grid.way == EENS_STREAMED && eens_can_stream(output)) {
        stream_floats(zero_point, factor, codes, count, output);
    } else {
        scale_floats(zero_point, factor, codes, count, output);
    }
}

WITH_AVX2 void eens_scale_each(eens_grid grid, const uint8_t *scales, const int8_t *codes,
                               uint32_t count, void *output) {
    __m256i zero_point = _mm256_set1_epi32(grid.zero_point);
    for (uint32_t i = 0; i < count; i += 16) {
        const uint8_t *at = scales + 4 * (size_t)i;
        __m256i low_scale = _mm256_loadu_si256((const __m256i *)(const void *)at);
        __m256i high_scale = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
        __m256 low = values_of(codes + i, zero_point, _mm256_castsi256_ps(low_scale));
        __m256 high = values_of(codes + i + 8, zero_point, _mm256_castsi256_ps(high_scale));
        if (grid.type == EENS_FLOAT16) {
            store_halves((uint16_t *)output + i, low, high);
        } else {
            _mm256_storeu_ps((float *)output + i, low);
            _mm256_storeu_ps((float *)output + i + 8, high);
        }
    }
}

WITH_AVX2 void eens_widen(const int8_t *codes, uint32_t count, int16_t *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        __m128i both = _mm_loadu_si128((const __m128i *)(codes + i));
        _mm256_storeu_si256((__m256i *)(output + i), _mm256_cvtepi8_epi16(both));
    }
}

#endif
