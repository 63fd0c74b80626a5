/* Drawn members (S9), 32 positions at a time. */
#include "eens_vector.h"

#if !defined(EENS_NO_DRAWN) && defined(EENS_AVX2)

#include "eens_avx2.h"

/* The numbers of eens_split in all lanes. */
typedef struct split_rows {
    __m256i twice_largest, twice_levels, factor, limit_whole, limit_factor;
    __m128i shift; /* one less: the product's high half has 2^16 taken out, not 2^15 */
} split_rows;

WITH_AVX2 static inline split_rows rows_of(const eens_split *split) {
    split_rows rows = {_mm256_set1_epi16(split->twice_largest),
                       _mm256_set1_epi16(split->twice_levels),
                       _mm256_set1_epi16(split->factor),
                       _mm256_set1_epi16(split->limit_whole),
                       _mm256_set1_epi16(split->limit_factor),
                       _mm_cvtsi32_si128(split->shift - 1)};
    return rows;
}

WITH_AVX2 static inline void store(void *output, __m256i lanes) {
    _mm256_storeu_si256((__m256i *)output, lanes);
}

WITH_AVX2 static inline __m256i load(const void *bytes) {
    return _mm256_loadu_si256((const __m256i *)bytes);
}

/* Of sixteen parents: g, and the limits into memory. */
WITH_AVX2 static inline __m256i split16(const split_rows *rows, const int8_t *parents,
                                        uint32_t *limits, __m128i *most) {
    __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)parents);
    *most = _mm_max_epu8(*most, _mm_abs_epi8(codes));
    __m256i product = _mm256_mullo_epi16(_mm256_cvtepi8_epi16(codes), rows->twice_largest);
    __m256i odd = _mm256_sub_epi16(product, _mm256_set1_epi16(1));
    __m256i lower = _mm256_sra_epi16(_mm256_mulhi_epi16(odd, rows->factor), rows->shift);
    __m256i rest = _mm256_sub_epi16(product, _mm256_mullo_epi16(lower, rows->twice_levels));
    __m256i part = _mm256_mulhi_epi16(_mm256_add_epi16(rest, rest), rows->limit_factor);
    __m256i limit = _mm256_add_epi16(_mm256_mullo_epi16(rest, rows->limit_whole), part);
    __m256i ones = _mm256_set1_epi32(0xFFFF);
    EENS_UNROLL
    for (uint32_t k = 0; k < 2; k++) {
        __m128i half = k == 0 ? _mm256_castsi256_si128(limit) : _mm256_extracti128_si256(limit, 1);
        __m256i raised = _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
        store(limits + 8 * k, _mm256_or_si256(raised, ones));
    }
    return lower;
}

WITH_AVX2 static inline uint32_t largest(__m128i bytes) {
    bytes = _mm_max_epu8(bytes, _mm_srli_si128(bytes, 8));
    bytes = _mm_max_epu8(bytes, _mm_srli_si128(bytes, 4));
    bytes = _mm_max_epu8(bytes, _mm_srli_si128(bytes, 2));
    bytes = _mm_max_epu8(bytes, _mm_srli_si128(bytes, 1));
    return (uint32_t)_mm_cvtsi128_si32(bytes) & 255;
}

WITH_AVX2 uint32_t eens_split_codes(const eens_split *split, const int8_t *parents, uint32_t count,
                                    uint32_t *limits, int8_t *lower) {
    split_rows rows = rows_of(split);
    __m128i most = _mm_setzero_si128();
    for (uint32_t i = 0; i < count; i += 32) {
        __m256i first = split16(&rows, parents + i, limits + i, &most);
        __m256i second = split16(&rows, parents + i + 16, limits + i + 16, &most);
        store(lower + i, _mm256_permute4x64_epi64(_mm256_packs_epi16(first, second), 0xD8));
    }
    return largest(most);
}

WITH_AVX2 uint32_t eens_split_values(const eens_split *split, const int8_t *parents,
                                     uint32_t count, uint32_t *limits, float *lower,
                                     float *upper) {
    split_rows rows = rows_of(split);
    __m128i most = _mm_setzero_si128();
    __m256 scale = _mm256_set1_ps(split->scale);
    __m256 one = _mm256_set1_ps(1);
    for (uint32_t i = 0; i < count; i += 16) {
        __m256i codes = split16(&rows, parents + i, limits + i, &most);
        EENS_UNROLL
        for (uint32_t k = 0; k < 2; k++) {
            __m128i half =
                k == 0 ? _mm256_castsi256_si128(codes) : _mm256_extracti128_si256(codes, 1);
            __m256 whole = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(half));
            _mm256_storeu_ps(lower + i + 8 * k, _mm256_mul_ps(scale, whole));
            _mm256_storeu_ps(upper + i + 8 * k, _mm256_mul_ps(scale, _mm256_add_ps(whole, one)));
        }
    }
    return largest(most);
}

