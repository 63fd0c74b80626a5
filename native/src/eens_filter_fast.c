/* Filters (S10.4) on up to sixteen rows at a time. A number waits for the one before it in its row, but
 * not for those of other rows; so the numbers of one column go through the filter together, in 16
 * bits each: in two vector registers, of which one waits while the other works. The vectors are
 * those that gcc and clang have as types, on every machine; other compilers, and small builds, do
 * without this file. */
#include "eens_filter_fast.h"

#if defined(EENS_FILTER_FAST)

#define ROWS EENS_FILTER_ROWS
#define HALF (ROWS / 2)
#define TILE EENS_TILE
#define AGAIN 64u /* columns at least after which room is used again: to move some costs time */

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef eens_numbers numbers;
typedef int16_t signed_numbers __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED(a, b, ...) __builtin_shuffle(a, b, (bytes16){__VA_ARGS__})
#endif

static inline bytes16 low_halves(bytes16 a, bytes16 b) {
    return SHUFFLED(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static inline bytes16 high_halves(bytes16 a, bytes16 b) {
    return SHUFFLED(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

static inline numbers arithmetic_shift(numbers of, int count) {
    return (numbers)((signed_numbers)of >> count);
}

/* The address of a byte among the 128 has 7 bits: 3 of the vector, 4 in it. Interleaving the first
 * four vectors with the last four moves its first bit behind its last one. */
EENS_ALWAYS_INLINE void rotate(bytes16 *tile) {
    bytes16 rotated[TILE];
    for (uint32_t i = 0; i < TILE / 2; i++) {
        rotated[2 * i] = low_halves(tile[i], tile[i + TILE / 2]);
        rotated[2 * i + 1] = high_halves(tile[i], tile[i + TILE / 2]);
    }
    memcpy(tile, rotated, sizeof rotated);
}

/* Eight columns of sixteen rows, a vector each: rows j and j + 8 side by side have the address
 * (3 bits of j, 1 bit of j, 3 bits of the column), four rotations from (column, row). */
EENS_ALWAYS_INLINE void load_tile(const size_t *rows_at, uint32_t width, const int8_t *codes,
                                  bytes16 *tile) {
    for (uint32_t j = 0; j < HALF; j++) {
        uint8_t rows[2 * TILE] = {0};
        memcpy(rows, codes + rows_at[j], width);
        memcpy(rows + TILE, codes + rows_at[j + HALF], width);
        memcpy(&tile[j], rows, sizeof rows);
    }
    for (uint32_t i = 0; i < 4; i++) {
        rotate(tile);
    }
}

EENS_ALWAYS_INLINE void store_tile(const size_t *rows_at, uint32_t width, bytes16 *tile,
                                   int8_t *codes) {
    for (uint32_t i = 0; i < 3; i++) {
        rotate(tile);
    }
    for (uint32_t j = 0; j < HALF; j++) {
        uint8_t rows[2 * TILE];
        memcpy(rows, &tile[j], sizeof rows);
        memcpy(codes + rows_at[j], rows, width);
        memcpy(codes + rows_at[j + HALF], rows + TILE, width);
    }
}

/* Half of a column, into room behind those of the columns before it. residuals: times 256, weights: in
 * 1 / 256; of the sum only what is below 256 times 256 counts, so it may wrap. nearest: the column before, which is the
 * last to be known, where the first tap is that; so its turn comes last. */
EENS_ALWAYS_INLINE numbers unfilter_half(uint32_t taps, bool is_near, const eens_ready_taps *of,
                                         const numbers *weights, numbers residuals,
                                         numbers nearest, uint8_t *room) {
    numbers sum = residuals + 128;
    for (uint32_t t = taps; t-- != 0;) {
        numbers before = nearest;
        if (t != 0 || !is_near) {
            memcpy(&before, room - of->back[t], sizeof before);
        }
        sum += weights[t] * before;
    }
    sum = arithmetic_shift(sum, 8);
    memcpy(room, &sum, sizeof sum);
    return sum;
}

/* Up to eight columns of the rows. */
EENS_ALWAYS_INLINE void unfilter_tile(uint32_t taps, bool is_near, const eens_ready_taps *of,
                                      const uint8_t *sets, const size_t *rows_at, uint32_t width,
                                      numbers *nearest, uint8_t *room, int8_t *codes) {
    const bytes16 zeros = {0};
    bytes16 tile[TILE];
    load_tile(rows_at, width, codes, tile);
    for (uint32_t k = 0; k < width; k++, room += EENS_FILTER_COLUMN) {
        const numbers *weights = of->weights[sets[k]];
        /* A byte above a zero is 256 times the residual. */
        numbers lower = (numbers)low_halves(zeros, tile[k]);
        numbers upper = (numbers)high_halves(zeros, tile[k]);
        nearest[0] = unfilter_half(taps, is_near, of, weights, lower, nearest[0], room);
        nearest[1] =
            unfilter_half(taps, is_near, of, weights, upper, nearest[1], room + 2 * HALF);
        tile[k] = SHUFFLED((bytes16)nearest[0], (bytes16)nearest[1], 0, 2, 4, 6, 8, 10, 12, 14, 16,
                           18, 20, 22, 24, 26, 28, 30);
    }
    store_tile(rows_at, width, tile, codes);
}

/* Fewer than eight columns, at the end of the rows. */
EENS_OWN_FRAME void unfilter_last(const eens_filter *filter, const eens_ready_taps *of,
                                  const size_t *rows_at, uint32_t width, uint8_t *room,
                                  int8_t *codes) {
    numbers nearest[2] = {{0}, {0}};
    const uint8_t *sets = filter->column_sets + filter->columns - width;
    unfilter_tile(of->count, false, of, sets, rows_at, width, nearest, room, codes);
}

/* Whole rows, whose first codes stand at these places. */
EENS_ALWAYS_INLINE void unfilter_rows(uint32_t taps, bool is_near, const eens_filter *filter,
                                      const eens_ready_taps *of, const size_t *rows_at, uint8_t *room,
                                      int8_t *codes) {
    numbers nearest[2] = {{0}, {0}};
    const uint8_t *sets = filter->column_sets;
    uint32_t columns = filter->columns;
    uint32_t at = 0;
    for (; columns - at >= TILE; at += TILE, room += TILE * EENS_FILTER_COLUMN) {
        unfilter_tile(taps, is_near, of, sets + at, rows_at, TILE, nearest, room, codes + at);
    }
    if (at < columns) {
        unfilter_last(filter, of, rows_at, columns - at, room, codes + at);
    }
}

static void unfilter_near_rows(const eens_filter *filter, const eens_ready_taps *of,
                               const size_t *rows_at, uint8_t *room, int8_t *codes) {
    switch (of->count) {
    case 1: unfilter_rows(1, true, filter, of, rows_at, room, codes); break;
    case 2: unfilter_rows(2, true, filter, of, rows_at, room, codes); break;
    case 3: unfilter_rows(3, true, filter, of, rows_at, room, codes); break;
    default: unfilter_rows(4, true, filter, of, rows_at, room, codes); break;
    }
}

/* Fewer than sixteen rows too: the last of them stands for those that are not there, whose numbers
 * are then its own. */
static void unfilter_some_rows(const eens_filter *filter, const eens_ready_taps *of, uint32_t count,
                               uint8_t *room, int8_t *codes) {
    size_t rows_at[ROWS];
    for (uint32_t j = 0; j < ROWS; j++) {
        rows_at[j] = (size_t)(j < count ? j : count - 1) * filter->columns;
    }
    bool is_near = of->count != 0 && of->back[0] == EENS_FILTER_COLUMN;
#if defined(EENS_AVX2)
    if (eens_vector_is_there()) {
        eens_unfilter_rows_avx2(is_near, filter, of, rows_at, room, codes);
        return;
    }
#endif
    if (is_near) {
        unfilter_near_rows(filter, of, rows_at, room, codes);
    } else {
        unfilter_rows(of->count, false, filter, of, rows_at, room, codes);
    }
}

/* Taps that can reach nothing in a row are left out. */
static void make_ready(const eens_filter *filter, const eens_taps *taps, eens_ready_taps *of) {
    of->count = 0;
    of->farthest = 0;
    for (uint32_t t = 0; t < EENS_TAPS; t++) {
        size_t back = (size_t)taps->lags[t] * EENS_FILTER_COLUMN;
        if (taps->lags[t] - 1u >= filter->columns - 1) {
            continue;
        }
        for (uint32_t set = 0; set < eens_filter_sets(filter); set++) {
            uint16_t weight = (uint16_t)(4 * taps->weights[set][t]);
            of->weights[set][of->count] = (numbers){0} + weight;
        }
        of->farthest = back > of->farthest ? back : of->farthest;
        of->back[of->count++] = back;
    }
}

#if defined(EENS_AVX2)
/* Rounds of twice as many rows, while there are more than sixteen and the taps do not reach too far:
 * a number then takes up twice the room, of which there are 2 x columns for single ones. */
static uint32_t unfilter_more_rows(const eens_filter *filter, const eens_ready_taps *of,
                                   uint32_t rows, int8_t *codes) {
    uint32_t farthest = (uint32_t)(of->farthest / EENS_FILTER_COLUMN);
    uint32_t again = (farthest + EENS_FILTER_WIDTH - 1) / EENS_FILTER_WIDTH * EENS_FILTER_WIDTH;
    uint8_t *room = filter->past + 2 * of->farthest;
    bool is_near = of->count != 0 && of->back[0] == EENS_FILTER_COLUMN;
    uint32_t row = 0;
    again = again > AGAIN ? again : AGAIN;
    if (!eens_vector_is_there() || farthest + again > filter->columns) {
        return 0;
    }
    for (; rows - row > ROWS; row += 2 * ROWS < rows - row ? 2 * ROWS : rows - row) {
        size_t rows_at[2 * ROWS];
        uint32_t count = rows - row;
        for (uint32_t j = 0; j < 2 * ROWS; j++) {
            rows_at[j] = (size_t)(row + (j < count ? j : count - 1)) * filter->columns;
        }
        memset(filter->past, 0, 2 * of->farthest);
        eens_unfilter_more_rows_avx2(is_near, filter, of, rows_at, again, room, codes);
    }
    return row;
}
#endif

uint32_t eens_unfilter_rows(const eens_filter *filter, const eens_taps *taps, uint32_t count,
                            int8_t *codes) {
    eens_ready_taps of;
    uint32_t rows = count / filter->columns;
    if (filter->columns > EENS_FILTER_WIDEST) {
        return 0;
    }
    make_ready(filter, taps, &of);
    uint32_t row = 0;
#if defined(EENS_AVX2)
    row = unfilter_more_rows(filter, &of, rows, codes);
#endif
    /* What stands before the rows counts as 0. */
    uint8_t *room = filter->past + (size_t)filter->columns * EENS_FILTER_COLUMN;
    memset(room - of.farthest, 0, of.farthest);
    for (; row < rows; row += ROWS) {
        uint32_t part = rows - row < ROWS ? rows - row : ROWS;
        unfilter_some_rows(filter, &of, part, room, codes + (size_t)row * filter->columns);
    }
    return rows * filter->columns;
}
#endif
