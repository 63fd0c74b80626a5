/* Shared bits of up to four members (S8), 32 positions at a time. A digit's place in its stream is
 * the number of clusters before its position and the cluster's number, so four positions find their
 * digits within 16 bytes, and one shuffle fetches them. */
#include "eens_vector.h"

#if !defined(EENS_NO_SHARED) && defined(EENS_AVX2)

#include "eens_avx2.h"

/* Four vectors of 32-bit lanes, in each half of the register a matrix of 4 x 4. */
typedef struct quads {
    __m256i row[4];
} quads;

WITH_AVX2 static inline __m256i load(const uint8_t *bytes) {
    return _mm256_loadu_si256((const __m256i *)bytes);
}

WITH_AVX2 static inline __m256i look_up(const uint8_t *table, __m256i indices) {
    __m128i row = _mm_loadu_si128((const __m128i *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(row), indices);
}

WITH_AVX2 static inline quads transposed(quads from) {
    __m256i low01 = _mm256_unpacklo_epi32(from.row[0], from.row[1]);
    __m256i high01 = _mm256_unpackhi_epi32(from.row[0], from.row[1]);
    __m256i low23 = _mm256_unpacklo_epi32(from.row[2], from.row[3]);
    __m256i high23 = _mm256_unpackhi_epi32(from.row[2], from.row[3]);
    quads to = {{_mm256_unpacklo_epi64(low01, low23), _mm256_unpackhi_epi64(low01, low23),
                 _mm256_unpacklo_epi64(high01, high23), _mm256_unpackhi_epi64(high01, high23)}};
    return to;
}

/* The digits of 32 positions. Row k holds positions 4 k to 4 k + 3, member after member, and in its
 * upper half those 16 behind. */
WITH_AVX2 static inline quads fetch(const eens_share_table *table, const uint8_t *patterns,
                                    const uint8_t **digits) {
    __m256i indices = load(patterns);
    __m256i clusters = look_up(table->clusters, indices);
    /* Clusters of the positions before, among four: at most 12. */
    __m256i before = _mm256_mullo_epi32(clusters, _mm256_set1_epi32(0x01010100));
    quads places = {{before, _mm256_add_epi8(before, look_up(table->numbers[0], indices)),
                     _mm256_add_epi8(before, look_up(table->numbers[1], indices)),
                     _mm256_add_epi8(before, look_up(table->numbers[2], indices))}};
    uint32_t sums[8];
    _mm256_storeu_si256((__m256i *)sums,
                        _mm256_srli_epi32(_mm256_add_epi8(before, clusters), 24));
    const uint8_t *lower = *digits;
    const uint8_t *upper = lower + sums[0] + sums[1] + sums[2] + sums[3];
    places = transposed(places);
    EENS_UNROLL
    for (uint32_t k = 0; k < 4; k++) {
        __m256i window = _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)lower)),
            _mm_loadu_si128((const __m128i *)upper), 1);
        places.row[k] = _mm256_shuffle_epi8(window, places.row[k]);
        lower += sums[k];
        upper += sums[4 + k];
    }
    *digits = upper;
    return places;
}

/* levels is a constant wherever this is called. */
WITH_AVX2 EENS_ALWAYS_INLINE bool expand(eens_expansion *from, uint32_t levels, uint32_t count,
                                         int8_t *codes, uint32_t stride) {
    __m256i two = _mm256_set1_epi8(3);
    __m256i fault = _mm256_set1_epi8((char)from->base_fault);
    __m256i faults = _mm256_setzero_si256();
    const uint8_t *digits4 = from->digits[0];
    const uint8_t *digits8 = from->digits[1];
    for (uint32_t at = 0; at < count; at += EENS_EXPAND) {
        __m256i bases = load(from->bases + at);
        quads sums = {{faults, faults, faults, faults}};
        if (levels >= 2) {
            sums = fetch(from->table, from->patterns[0] + at, &digits4);
            EENS_UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                sums.row[k] = look_up(from->digit_codes, sums.row[k]);
            }
        }
        if (levels >= 3) {
            quads eights = fetch(from->table, from->patterns[1] + at, &digits8);
            EENS_UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                sums.row[k] = _mm256_add_epi8(sums.row[k], eights.row[k]);
            }
        }
        sums = transposed(sums);
        faults = _mm256_or_si256(
            faults, _mm256_and_si256(_mm256_and_si256(bases, _mm256_srli_epi16(bases, 1)), fault));
        EENS_UNROLL
        for (uint32_t m = 0; m < 4; m++) {
            __m256i base = look_up(from->base_codes, _mm256_and_si256(bases, two));
            if (levels >= 2) {
                base = _mm256_add_epi8(base, sums.row[m]);
            }
            _mm256_storeu_si256((__m256i *)(codes + (size_t)m * stride + at), base);
            bases = _mm256_srli_epi16(bases, 2);
        }
    }
    from->bases += count;
    from->patterns[0] += count;
    from->patterns[1] += count;
    from->digits[0] = digits4;
    from->digits[1] = digits8;
    return _mm256_testz_si256(faults, faults) != 0;
}

WITH_AVX2 bool eens_expand(eens_expansion *from, uint32_t count, int8_t *codes, uint32_t stride) {
    switch (from->levels) {
    case 1: return expand(from, 1, count, codes, stride);
    case 2: return expand(from, 2, count, codes, stride);
    default: return expand(from, 3, count, codes, stride);
    }
}

WITH_AVX2 uint32_t eens_count_clusters(const eens_share_table *table, const uint8_t *patterns,
                                       uint32_t count) {
    __m256i sums = _mm256_setzero_si256();
    uint64_t parts[4];
    uint32_t at = 0;
    for (; count - at >= 32; at += 32) {
        __m256i clusters = look_up(table->clusters, load(patterns + at));
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(clusters, _mm256_setzero_si256()));
    }
    _mm256_storeu_si256((__m256i *)parts, sums);
    uint32_t all = (uint32_t)(parts[0] + parts[1] + parts[2] + parts[3]);
    for (; at < count; at++) {
        all += table->clusters[patterns[at] & 15];
    }
    return all;
}

WITH_AVX2 uint8_t eens_largest(const uint8_t *bytes, uint32_t count) {
    uint8_t most = 0;
    uint32_t at = 0;
    if (count >= 32) {
        __m256i all = load(bytes + count - 32);
        for (; count - at >= 32; at += 32) {
            all = _mm256_max_epu8(all, load(bytes + at));
        }
        __m128i half =
            _mm_max_epu8(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        half = _mm_max_epu8(half, _mm_srli_si128(half, 8));
        half = _mm_max_epu8(half, _mm_srli_si128(half, 4));
        half = _mm_max_epu8(half, _mm_srli_si128(half, 2));
        half = _mm_max_epu8(half, _mm_srli_si128(half, 1));
        return (uint8_t)_mm_cvtsi128_si32(half);
    }
    for (uint32_t i = 0; i < count; i++) {
        most = bytes[i] > most ? bytes[i] : most;
    }
    return most;
}

#endif
