/* eens_filter_fast.c with all sixteen rows in one register: half as many instructions a column. */
#include "eens_filter_fast.h"

#if defined(EENS_FILTER_FAST) && defined(EENS_AVX2)

#include "eens_avx2.h"

#define INLINE WITH_AVX2 static inline __attribute__((always_inline))
#define TILE EENS_TILE
#define HALF (EENS_FILTER_ROWS / 2)

/* As in eens_filter_fast.c. */
INLINE void rotate(__m128i *tile) {
    __m128i rotated[TILE];
    for (uint32_t i = 0; i < TILE / 2; i++) {
        rotated[2 * i] = _mm_unpacklo_epi8(tile[i], tile[i + TILE / 2]);
        rotated[2 * i + 1] = _mm_unpackhi_epi8(tile[i], tile[i + TILE / 2]);
    }
    memcpy(tile, rotated, sizeof rotated);
}

INLINE void load_tile(const size_t *rows_at, uint32_t width, const int8_t *codes, __m128i *tile) {
    for (uint32_t j = 0; j < HALF; j++) {
        uint64_t rows[2] = {0, 0};
        memcpy(&rows[0], codes + rows_at[j], width);
        memcpy(&rows[1], codes + rows_at[j + HALF], width);
        tile[j] = _mm_set_epi64x((int64_t)rows[1], (int64_t)rows[0]);
    }
    for (uint32_t i = 0; i < 4; i++) {
        rotate(tile);
    }
}

INLINE void store_tile(const size_t *rows_at, uint32_t width, __m128i *tile, int8_t *codes) {
    for (uint32_t i = 0; i < 3; i++) {
        rotate(tile);
    }
    for (uint32_t j = 0; j < HALF; j++) {
        uint64_t rows[2];
        memcpy(rows, &tile[j], sizeof rows);
        memcpy(codes + rows_at[j], &rows[0], width);
        memcpy(codes + rows_at[j + HALF], &rows[1], width);
    }
}

INLINE __m256i unfilter_column(uint32_t taps, bool is_near, const eens_ready_taps *of,
                               const eens_numbers *weights, __m128i residuals, __m256i nearest,
                               uint8_t *room) {
    __m256i sum = _mm256_slli_epi16(_mm256_cvtepi8_epi16(residuals), 8);
    sum = _mm256_add_epi16(sum, _mm256_set1_epi16(128));
    for (uint32_t t = taps; t-- != 0;) {
        __m128i weight;
        memcpy(&weight, &weights[t], sizeof weight);
        __m256i before = nearest;
        if (t != 0 || !is_near) {
            memcpy(&before, room - of->back[t], sizeof before);
        }
        __m256i both = _mm256_broadcastsi128_si256(weight);
        sum = _mm256_add_epi16(sum, _mm256_mullo_epi16(before, both));
    }
    sum = _mm256_srai_epi16(sum, 8);
    memcpy(room, &sum, sizeof sum);
    return sum;
}

INLINE __m256i unfilter_tile(uint32_t taps, bool is_near, const eens_ready_taps *of,
                             const eens_numbers (*weights)[EENS_TAPS], const uint8_t *sets,
                             const size_t *rows_at, uint32_t width, __m256i nearest,
                             uint8_t *room, int8_t *codes) {
    __m128i tile[TILE];
    load_tile(rows_at, width, codes, tile);
    for (uint32_t k = 0; k < width; k++, room += EENS_FILTER_COLUMN) {
        nearest = unfilter_column(taps, is_near, of, weights[sets[k]], tile[k], nearest, room);
        tile[k] = _mm_packs_epi16(_mm256_castsi256_si128(nearest),
                                  _mm256_extracti128_si256(nearest, 1));
    }
    store_tile(rows_at, width, tile, codes);
    return nearest;
}

INLINE void unfilter_rows(uint32_t taps, bool is_near, const eens_filter *filter,
                          const eens_ready_taps *of, const size_t *rows_at, uint8_t *room,
                          int8_t *codes) {
    __m256i nearest = _mm256_setzero_si256();
    const uint8_t *sets = filter->column_sets;
    uint32_t at = 0;
    for (; filter->columns - at >= TILE; at += TILE, room += TILE * EENS_FILTER_COLUMN) {
        nearest = unfilter_tile(taps, is_near, of, of->weights, sets + at, rows_at, TILE, nearest,
                                room, codes + at);
    }
    if (at < filter->columns) {
        unfilter_tile(taps, is_near, of, of->weights, sets + at, rows_at, filter->columns - at,
                      nearest, room, codes + at);
    }
}

/* Numbers of taps that are constants make better loops. */
WITH_AVX2 void eens_unfilter_rows_avx2(bool is_near, const eens_filter *filter,
                                       const eens_ready_taps *of, const size_t *rows_at,
                                       uint8_t *room, int8_t *codes) {
    if (!is_near) {
        unfilter_rows(of->count, false, filter, of, rows_at, room, codes);
        return;
    }
    switch (of->count) {
    case 1: unfilter_rows(1, true, filter, of, rows_at, room, codes); break;
    case 2: unfilter_rows(2, true, filter, of, rows_at, room, codes); break;
    case 3: unfilter_rows(3, true, filter, of, rows_at, room, codes); break;
    default: unfilter_rows(4, true, filter, of, rows_at, room, codes); break;
    }
}

#endif
