/* eens_filter_fast.c with all sixteen rows in one register, and sixteen columns at a time: half as many
 * instructions a column. */
#include "eens_filter_fast.h"

#if defined(EENS_FILTER_FAST) && defined(EENS_AVX2)

#include "eens_avx2.h"

#define INLINE WITH_AVX2 static inline __attribute__((always_inline))
#define WIDTH EENS_FILTER_WIDTH /* columns of a tile */
#define TILE 8u                 /* its registers: rows j and j + 8 in the halves of each */
#define HALF (EENS_FILTER_ROWS / 2)
#define GROUPS 2u

/* In each half of the registers, as in eens_filter_fast.c. */
INLINE void rotate(__m256i *tile) {
    __m256i rotated[TILE];
    for (uint32_t i = 0; i < TILE / 2; i++) {
        rotated[2 * i] = _mm256_unpacklo_epi8(tile[i], tile[i + TILE / 2]);
        rotated[2 * i + 1] = _mm256_unpackhi_epi8(tile[i], tile[i + TILE / 2]);
    }
    memcpy(tile, rotated, sizeof rotated);
}

/* Of a byte among a half's 128 the address is 3 bits of the row, 4 of the column: three rotations make
 * it 4 of the column, 3 of the row, so that a register holds two columns; four more bring it back. */
