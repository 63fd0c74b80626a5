/* Bit streams of equal fields into bytes (S7.2), 32 at a time. */
#include "eens_vector.h"

#if defined(EENS_AVX2)

#include "eens_avx2.h"
#include "eens_unpack_windows.h"

static const uint8_t windows[9][16] = {
    {0}, {EENS_WINDOWS(1)}, {EENS_WINDOWS(2)}, {EENS_WINDOWS(3)}, {EENS_WINDOWS(4)},
    {EENS_WINDOWS(5)}, {EENS_WINDOWS(6)}, {EENS_WINDOWS(7)}, {EENS_WINDOWS(8)},
};

/* AVX2 has no shift of 16-bit lanes by different amounts, but a product with powers of two. */
#define FACTOR(w, i) (1u << EENS_RISE(w, i))
#define FACTORS(w) \
    {FACTOR(w, 0), FACTOR(w, 1), FACTOR(w, 2), FACTOR(w, 3), \
     FACTOR(w, 4), FACTOR(w, 5), FACTOR(w, 6), FACTOR(w, 7)}
static const uint16_t factors[9][8] = {
    {0}, FACTORS(1), FACTORS(2), FACTORS(3), FACTORS(4),
    FACTORS(5), FACTORS(6), FACTORS(7), FACTORS(8),
};

/* What becomes of the fields. */
enum { UNSIGNED, SIGNED, BELOW };

/* made is a constant wherever this is called. The 16 bytes from p on hold fields 0 to 15, those
 * from p + 2 w on fields 16 to 31: 2 w bytes, and with the byte behind at most 17, whose last only
 * fills the upper half of a lane that is shifted out. */
WITH_AVX2 EENS_ALWAYS_INLINE uint32_t unpack(const uint8_t *stream, uint32_t size, uint32_t count,
                                             uint32_t width, int made, uint8_t *fields) {
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)windows[width]));
    __m256i high = _mm256_add_epi8(low, _mm256_set1_epi8((char)width));
    __m256i factor = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)factors[width]));
    __m256i above = _mm256_set1_epi8((char)(0xFFu << width));
    __m128i shift = _mm_cvtsi32_si128(16 - (int)width);
    __m128i rise = _mm_cvtsi32_si128((int)width);
    uint32_t within = size < 2 * width + 16 ? 0 : (size - 2 * width - 16) / (4 * width) + 1;
    uint32_t done = 32 * (count / 32 < within ? count / 32 : within);
    for (uint32_t i = 0; i < done; i += 32, stream += 4 * width) {
        __m256i bytes = _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)stream)),
            _mm_loadu_si128((const __m128i *)(stream + 2 * width)), 1);
        __m256i first = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, low), factor);
        __m256i second = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, high), factor);
        __m256i all = made == SIGNED ? _mm256_packs_epi16(_mm256_sra_epi16(first, shift),
                                                     _mm256_sra_epi16(second, shift))
                                : _mm256_packus_epi16(_mm256_srl_epi16(first, shift),
                                                      _mm256_srl_epi16(second, shift));
        if (made == BELOW) {
            __m256i numbers = _mm256_loadu_si256((const __m256i *)(fields + i));
            numbers = _mm256_and_si256(_mm256_sll_epi16(numbers, rise), above);
            all = _mm256_or_si256(numbers, all);
        }
        _mm256_storeu_si256((__m256i *)(fields + i), all);
    }
    return done;
}

WITH_AVX2 uint32_t eens_unpack_signed(const uint8_t *stream, uint32_t size, uint32_t count,
                                      uint32_t width, int8_t *codes) {
    return unpack(stream, size, count, width, SIGNED, (uint8_t *)codes);
}

WITH_AVX2 uint32_t eens_unpack_unsigned(const uint8_t *stream, uint32_t size, uint32_t count,
                                        uint32_t width, uint8_t *fields) {
    return unpack(stream, size, count, width, UNSIGNED, fields);
}

WITH_AVX2 uint32_t eens_unpack_below(const uint8_t *stream, uint32_t size, uint32_t count,
                                     uint32_t width, int8_t *codes) {
    return unpack(stream, size, count, width, BELOW, (uint8_t *)codes);
}

#endif