/* e M + s of the next eight positions. */
typedef struct words {
    __m256i next;
    __m256i step;
} words;

WITH_AVX2 static inline words words_of(eens_draw draw, uint32_t first) {
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i positions = _mm256_add_epi32(_mm256_set1_epi32((int32_t)first), lanes);
    __m256i multiplier = _mm256_set1_epi32((int32_t)draw.multiplier);
    words made = {_mm256_add_epi32(_mm256_mullo_epi32(positions, multiplier),
                                   _mm256_set1_epi32((int32_t)draw.offset)),
                  _mm256_slli_epi32(multiplier, 3)};
    return made;
}

/* x before mix's last step, which leaves the upper half, the odd member's word, as it is. */
WITH_AVX2 static inline __m256i mixed(words *from) {
    __m256i x = from->next;
    from->next = _mm256_add_epi32(x, from->step);
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x7FEB352D));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
    return _mm256_mullo_epi32(x, _mm256_set1_epi32((int32_t)0x846CA68Bu));
}

/* The last step, upside down: the even member's word in the upper half. What the lower halves hold
 * does not matter, as those of the limits are ones. */
WITH_AVX2 static inline __m256i even_words(__m256i x) {
    return _mm256_xor_si256(x, _mm256_slli_epi32(x, 16));
}

/* All ones where the word is at most the limit, both without sign. */
WITH_AVX2 static inline __m256i within(__m256i drawn, __m256i limits) {
    return _mm256_cmpeq_epi32(_mm256_max_epu32(drawn, limits), limits);
}

/* streamed is a constant wherever this is called. */
WITH_AVX2 EENS_ALWAYS_INLINE void draw_values(words from, uint32_t count, const uint32_t *limits,
                                              const float *lower, const float *upper,
                                              bool streamed, float *even, float *odd) {
    for (uint32_t i = 0; i < count; i += 8) {
        __m256i x = mixed(&from);
        __m256i limit = load(limits + i);
        __m256 low = _mm256_loadu_ps(lower + i);
        __m256 high = _mm256_loadu_ps(upper + i);
        __m256 evens =
            _mm256_blendv_ps(low, high, _mm256_castsi256_ps(within(even_words(x), limit)));
        __m256 odds = _mm256_blendv_ps(low, high, _mm256_castsi256_ps(within(x, limit)));
        if (streamed) {
            eens_store_streamed(even + i, evens);
            eens_store_streamed(odd + i, odds);
        } else {
            _mm256_storeu_ps(even + i, evens);
            _mm256_storeu_ps(odd + i, odds);
        }
    }
}

WITH_AVX2 void eens_draw_values(eens_draw draw, uint32_t first, uint32_t count,
                                const uint32_t *limits, const float *lower, const float *upper,
                                bool streamed, float *even, float *odd) {
    words from = words_of(draw, first);
    if (streamed && eens_can_stream(even) && eens_can_stream(odd)) {
        draw_values(from, count, limits, lower, upper, true, even, odd);
    } else {
        draw_values(from, count, limits, lower, upper, false, even, odd);
    }
}

/* The lowest byte of each lane. */
WITH_AVX2 static inline __m256i narrowed(const __m256i *lanes) {
    __m256i low = _mm256_packs_epi32(lanes[0], lanes[1]);
    __m256i high = _mm256_packs_epi32(lanes[2], lanes[3]);
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

WITH_AVX2 void eens_draw_codes(eens_draw draw, uint32_t first, uint32_t count,
                               const uint32_t *limits, const int8_t *lower, int8_t *even,
                               int8_t *odd) {
    words from = words_of(draw, first);
    for (uint32_t i = 0; i < count; i += 32) {
        __m256i low = load(lower + i);
        __m256i evens[4];
        __m256i odds[4];
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) { /* all ones, -1, where the code is g + 1 */
            __m256i x = mixed(&from);
            __m256i limit = load(limits + i + 8 * k);
            evens[k] = within(even_words(x), limit);
            odds[k] = within(x, limit);
        }
        store(even + i, _mm256_sub_epi8(low, narrowed(evens)));
        store(odd + i, _mm256_sub_epi8(low, narrowed(odds)));
    }
}

#endif