INLINE void load_tile(const size_t *rows_at, const int8_t *codes, __m256i *tile) {
    for (uint32_t j = 0; j < HALF; j++) {
        __m128i lower, upper;
        memcpy(&lower, codes + rows_at[j], WIDTH);
        memcpy(&upper, codes + rows_at[j + HALF], WIDTH);
        tile[j] = _mm256_inserti128_si256(_mm256_castsi128_si256(lower), upper, 1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        rotate(tile);
    }
}

INLINE void store_tile(const size_t *rows_at, __m256i *tile, int8_t *codes) {
    for (uint32_t i = 0; i < 4; i++) {
        rotate(tile);
    }
    for (uint32_t j = 0; j < HALF; j++) {
        __m128i lower = _mm256_castsi256_si128(tile[j]);
        __m128i upper = _mm256_extracti128_si256(tile[j], 1);
        memcpy(codes + rows_at[j], &lower, WIDTH);
        memcpy(codes + rows_at[j + HALF], &upper, WIDTH);
    }
}

/* One column of some groups of sixteen rows, whose numbers stand behind each other in the room. residuals:
 * 256 times those of the rows, plus 128. The numbers become the nearest. */
INLINE void unfilter_column(uint32_t groups, uint32_t taps, bool is_near,
                            const eens_ready_taps *of, const eens_numbers *weights,
                            const __m256i *residuals, __m256i *nearest, uint8_t *room) {
    __m256i sums[GROUPS];
    memcpy(sums, residuals, groups * sizeof *sums);
    for (uint32_t t = taps; t-- != 0;) {
        __m128i weight;
        memcpy(&weight, &weights[t], sizeof weight);
        __m256i both = _mm256_broadcastsi128_si256(weight);
        for (uint32_t g = 0; g < groups; g++) {
            __m256i before = nearest[g];
            if (t != 0 || !is_near) {
                memcpy(&before, room - groups * of->back[t] + g * EENS_FILTER_COLUMN,
                       sizeof before);
            }
            sums[g] = _mm256_add_epi16(sums[g], _mm256_mullo_epi16(before, both));
        }
    }
    for (uint32_t g = 0; g < groups; g++) {
        nearest[g] = _mm256_srai_epi16(sums[g], 8);
        memcpy(room + g * EENS_FILTER_COLUMN, &nearest[g], sizeof *nearest);
    }
}

INLINE void unfilter_tile(uint32_t groups, uint32_t taps, bool is_near, const eens_ready_taps *of,
                          const uint8_t *sets, const size_t *rows_at, __m256i *nearest,
                          uint8_t *room, int8_t *codes) {
    const __m256i half = _mm256_set1_epi16(-0x7F80); /* below a residual: 128 */
    __m256i tiles[GROUPS][TILE], residuals[GROUPS], first[GROUPS];
    for (uint32_t g = 0; g < groups; g++) {
        load_tile(rows_at + g * EENS_FILTER_ROWS, codes, tiles[g]);
    }
    for (uint32_t i = 0; i < TILE; i++, sets += 2, room += 2 * groups * EENS_FILTER_COLUMN) {
        for (uint32_t g = 0; g < groups; g++) {
            residuals[g] = _mm256_unpacklo_epi8(half, tiles[g][i]);
        }
        unfilter_column(groups, taps, is_near, of, of->weights[sets[0]], residuals, nearest, room);
        memcpy(first, nearest, sizeof first);
        for (uint32_t g = 0; g < groups; g++) {
            residuals[g] = _mm256_unpackhi_epi8(half, tiles[g][i]);
        }
        unfilter_column(groups, taps, is_near, of, of->weights[sets[1]], residuals, nearest,
                        room + groups * EENS_FILTER_COLUMN);
        for (uint32_t g = 0; g < groups; g++) {
            tiles[g][i] = _mm256_packs_epi16(first[g], nearest[g]);
        }
    }
    for (uint32_t g = 0; g < groups; g++) {
        store_tile(rows_at + g * EENS_FILTER_ROWS, tiles[g], codes);
    }
}

/* Fewer columns, at the end of the rows: in a tile of their own. */
INLINE void unfilter_last(uint32_t groups, uint32_t taps, bool is_near, const eens_filter *filter,
                          const eens_ready_taps *of, const size_t *rows_at, uint32_t width,
                          __m256i *nearest, uint8_t *room, int8_t *codes) {
    int8_t some[GROUPS * EENS_FILTER_ROWS * WIDTH] = {0};
    uint8_t sets[WIDTH] = {0};
    size_t places[GROUPS * EENS_FILTER_ROWS];
    memcpy(sets, filter->column_sets + filter->columns - width, width);
    for (uint32_t j = 0; j < groups * EENS_FILTER_ROWS; j++) {
        places[j] = (size_t)j * WIDTH;
        memcpy(some + places[j], codes + rows_at[j], width);
    }
    unfilter_tile(groups, taps, is_near, of, sets, places, nearest, room, some);
    for (uint32_t j = 0; j < groups * EENS_FILTER_ROWS; j++) {
        memcpy(codes + rows_at[j], some + places[j], width);
    }
}

/* Two groups wait for each other's numbers less than for their own. The room is then used over again,
 * so that it stays in the nearest cache: what the taps reach moves before the first column. */
INLINE void unfilter_rows(uint32_t groups, uint32_t taps, bool is_near, const eens_filter *filter,
                          const eens_ready_taps *of, const size_t *rows_at, uint32_t again,
                          uint8_t *room, int8_t *codes) {
    const size_t farthest = groups * of->farthest;
    __m256i nearest[GROUPS] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    uint8_t *next = room;
    uint32_t at = 0;
    for (; filter->columns - at >= WIDTH; at += WIDTH) {
        unfilter_tile(groups, taps, is_near, of, filter->column_sets + at, rows_at, nearest, next,
                      codes + at);
        next += groups * WIDTH * EENS_FILTER_COLUMN;
        if (next == room + (size_t)again * groups * EENS_FILTER_COLUMN) {
            memcpy(room - farthest, next - farthest, farthest);
            next = room;
        }
    }
    if (at < filter->columns) {
        unfilter_last(groups, taps, is_near, filter, of, rows_at, filter->columns - at, nearest,
                      next, codes + at);
    }
}

/* Numbers of taps that are constants make better loops. */
INLINE void unfilter_groups(uint32_t groups, bool is_near, const eens_filter *filter,
                            const eens_ready_taps *of, const size_t *rows_at, uint32_t again,
                            uint8_t *room, int8_t *codes) {
    if (!is_near) {
        unfilter_rows(groups, of->count, false, filter, of, rows_at, again, room, codes);
        return;
    }
    switch (of->count) {
    case 1: unfilter_rows(groups, 1, true, filter, of, rows_at, again, room, codes); break;
    case 2: unfilter_rows(groups, 2, true, filter, of, rows_at, again, room, codes); break;
    case 3: unfilter_rows(groups, 3, true, filter, of, rows_at, again, room, codes); break;
    default: unfilter_rows(groups, 4, true, filter, of, rows_at, again, room, codes); break;
    }
}

WITH_AVX2 void eens_unfilter_rows_avx2(bool is_near, const eens_filter *filter,
                                       const eens_ready_taps *of, const size_t *rows_at,
                                       uint8_t *room, int8_t *codes) {
    unfilter_groups(1, is_near, filter, of, rows_at, 0, room, codes);
}

WITH_AVX2 void eens_unfilter_more_rows_avx2(bool is_near, const eens_filter *filter,
                                            const eens_ready_taps *of, const size_t *rows_at,
                                            uint32_t again, uint8_t *room, int8_t *codes) {
    unfilter_groups(GROUPS, is_near, filter, of, rows_at, again, room, codes);
}

#endif
