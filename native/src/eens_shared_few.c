/* Shared bits of up to four members (S8), twice as fast as eens_shared.c and in the end the same: a
 * position's members stand in the four 16-bit lanes of one word. EENS_SMALL leaves it out. */
#include "eens_internal.h"

#if !defined(EENS_NO_SHARED) && !defined(EENS_SMALL)

#define LANES(a, b, c, d) \
    ((uint64_t)(a) | (uint64_t)(b) << 16 | (uint64_t)(c) << 32 | (uint64_t)(d) << 48)
#define ONES LANES(1, 1, 1, 1)

/* Moves field m of four 2-bit fields to lane m. */
#define SPREAD ((uint64_t)1 | (uint64_t)1 << 14 | (uint64_t)1 << 28 | (uint64_t)1 << 42)

/* A pattern of four members: for each cluster the lanes of its members; a digit times that number
 * stands in all of them. */
typedef struct pattern {
    uint64_t lanes[4];
    uint32_t clusters; /* 0: no such pattern */
} pattern;

#define IN(r0, r1, r2, r3, j) LANES((r0) == (j), (r1) == (j), (r2) == (j), (r3) == (j))
#define PATTERN(r1, r2, r3, clusters) \
    {{IN(0, r1, r2, r3, 0), IN(0, r1, r2, r3, 1), IN(0, r1, r2, r3, 2), IN(0, r1, r2, r3, 3)}, \
     clusters}

static const pattern patterns[16] = {
    PATTERN(0, 0, 0, 1), PATTERN(0, 0, 1, 2), PATTERN(0, 1, 0, 2), PATTERN(0, 1, 1, 2),
    PATTERN(0, 1, 2, 3), PATTERN(1, 0, 0, 2), PATTERN(1, 0, 1, 2), PATTERN(1, 0, 2, 3),
    PATTERN(1, 1, 0, 2), PATTERN(1, 1, 1, 2), PATTERN(1, 1, 2, 3), PATTERN(1, 2, 0, 3),
    PATTERN(1, 2, 1, 3), PATTERN(1, 2, 2, 3), PATTERN(1, 2, 3, 4), {{0, 0, 0, 0}, 0},
};

/* The strings of two and three members, with zeros behind them, among those of four. */
static const uint8_t among_four[3][16] = {
    {0, 5},
    {0, 2, 5, 8, 11, 15, 15, 15},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

/* One level's streams and how to read them, in registers: stores of codes may alias all else. */
typedef struct level_reader {
    eens_stream patterns;
    eens_stream digits;
    const uint8_t *among;
    uint32_t pattern_bits;
    uint32_t width;
    uint64_t unit;
    uint64_t margin; /* added to digits, it carries those above the largest into bit width */
} level_reader;

static level_reader reader_of(const eens_shared *block, uint32_t level) {
    const eens_digit *kind = &block->kinds[level];
    level_reader reader = {block->patterns[level],
                           block->digits[level],
                           among_four[block->members - 2],
                           block->pattern_bits,
                           kind->width,
                           kind->unit,
                           ONES * ((1u << kind->width) - 1 - kind->most)};
    return reader;
}

/* The next position's digits of a level, times their unit. */
EENS_ALWAYS_INLINE uint64_t next_digits(level_reader *reader, uint32_t width, uint64_t *faults) {
    uint64_t mask = ((uint64_t)1 << width) - 1;
    uint64_t bits = eens_peek(&reader->patterns, reader->patterns.at);
    uint64_t word = eens_peek(&reader->digits, reader->digits.at);
    const pattern *found = &patterns[reader->among[bits & ((1u << reader->pattern_bits) - 1)]];
    uint64_t digits = (word & mask) * found->lanes[0] + (word >> width & mask) * found->lanes[1] +
                      (word >> 2 * width & mask) * found->lanes[2] +
                      (word >> 3 * width & mask) * found->lanes[3];
    *faults |= ((digits + reader->margin) >> width & ONES) | (found->clusters == 0);
    reader->patterns.at += reader->pattern_bits;
    reader->digits.at += found->clusters * width;
    return digits * reader->unit;
}

/* The codes asked for, of one position: the low byte of their lanes. */
static inline void store_codes(const eens_job *job, int8_t *output, size_t stride, uint64_t lanes) {
    if (job->copy_count == 4) {
        output[0] = (int8_t)lanes;
        output[stride] = (int8_t)(lanes >> 16);
        output[2 * stride] = (int8_t)(lanes >> 32);
        output[3 * stride] = (int8_t)(lanes >> 48);
        return;
    }
    for (uint32_t k = 0; k < job->copy_count; k++) {
        output[k * stride] = (int8_t)(lanes >> 16 * (job->first_copy + k));
    }
}

/* Called with constants for the levels and the widths of digits. */
EENS_ALWAYS_INLINE bool decode_run(eens_shared *block, uint32_t levels, uint32_t width4,
                                   uint32_t width8, uint32_t first, uint32_t count) {
    const eens_job *job = block->job;
    int8_t *output = job->output != NULL ? eens_codes(job, 0) : NULL;
    size_t stride = job->stride;
    eens_stream bases = block->bases;
    level_reader fours = reader_of(block, 0);
    level_reader eights = reader_of(block, 1);
    uint32_t width = 2 * block->members;
    uint64_t unit = block->planes ? 64 : 85;
    uint64_t margin = block->planes ? 0 : ONES; /* carries a field of 3 into bit 2 */
    uint64_t lowest = ONES * (uint64_t)(256 + eens_lowest_code(block->planes, levels));
    uint64_t faults = 0;
    for (uint32_t i = first; i < first + count; i++) {
        uint64_t fields = eens_peek(&bases, bases.at) & ((1u << width) - 1);
        uint64_t lanes = fields * SPREAD & 3 * ONES;
        faults |= (lanes + margin) >> 2 & ONES;
        lanes = lanes * unit + lowest;
        bases.at += width;
        if (levels >= 2) {
            lanes += next_digits(&fours, width4, &faults);
        }
        if (levels >= 3) {
            lanes += next_digits(&eights, width8, &faults);
        }
        if (output != NULL) {
            store_codes(job, output + i, stride, lanes);
        }
    }
    block->bases = bases;
    block->patterns[0] = fours.patterns;
    block->digits[0] = fours.digits;
    block->patterns[1] = eights.patterns;
    block->digits[1] = eights.digits;
    return faults == 0;
}

bool eens_shared_few(eens_shared *block, uint32_t levels, uint32_t first, uint32_t count) {
    const eens_job *job = block->job;
    switch (levels) {
    case 0:
        for (uint32_t k = 0; job->output != NULL && k < job->copy_count; k++) {
            memset(eens_codes(job, k) + first, 0, count);
        }
        return true;
    case 1: return decode_run(block, 1, 0, 0, first, count);
    case 2:
        return block->planes ? decode_run(block, 2, 2, 0, first, count)
                             : decode_run(block, 2, 3, 0, first, count);
    default:
        return block->planes ? decode_run(block, 3, 2, 4, first, count)
                             : decode_run(block, 3, 3, 5, first, count);
    }
}

#endif
