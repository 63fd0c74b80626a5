/* Vector code: AVX2 on x86-64, found at run time, and NEON on 64-bit ARM, which always has it. Each
 * kernel exists as eens_KERNEL_avx2.c and eens_KERNEL_neon.c; the scalar code beside it is always
 * built, says what is right, and does what a kernel leaves over.
 *
 * 32-bit ARM stays scalar: its NEON flushes denormals. EENS_SMALL and EENS_NO_VECTOR leave
 * the kernels out.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_VECTOR_H
#define EENS_VECTOR_H

#include "eens_internal.h"

#if !defined(EENS_SMALL) && !defined(EENS_NO_VECTOR) && defined(__GNUC__) && EENS_LITTLE_ENDIAN
#if defined(__x86_64__)
#define EENS_AVX2 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define EENS_NEON 1
#endif
#endif

#if defined(EENS_AVX2) || defined(EENS_NEON)
#define EENS_VECTOR 1
#endif

/* Before loops over four registers, which gcc at -O2 would keep as loops over memory. */
#if defined(__clang__)
#define EENS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define EENS_UNROLL _Pragma("GCC unroll 4")
#endif

/* How values are made, from slow to fast. Streamed: past the caches, as memcpy writes what is too
 * large for them; stores of x86-64 otherwise read every line before they overwrite it. */
enum { EENS_BY_SCALAR = 0, EENS_BY_VECTOR = 1, EENS_STREAMED = 2 };

/* Outputs from here on do not fit beside what else is in a cache that cores share. */
#define EENS_WORTH_STREAMING ((uint64_t)16 << 20)

/* Asked once a call and handed down, as the decoder keeps no state to remember it in. It reads the
 * compiler's own record; the CPUID instruction takes microseconds in a virtual machine. */
static inline bool eens_vector_is_there(void) {
#if defined(EENS_AVX2)
    return __builtin_cpu_supports("avx2") != 0;
#elif defined(EENS_NEON)
    return true;
#else
    return false;
#endif
}

static inline uint8_t eens_way(uint64_t output_size) {
    return !eens_vector_is_there()                 ? EENS_BY_SCALAR
           : output_size >= EENS_WORTH_STREAMING ? EENS_STREAMED
                                                   : EENS_BY_VECTOR;
}

