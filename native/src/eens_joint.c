/* The predictors of joint tensors (S10.3): residuals back into codes, row by row, so that compilers
 * make vector code of every loop. Bytes are added as unsigned numbers: modulo 256. */
#include "eens_entropy.h"
#include "eens_vector.h"
#if defined(EENS_AVX2)
#include "eens_avx2.h"
#endif

#if !defined(EENS_NO_JOINT) && !defined(EENS_SMALL) /* eens_joint_small.c */

/* Positions whose sums are kept at a time. */
#define CHUNK 256u

static inline int8_t plus(int8_t a, int32_t b) {
    return (int8_t)(uint8_t)((uint32_t)a + (uint32_t)b);
}

/* Predictor 1: each row plus member 0's. */
static void add_first(uint32_t members, uint32_t count, int8_t *codes) {
    for (uint32_t m = 1; m < members; m++) {
        int8_t *row = codes + (size_t)m * count;
        for (uint32_t i = 0; i < count; i++) {
            row[i] = plus(row[i], codes[i]);
        }
    }
}

/* Predictor 2, on codes u raised by 128, so from 0 to 255: of their sum S, which is s + 128m, and
 * t = 2S + m, from m to 511m, floor((2s + m) / 2m) is floor(t / 2m) - 128; so the raised code is
 * the residual plus floor(t / 2m), modulo 256. And without a division floor(t / 2m) =
 * t (floor(2^22 / 2m) + 1) >> 22, since t times the error of that factor, at most 511 x 63 x 126, is
 * below 2^22. The product stays below 2^31. Up to m = 8 the error is at most 511 x 8 x 16, and 2^16
 * will do: the upper half of a product of two numbers of 16 bits, for which even the oldest vector
 * units have an instruction. */
#define FEW 8u
#define RAISE 0x80u

EENS_ALWAYS_INLINE void add_mean_of_few(uint32_t m, uint32_t count, uint16_t *restrict sums,
                                        int8_t *restrict row) {
    const uint16_t factor = (uint16_t)((1u << 16) / (2 * m) + 1);
    const uint16_t more = (uint16_t)m;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t doubled = (uint16_t)(2u * sums[i] + more);
        uint8_t mean = (uint8_t)((uint32_t)doubled * factor >> 16);
        uint8_t raised = (uint8_t)((uint8_t)row[i] + mean);
        row[i] = (int8_t)(raised ^ RAISE);
        sums[i] = (uint16_t)(sums[i] + raised);
    }
}

EENS_ALWAYS_INLINE void add_mean(uint32_t m, uint32_t count, uint16_t *restrict sums, int8_t *restrict row) {
    const uint32_t factor = (1u << 22) / (2 * m) + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t mean = (uint8_t)((2u * sums[i] + m) * factor >> 22);
        uint8_t raised = (uint8_t)((uint8_t)row[i] + mean);
        row[i] = (int8_t)(raised ^ RAISE);
        sums[i] = (uint16_t)(sums[i] + raised);
    }
}

EENS_ALWAYS_INLINE void begin_sums(uint32_t count, uint16_t *restrict sums,
                                   const int8_t *restrict row) {
    for (uint32_t i = 0; i < count; i++) {
        sums[i] = (uint8_t)row[i] ^ RAISE;
    }
}

/* The sums are at most 63 x 255. */
EENS_ALWAYS_INLINE void add_means(uint32_t members, uint32_t count, int8_t *codes) {
    uint16_t sums[CHUNK];
    for (uint32_t at = 0; at < count; at += CHUNK) {
        uint32_t part = count - at < CHUNK ? count - at : CHUNK;
        begin_sums(part, sums, codes + at);
        for (uint32_t m = 1; m < members; m++) {
            int8_t *row = codes + (size_t)m * count + at;
            if (m <= FEW) {
                add_mean_of_few(m, part, sums, row);
            } else {
                add_mean(m, part, sums, row);
            }
        }
    }
}

#if defined(EENS_AVX2)
/* The same loops, twice as many codes in a register. */
WITH_AVX2 static void add_means_avx2(uint32_t members, uint32_t count, int8_t *codes) {
    add_means(members, count, codes);
}
#endif

static void undo_mean(uint32_t members, uint32_t count, int8_t *codes) {
#if defined(EENS_AVX2)
    if (eens_vector_is_there()) {
        add_means_avx2(members, count, codes);
        return;
    }
#endif
    add_means(members, count, codes);
}

/* One pair of predictor 3: l and d become the entries 2i and 2i + 1. */
static void unlift(uint32_t count, int8_t *restrict lower, int8_t *restrict difference) {
    for (uint32_t i = 0; i < count; i++) {
        int32_t d = difference[i];
        int32_t half = (int32_t)((uint32_t)(d + 256) >> 1) - 128; /* floor of d / 2 */
        lower[i] = plus(lower[i], -half);
        difference[i] = plus(lower[i], d);
    }
}

/* The length of the list of predictor 3 that steps more steps make of all members. */
static uint32_t list_size(uint32_t members, uint32_t steps) {
    return (members + (1u << steps) - 1) >> steps;
}

/* Rows stay where they are: a list of length a and the differences behind it, b - a rows, become
 * the list of length b. Its entry 2i is where entry i was, 2i + 1 where the difference was; the
 * last of an odd number is where the last was. */
static uint32_t entry_row(uint32_t members, uint32_t steps, uint32_t entry) {
    for (; entry != 0; steps++) {
        uint32_t shorter = list_size(members, steps + 1);
        if (entry % 2 != 0) {
            return shorter + entry / 2;
        }
        entry /= 2;
    }
    return 0;
}

/* Predictor 3. */
static void undo_transform(uint32_t members, uint32_t count, int8_t *codes) {
    uint32_t steps = 0;
    while (members > 1u << steps) {
        steps++;
    }
    while (steps-- != 0) {
        uint32_t pairs = list_size(members, steps) / 2;
        for (uint32_t i = 0; i < pairs; i++) {
            uint32_t lower = entry_row(members, steps, 2 * i);
            uint32_t difference = entry_row(members, steps, 2 * i + 1);
            unlift(count, codes + (size_t)lower * count, codes + (size_t)difference * count);
        }
    }
}

uint32_t eens_joint_row(const eens_tensor *tensor, uint32_t member) {
    return tensor->predictor == EENS_TRANSFORM ? entry_row(tensor->copies, 0, member) : member;
}

void eens_unpredict(const eens_tensor *tensor, uint32_t count, int8_t *codes) {
    switch (tensor->predictor) {
    case EENS_FIRST_MEMBER: add_first(tensor->copies, count, codes); break;
    case EENS_RUNNING_MEAN: undo_mean(tensor->copies, count, codes); break;
    case EENS_TRANSFORM: undo_transform(tensor->copies, count, codes); break;
    default: break; /* none */
    }
}

#endif
