/* float32 to the 16-bit floats, in integers: the same on every machine, with or without an FPU. */
#include "eens_internal.h"

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

uint16_t eens_to_float16(float value) {
    uint32_t bits = bits_of(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude >= 0x47800000u) { /* 65536 and more */
        return (uint16_t)(sign | (magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u));
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

uint16_t eens_to_bfloat16(float value) {
    uint32_t bits = bits_of(value); /* a product of scale and code is never NaN (S4.4) */
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
