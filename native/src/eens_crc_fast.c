/* CRC-32C by the machine's own instruction: many times as fast as the table.
 * EENS_SMALL leaves it out. */
#include "eens_internal.h"

#if !defined(EENS_SMALL) && defined(__ARM_FEATURE_CRC32)

/* ARM tells at compile time: -march=armv8-a+crc covers every 64-bit Raspberry Pi. */
#include <arm_acle.h>

bool eens_crc_is_fast(uint64_t size) {
    (void)size;
    return true;
}

uint32_t eens_crc_by_instruction(uint32_t state, const uint8_t *data, size_t size) {
    for (; size >= 32; size -= 32, data += 32) {
        state = __crc32cd(state, eens_load64(data));
        state = __crc32cd(state, eens_load64(data + 8));
        state = __crc32cd(state, eens_load64(data + 16));
        state = __crc32cd(state, eens_load64(data + 24));
    }
    for (; size >= 8; size -= 8, data += 8) {
        state = __crc32cd(state, eens_load64(data));
    }
    for (; size != 0; size--, data++) {
        state = __crc32cb(state, *data);
    }
    return state;
}

#elif !defined(EENS_SMALL) && (defined(__x86_64__) || defined(_M_X64))

#include <nmmintrin.h>
#include <wmmintrin.h>
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define WITH_SSE42
#else
#define WITH_SSE42 __attribute__((target("sse4.2,pclmul")))
#endif

/* Without the compiler's own record of the processor CPUID has to be asked, which in a virtual
 * machine takes up to 8 microseconds, the table 0.6 a KiB: below 64 KiB that does not pay. */
#define WORTH_ASKING 65536u

bool eens_crc_is_fast(uint64_t size) {
#if defined(__GNUC__)
    (void)size;
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
#else
    unsigned registers[4] = {0, 0, 0, 0}; /* eax, ebx, ecx, edx */
    if (size < WORTH_ASKING) {
        return false;
    }
    __cpuid((int *)registers, 1);
    return (registers[2] >> 20 & registers[2] >> 1 & 1) != 0; /* SSE4.2 and PCLMULQDQ */
#endif
}

/* A state that n bytes follow is to be multiplied by x^(8 n). The product of a state and a factor,
 * read as 8 bytes of data, comes to state x factor x x^33 (33: the instruction's x^32, and 1 because
 * the product of two reflected numbers of 32 bits has 63); so the factor is x^(8 n - 33) mod P. */
typedef struct crc_factors {
    uint32_t part; /* n, a multiple of 8 */
    uint32_t one;  /* past n bytes */
    uint32_t two;  /* past 2 n bytes */
} crc_factors;

WITH_SSE42 static inline uint64_t moved(uint64_t state, uint32_t factor) {
    return (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(
        _mm_cvtsi64_si128((int64_t)state), _mm_cvtsi64_si128((int64_t)factor), 0));
}

/* Three parts at a time: the instruction takes three cycles, but a new one may start each cycle. */
WITH_SSE42 static uint64_t by_threes(uint64_t state, const uint8_t **data, size_t *size,
                                     crc_factors factors) {
    uint32_t part = factors.part;
    for (; *size >= 3 * part; *data += 3 * part, *size -= 3 * part) {
        const uint8_t *bytes = *data;
        uint64_t second = 0;
        uint64_t third = 0;
        for (const uint8_t *end = bytes + part - 8; bytes < end; bytes += 8) {
            state = _mm_crc32_u64(state, eens_load64(bytes));
            second = _mm_crc32_u64(second, eens_load64(bytes + part));
            third = _mm_crc32_u64(third, eens_load64(bytes + 2 * part));
        }
        state = _mm_crc32_u64(state, eens_load64(bytes));
        second = _mm_crc32_u64(second, eens_load64(bytes + part));
        state = _mm_crc32_u64(third, eens_load64(bytes + 2 * part) ^ moved(state, factors.two) ^
                                         moved(second, factors.one));
    }
    return state;
}

WITH_SSE42 uint32_t eens_crc_by_instruction(uint32_t state, const uint8_t *data, size_t size) {
    static const crc_factors longer = {256, 0xB9E02B86u, 0xDD7E3B0Cu};
    static const crc_factors shorter = {64, 0x9E4ADDF8u, 0x0D3B6092u};
    uint64_t wide = by_threes(state, &data, &size, longer);
    wide = by_threes(wide, &data, &size, shorter);
    for (; size >= 8; size -= 8, data += 8) {
        wide = _mm_crc32_u64(wide, eens_load64(data));
    }
    state = (uint32_t)wide;
    for (; size != 0; size--, data++) {
        state = _mm_crc32_u8(state, *data);
    }
    return state;
}

#elif !defined(EENS_SMALL)

bool eens_crc_is_fast(uint64_t size) {
    (void)size;
    return false;
}

uint32_t eens_crc_by_instruction(uint32_t state, const uint8_t *data, size_t size) {
    (void)data;
    (void)size;
    return state; /* never called: eens_crc_is_fast says no */
}

#endif
