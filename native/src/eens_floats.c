/* float32 to the other floats, in integers: the same on every machine, with or without an FPU. The
 * loops have no branches, so that compilers make vector code of them. */
#include "eens_internal.h"

#if !defined(EENS_SMALL) /* eens_values_small.c */

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Any finite value. */
static uint16_t round_any(uint32_t bits) {
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude >= 0x47800000u) { /* 65536 and more */
        return (uint16_t)(sign | 0x7C00u);
    }
    if (magnitude < 0x38800000u) { /* below 2^-14: a multiple of 2^-24 */
        uint32_t shift = 126 - (magnitude >> 23);
        uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
        if (shift > 24) {
            return (uint16_t)sign; /* below 2^-25, half of the smallest */
        }
        mantissa += (1u << (shift - 1)) - 1 + (mantissa >> shift & 1);
        return (uint16_t)(sign | mantissa >> shift);
    }
    magnitude -= 0x38000000u; /* exponent bias 127 to 15 */
    magnitude += 0xFFFu + (magnitude >> 13 & 1); /* may carry up to infinity, as it should */
    return (uint16_t)(sign | magnitude >> 13);
}

void eens_to_float16(const float *restrict values, uint32_t count, uint16_t *restrict halves) {
    uint32_t others = 0; /* neither 0 nor of a float16's normal range */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = bits_of(values[i]);
        uint32_t magnitude = bits & 0x7FFFFFFFu;
        uint32_t rebased = magnitude - 0x38000000u;
        uint32_t half = (rebased + 0xFFFu + (rebased >> 13 & 1)) >> 13;
        others |= (magnitude != 0) & (magnitude - 0x38800000u >= 0x0F000000u);
        halves[i] = (uint16_t)((bits >> 16 & 0x8000u) | (magnitude != 0 ? half : 0));
    }
    for (uint32_t i = 0; others != 0 && i < count; i++) {
        halves[i] = round_any(bits_of(values[i]));
    }
}

void eens_to_bfloat16(const float *restrict values, uint32_t count, uint16_t *restrict halves) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = bits_of(values[i]); /* a product of scale and code is never NaN (S4.4) */
        halves[i] = (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
    }
}

void eens_to_double(const float *restrict values, uint32_t count, uint64_t *restrict bits) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = bits_of(values[i]);
        uint64_t magnitude = word & 0x7FFFFFFFu; /* 0 or normal: a code times a normal scale */
        uint64_t rebased = (magnitude << 29) + ((uint64_t)(1023 - 127) << 52);
        bits[i] = (word >> 31 << 63) | (magnitude != 0 ? rebased : 0);
    }
}

#endif
