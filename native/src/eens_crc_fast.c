/* CRC-32C by the machine's own instruction: four times as fast as the table on x86-64, more on ARM.
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
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define WITH_SSE42
#else
#include <cpuid.h>
#define WITH_SSE42 __attribute__((target("sse4.2")))
#endif

/* In a virtual machine the CPUID instruction takes up to 8 microseconds, the table 0.6 a KiB: below
 * 64 KiB asking costs more than it brings. */
#define WORTH_ASKING 65536u

bool eens_crc_is_fast(uint64_t size) {
#if defined(__SSE4_2__)
    (void)size;
    return true;
#else
    unsigned registers[4] = {0, 0, 0, 0}; /* eax, ebx, ecx, edx */
    if (size < WORTH_ASKING) {
        return false;
    }
#if defined(_MSC_VER) && !defined(__clang__)
    __cpuid((int *)registers, 1);
#else
    __cpuid(1, registers[0], registers[1], registers[2], registers[3]);
#endif
    return (registers[2] >> 20 & 1) != 0; /* SSE4.2 */
#endif
}

WITH_SSE42 uint32_t eens_crc_by_instruction(uint32_t state, const uint8_t *data, size_t size) {
    uint64_t wide = state;
    for (; size >= 8; size -= 8, data += 8) {
        wide = _mm_crc32_u64(wide, eens_load64(data));
    }
    state = (uint32_t)wide;
    for (; size != 0; size--, data++) {
        state = _mm_crc32_u8(state, *data);
    }
    return state;
}

#else

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
