/* edgeens_host: the hot loops of the encoder (docs/SPEC.md, S8, S10.1), for Python alone.
 *
 * Built into the extension edgeens._host; no part of the decoder, and never in firmware. The caller
 * (edgeens/container) has checked every argument: codes lie within low..low + values - 1 and have a
 * codeword, classes are 0 to 7. SPDX-License-Identifier: Apache-2.0 */
#ifndef EDGEENS_HOST_H
#define EDGEENS_HOST_H

#include <stddef.h>
#include <stdint.h>

/* [cffi begin] */

/* One copy of a tensor, cut into blocks, and how its codes become symbols. */
typedef struct eens_host_copy {
    const int8_t *codes;
    size_t elements;
    size_t block_positions;
    uint32_t split_from;           /* a block of that many positions or more has 4 parts */
    uint32_t group;                /* g, 1 to 4 */
    int32_t low;
    uint32_t values;               /* A */
    uint32_t tables;               /* C; above 1 only with classes, and then group is 1 */
    const uint8_t *row_classes;    /* one for each of elements / columns rows, or NULL */
    const uint8_t *column_classes; /* one for each of columns */
    size_t columns;                /* B */
} eens_host_copy;

/* How often each symbol occurs: counts[table * values^group + symbol] is added to. */
void eens_host_count(const eens_host_copy *copy, uint64_t *counts);

/* The bytes of every part, in the order of the file. words[table * values^group + symbol] is the
 * codeword, first bit lowest, and its length << 16. */
void eens_host_measure(const eens_host_copy *copy, const uint32_t *words, uint32_t *part_sizes);

/* Write the code streams of all blocks (S10.1), one behind the other: the sizes of the parts but the
 * last, then the parts. part_sizes is what eens_host_measure found. */
void eens_host_pack(const eens_host_copy *copy, const uint32_t *words, const uint32_t *part_sizes,
                    uint8_t *out);

/* Sums of magnitudes of rows x columns codes: each row's is set, each column's is added to. */
void eens_host_magnitudes(const int8_t *codes, size_t rows, size_t columns, uint64_t *row_sums,
                          uint64_t *column_sums);

/* How often each code occurs, by the level of its row and of its column:
 * counts[(row_level * column_levels + column_level) * 256 + code + 128] is added to. */
void eens_host_count_levels(const int8_t *codes, size_t rows, size_t columns,
                            const uint8_t *row_levels, const uint8_t *column_levels_of,
                            size_t column_levels, uint64_t *counts);

/* Who shares a digit (S8), digits[member * positions + position]: the pattern of each position,
 * strings[member * positions + position]; its number of clusters; and the digit of each cluster,
 * position after position, for which opening has room for members * positions. Returns how many
 * those are. */
size_t eens_host_clusters(const int8_t *digits, size_t members, size_t positions, uint8_t *strings,
                          uint8_t *clusters, int8_t *opening);

/* [cffi end] */

#endif