/* Streamed stores are in order with those that follow only after this. */
static inline void eens_way_end(uint8_t way) {
#if defined(EENS_AVX2)
    if (way == EENS_STREAMED) {
        __builtin_ia32_sfence();
    }
#else
    (void)way;
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
/* The same into the lowest bits of codes, which rise by the width (S10.5). */
uint32_t eens_unpack_below(const uint8_t *stream, uint32_t size, uint32_t count, uint32_t width,
                           int8_t *codes);

/* What the values of a run of codes have in common. */
typedef struct eens_grid {
    int32_t zero_point;
    uint8_t type; /* EENS_FLOAT32 or EENS_FLOAT16 */
    uint8_t way;  /* EENS_STREAMED only if codes are not in the output */
} eens_grid;

/* count codes, a multiple of 16, into values (S4.4), all with one scale or each with its own, as
 * floats in the file. codes may be the last count bytes of the output. */
void eens_scale_all(eens_grid grid, float scale, const int8_t *codes, uint32_t count, void *output);
void eens_scale_each(eens_grid grid, const uint8_t *scales, const int8_t *codes, uint32_t count,
                     void *output);

/* The same for int16: the codes themselves. */
void eens_widen(const int8_t *codes, uint32_t count, int16_t *output);

/* The largest of count bytes; 0: none. */
uint8_t eens_largest(const uint8_t *bytes, uint32_t count);

/* Shared bits (S8). Patterns come as bytes, as indices in the list of S8. By index: the cluster of
 * member 1, 2 and 3, and how many clusters there are; what is no pattern counts as one. */
typedef struct eens_share_table {
    uint8_t numbers[3][16];
    uint8_t clusters[16];
} eens_share_table;

#define EENS_EXPAND 32u /* positions expanded at a time */

/* Bytes, a position or a digit each, that become codes. Level 4 is [0], level 8 is [1]. */
typedef struct eens_expansion {
    const eens_share_table *table;
    const uint8_t *bases;       /* the fields of a position, 2 bits a member */
    const uint8_t *patterns[2];
    const uint8_t *digits[2];   /* 16 bytes behind the last may be read */
    uint8_t base_codes[16];     /* by base field: what it adds to a code, less what is absent */
    uint8_t digit_codes[16];    /* by digit of level 4 */
    uint8_t base_fault;         /* 0x55 if the field 3 is a fault, else 0 */
    uint32_t levels;            /* 1 to 3 */
} eens_expansion;

/* All clusters of count patterns. */
uint32_t eens_count_clusters(const eens_share_table *table, const uint8_t *patterns,
                             uint32_t count);
/* count positions, a multiple of EENS_EXPAND: member m's codes go to codes + m x stride. Moves the
 * pointers past what it took; returns whether all bases were right. Digits are not looked at. */
bool eens_expand(eens_expansion *from, uint32_t count, int8_t *codes, uint32_t stride);

/* eens_shared_vector.c: a block with up to four members, into the output. Its streams end
 * where end says; whether each was read to its own end is for the caller to ask. */
eens_status eens_shared_vector(eens_shared *block, const uint8_t *end);

/* What a pair of members draws its words with (S9): M and s. */
typedef struct eens_draw {
    uint32_t multiplier;
    uint32_t offset;
} eens_draw;

#define EENS_DRAW 32u /* positions drawn at a time */

/* How parent codes n become the members' codes. With n q = Q g + r, r in 1..Q (so g is S9's f, or
 * f - 1 where S9 has r = 0), the member's code is g + 1 if its word is at most
 * t = floor((65536 r - 1) / Q), which has 16 bits, and else g. All of it stays within 16 bits:
 * g = floor((2 n q - 1) / 2 Q) as a product with a factor of 15 bits, the high half of it shifted;
 * t = 2 r hi + floor((2 r lo - 1) / Q), where 32768 = hi Q + lo, the quotient again by a product.
 * Proven by trying every n for every q and Q from 2 on. */
typedef struct eens_split {
    float scale; /* for values; the zero point of drawn members is 0 (S4.4) */
    int16_t twice_largest;  /* 2 q */
    int16_t twice_levels;   /* 2 Q */
    int16_t factor;         /* 2^(14 + shift) / Q to nearest */
    int16_t shift;          /* ceil(log2 Q), at least 1 */
    int16_t limit_whole;    /* hi */
    int16_t limit_factor;   /* lo 2^15 / Q, to above, - 1 */
} eens_split;

/* count parents, a multiple of EENS_DRAW, into limits, t in the upper half of each and ones in the
 * lower, and either g or the values of g and of g + 1. Returns a parent's largest magnitude. */
uint32_t eens_split_codes(const eens_split *split, const int8_t *parents, uint32_t count,
                          uint32_t *limits, int8_t *lower);
uint32_t eens_split_values(const eens_split *split, const int8_t *parents, uint32_t count,
                           uint32_t *limits, float *lower, float *upper);

/* The even and the odd member of a pair at count positions, a multiple of EENS_DRAW. */
void eens_draw_codes(eens_draw draw, uint32_t first, uint32_t count, const uint32_t *limits,
                     const int8_t *lower, int8_t *even, int8_t *odd);
void eens_draw_values(eens_draw draw, uint32_t first, uint32_t count, const uint32_t *limits,
                      const float *lower, const float *upper, bool streamed, float *even,
                      float *odd);

/* eens_drawn.c */
eens_draw eens_draw_of(const eens_tensor *tensor, uint32_t pair);
/* eens_drawn_vector.c: the members asked for, into the output, from the parent's codes in fields of
 * bits bits. For Q from 2 on. */
eens_status eens_drawn_vector(const eens_job *job, const uint8_t *bytes, uint32_t bits);
/* eens_values.c: how many positions in a row have one scale, and the scale of the block's position
 * at, with how many positions it holds from there on; 0: the storage could not be read. */
uint32_t eens_scale_run(const eens_tensor *tensor);
uint32_t eens_scale_at(const eens_job *job, uint32_t at, float *scale);

#endif
