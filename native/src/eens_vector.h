/* Vector code: AVX2 on x86-64, found at run time, and NEON on 64-bit ARM, which always has it. Each
 * kernel exists as eens_KERNEL_avx2.c and eens_KERNEL_neon.c; the scalar code beside it is always
 * built, says what is right, and does what a kernel leaves over.
 *
 * 32-bit ARM stays scalar: its NEON flushes denormals. EENS_SMALL leaves the kernels out. SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_VECTOR_H
#define EENS_VECTOR_H

#include "eens_internal.h"

#if !defined(EENS_SMALL) && defined(__GNUC__) && EENS_LITTLE_ENDIAN
#if defined(__x86_64__)
#define EENS_AVX2 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define EENS_NEON 1
#endif
#endif

#if defined(EENS_AVX2) || defined(EENS_NEON)
#define EENS_VECTOR 1
#endif

/* Asked once a call and handed down, as the decoder keeps no state to remember it in. The compiler's
 * own record is read, not the CPUID instruction, which takes microseconds in a virtual machine. */
static inline bool eens_vector_is_there(void) {
#if defined(EENS_AVX2)
    return __builtin_cpu_supports("avx2") != 0;
#elif defined(EENS_NEON)
    return true;
#else
    return false;
#endif
}

/* The functions from here on are called only where the one above says yes. */

/* Fields of width bits, 1 to 8, sign-extended (eens_unpack_signed) or not, from the first bit of a
 * stream of size bytes on. Reads nothing behind the stream and so leaves its last fields over;
 * returns how many it unpacked, a multiple of 16, at most count. */
uint32_t eens_unpack_signed(const uint8_t *stream, uint32_t size, uint32_t count, uint32_t width,
                            int8_t *codes);
uint32_t eens_unpack_unsigned(const uint8_t *stream, uint32_t size, uint32_t count, uint32_t width,
                              uint8_t *fields);

/* What the values of a run of codes have in common. */
typedef struct eens_grid {
    int32_t zero_point;
    uint8_t type; /* EENS_FLOAT32 or EENS_FLOAT16 */
} eens_grid;

/* count codes, a multiple of 16, into values (S4.4), all with one scale or each with its own, as
 * floats in the file. codes may be the last count bytes of the output. */
void eens_scale_all(eens_grid grid, float scale, const int8_t *codes, uint32_t count, void *output);
void eens_scale_each(eens_grid grid, const uint8_t *scales, const int8_t *codes, uint32_t count,
                     void *output);

/* The same for int16: the codes themselves. */
void eens_widen(const int8_t *codes, uint32_t count, int16_t *output);

#endif
