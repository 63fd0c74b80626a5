/* What eens_filter_fast.c and eens_filter_avx2.c share: a filter (S10.4) ready for sixteen rows.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_FILTER_FAST_H
#define EENS_FILTER_FAST_H

#include "eens_entropy.h"
#include "eens_vector.h"

#if defined(EENS_FILTER_FAST)

#define EENS_TILE 8u /* columns */

typedef uint16_t eens_numbers __attribute__((vector_size(16)));

/* Weights: times 4, so that of a sum the upper byte is the number. */
typedef struct eens_ready_taps {
    eens_numbers weights[EENS_SETS][EENS_TAPS];
    size_t back[EENS_TAPS]; /* bytes from a column to that of the tap */
    size_t farthest;        /* of them */
    uint32_t count;
} eens_ready_taps;

#if defined(EENS_AVX2)
/* eens_filter_avx2.c: the rows whose first codes stand at these places. is_near: the first tap is the
 * column before. */
void eens_unfilter_rows_avx2(bool is_near, const eens_filter *filter, const eens_ready_taps *of,
                             const size_t *rows_at, uint8_t *room, int8_t *codes);
/* Of twice as many rows, in a room for so many columns, a multiple of 16 that is not below the farthest
 * tap, behind that for those that the taps reach. */
void eens_unfilter_more_rows_avx2(bool is_near, const eens_filter *filter,
                                  const eens_ready_taps *of, const size_t *rows_at,
                                  uint32_t again, uint8_t *room, int8_t *codes);
#endif

#endif
#endif
