/* Shared bits of up to four members (S8), 16 positions at a time. A digit's place in its stream is
 * the number of clusters before its position and the cluster's number, so four positions find their
 * digits within 16 bytes, and one table look-up fetches them. */
#include "eens_vector.h"

#if !defined(EENS_NO_SHARED) && defined(EENS_NEON)

#include <arm_neon.h>

/* A matrix of 4 x 4 lanes of 32 bits. */
typedef struct quads {
    uint8x16_t row[4];
} quads;

static inline quads transposed(quads from) {
    uint32x4_t row[4];
    EENS_UNROLL
    for (uint32_t k = 0; k < 4; k++) {
        row[k] = vreinterpretq_u32_u8(from.row[k]);
    }
    uint64x2_t low01 = vreinterpretq_u64_u32(vzip1q_u32(row[0], row[1]));
    uint64x2_t high01 = vreinterpretq_u64_u32(vzip2q_u32(row[0], row[1]));
    uint64x2_t low23 = vreinterpretq_u64_u32(vzip1q_u32(row[2], row[3]));
    uint64x2_t high23 = vreinterpretq_u64_u32(vzip2q_u32(row[2], row[3]));
    quads to = {{vreinterpretq_u8_u64(vzip1q_u64(low01, low23)),
                 vreinterpretq_u8_u64(vzip2q_u64(low01, low23)),
                 vreinterpretq_u8_u64(vzip1q_u64(high01, high23)),
                 vreinterpretq_u8_u64(vzip2q_u64(high01, high23))}};
    return to;
}

/* The table in registers. */
typedef struct share_rows {
    uint8x16_t numbers[3];
    uint8x16_t clusters;
} share_rows;

/* The digits of 16 positions: row k holds positions 4 k to 4 k + 3, member after member. */
static inline quads fetch(share_rows table, const uint8_t *patterns, const uint8_t **digits) {
    uint8x16_t indices = vld1q_u8(patterns);
    uint8x16_t clusters = vqtbl1q_u8(table.clusters, indices);
    /* Clusters of the positions before, among four: at most 12. */
    uint8x16_t before =
        vreinterpretq_u8_u32(vmulq_n_u32(vreinterpretq_u32_u8(clusters), 0x01010100u));
    quads places = {{before, vaddq_u8(before, vqtbl1q_u8(table.numbers[0], indices)),
                     vaddq_u8(before, vqtbl1q_u8(table.numbers[1], indices)),
                     vaddq_u8(before, vqtbl1q_u8(table.numbers[2], indices))}};
    uint8x16_t sums = vaddq_u8(before, clusters); /* of four positions: bytes 3, 7, 11, 15 */
    const uint8_t *first = *digits;
    const uint8_t *second = first + vgetq_lane_u8(sums, 3);
    const uint8_t *third = second + vgetq_lane_u8(sums, 7);
    const uint8_t *fourth = third + vgetq_lane_u8(sums, 11);
    *digits = fourth + vgetq_lane_u8(sums, 15);
    places = transposed(places);
    places.row[0] = vqtbl1q_u8(vld1q_u8(first), places.row[0]);
    places.row[1] = vqtbl1q_u8(vld1q_u8(second), places.row[1]);
    places.row[2] = vqtbl1q_u8(vld1q_u8(third), places.row[2]);
    places.row[3] = vqtbl1q_u8(vld1q_u8(fourth), places.row[3]);
    return places;
}

/* levels is a constant wherever this is called. */
EENS_ALWAYS_INLINE bool expand(eens_expansion *from, uint32_t levels, uint32_t count,
                               int8_t *codes, uint32_t stride) {
    const eens_share_table *given = from->table;
    share_rows table = {{vld1q_u8(given->numbers[0]), vld1q_u8(given->numbers[1]),
                         vld1q_u8(given->numbers[2])},
                        vld1q_u8(given->clusters)};
    uint8x16_t base_codes = vld1q_u8(from->base_codes);
    uint8x16_t digit_codes = vld1q_u8(from->digit_codes);
    uint8x16_t two = vdupq_n_u8(3);
    uint8x16_t faults = vdupq_n_u8(0);
    const uint8_t *digits4 = from->digits[0];
    const uint8_t *digits8 = from->digits[1];
    for (uint32_t at = 0; at < count; at += 16) {
        uint8x16_t bases = vld1q_u8(from->bases + at);
        uint8x16_t none = vdupq_n_u8(0);
        quads sums = {{none, none, none, none}};
        if (levels >= 2) {
            sums = fetch(table, from->patterns[0] + at, &digits4);
            EENS_UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                sums.row[k] = vqtbl1q_u8(digit_codes, sums.row[k]);
            }
        }
        if (levels >= 3) {
            quads eights = fetch(table, from->patterns[1] + at, &digits8);
            EENS_UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                sums.row[k] = vaddq_u8(sums.row[k], eights.row[k]);
            }
        }
        if (levels >= 2) {
            sums = transposed(sums);
        }
        faults = vorrq_u8(faults, vandq_u8(bases, vshrq_n_u8(bases, 1)));
        uint8x16_t fields[4] = {vandq_u8(bases, two), vandq_u8(vshrq_n_u8(bases, 2), two),
                                vandq_u8(vshrq_n_u8(bases, 4), two), vshrq_n_u8(bases, 6)};
        EENS_UNROLL
        for (uint32_t m = 0; m < 4; m++) {
            uint8x16_t sum = vaddq_u8(vqtbl1q_u8(base_codes, fields[m]), sums.row[m]);
            vst1q_u8((uint8_t *)codes + (size_t)m * stride + at, sum);
        }
    }
    from->bases += count;
    from->patterns[0] += count;
    from->patterns[1] += count;
    from->digits[0] = digits4;
    from->digits[1] = digits8;
    return vmaxvq_u8(vandq_u8(faults, vdupq_n_u8(from->base_fault))) == 0;
}

bool eens_expand(eens_expansion *from, uint32_t count, int8_t *codes, uint32_t stride) {
    switch (from->levels) {
    case 1: return expand(from, 1, count, codes, stride);
    case 2: return expand(from, 2, count, codes, stride);
    default: return expand(from, 3, count, codes, stride);
    }
}

uint32_t eens_count_clusters(const eens_share_table *table, const uint8_t *patterns,
                             uint32_t count) {
    uint8x16_t clusters = vld1q_u8(table->clusters);
    uint32x4_t sums = vdupq_n_u32(0);
    uint32_t at = 0;
    for (; count - at >= 16; at += 16) {
        uint8x16_t found = vqtbl1q_u8(clusters, vld1q_u8(patterns + at));
        sums = vpadalq_u16(sums, vpaddlq_u8(found));
    }
    uint32_t all = vaddvq_u32(sums);
    for (; at < count; at++) {
        all += table->clusters[patterns[at] & 15];
    }
    return all;
}

uint8_t eens_largest(const uint8_t *bytes, uint32_t count) {
    uint8_t most = 0;
    if (count >= 16) {
        uint8x16_t all = vld1q_u8(bytes + count - 16);
        for (uint32_t at = 0; count - at >= 16; at += 16) {
            all = vmaxq_u8(all, vld1q_u8(bytes + at));
        }
        return vmaxvq_u8(all);
    }
    for (uint32_t i = 0; i < count; i++) {
        most = bytes[i] > most ? bytes[i] : most;
    }
    return most;
}

#endif
