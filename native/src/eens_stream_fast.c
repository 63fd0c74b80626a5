/* The look-ups of code streams (S10.1; see eens_ready.c for the tables): four parts side by side,
 * because a look-up waits for the one before it in its part, but not for those of the other parts.
 * Two of them at a time are as many as the registers of x86-64 hold; a processor that looks ahead
 * takes the other two along. Not in a small build. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY) && !defined(EENS_SMALL)

#define LOOKUPS 4u    /* between two refills: at most 4 x 12 bits of the 57 */
#define MOST_CODES 6u /* of a look-up */

static inline uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static inline void store8(int8_t *codes, uint64_t bytes) {
    for (uint32_t i = 0; i < 8; i++) {
        codes[i] = (int8_t)(bytes >> 8 * i);
    }
}

/* Rounds of four look-ups that are safe now without any further question: eight bytes can be read
 * before each round, and eight codes written by each look-up. */
static uint32_t safe_rounds(const eens_part *of) {
    uint32_t left = of->end - of->begin;
    uint32_t skip = of->bits.at / 8;
    if (left < LOOKUPS * MOST_CODES + 2 || of->bits.size < skip + 8) {
        return 0;
    }
    uint32_t by_codes = (left - 2) / (LOOKUPS * MOST_CODES);
    uint32_t bytes = least(of->bits.size - skip - 8, 1u << 24);
    return least(by_codes, bytes / (LOOKUPS * EENS_LONGEST / 8) + 1);
}

EENS_ALWAYS_INLINE uint64_t bits_at(const uint8_t *bytes, uint32_t at) {
    return eens_load64(bytes + at / 8) >> at % 8;
}

/* One look-up: writes eight codes, of which as many count as the entry says. */
#define LOOK_UP(word, sum, out) \
    do { \
        uint64_t entry; \
        memcpy(&entry, groups + 8 * ((word) & mask), 8); \
        (word) >>= entry & 63; \
        (sum) += entry; \
        store8(out, entry >> 16); \
        (out) += entry >> 8 & 0xFF; \
    } while (0)

/* Four look-ups of each of two parts. */
EENS_ALWAYS_INLINE void take_two_groups(const uint8_t *groups, uint64_t mask, eens_part *of0,
                                        eens_part *of1, int8_t **codes0, int8_t **codes1) {
    uint64_t word0 = bits_at(of0->bits.bytes, of0->bits.at);
    uint64_t word1 = bits_at(of1->bits.bytes, of1->bits.at);
    uint64_t sum0 = 0; /* of lengths, in the lowest byte */
    uint64_t sum1 = 0;
    int8_t *out0 = *codes0;
    int8_t *out1 = *codes1;
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        LOOK_UP(word0, sum0, out0);
        LOOK_UP(word1, sum1, out1);
    }
    of0->bits.at += sum0 & 0xFF;
    of1->bits.at += sum1 & 0xFF;
    *codes0 = out0;
    *codes1 = out1;
}

void eens_take_groups(const uint8_t *groups, uint32_t width, eens_part *parts, int8_t *codes) {
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    eens_part p0 = parts[0], p1 = parts[1], p2 = parts[2], p3 = parts[3];
    for (;;) {
        uint32_t rounds = least(least(safe_rounds(&p0), safe_rounds(&p1)),
                                least(safe_rounds(&p2), safe_rounds(&p3)));
        if (rounds == 0) {
            break;
        }
        int8_t *out0 = codes + p0.begin, *out1 = codes + p1.begin;
        int8_t *out2 = codes + p2.begin, *out3 = codes + p3.begin;
        for (; rounds != 0; rounds--) {
            take_two_groups(groups, mask, &p0, &p1, &out0, &out1);
            take_two_groups(groups, mask, &p2, &p3, &out2, &out3);
        }
        p0.begin = (uint32_t)(out0 - codes);
        p1.begin = (uint32_t)(out1 - codes);
        p2.begin = (uint32_t)(out2 - codes);
        p3.begin = (uint32_t)(out3 - codes);
    }
    parts[0] = p0;
    parts[1] = p1;
    parts[2] = p2;
    parts[3] = p3;
}

/* The last bit from which eight bytes can be read; -1 if there are not so many. */
static inline int32_t last_refill(const eens_part *of) {
    uint32_t size = least(of->bits.size, 1u << 24);
    return size < 8 ? -1 : (int32_t)(8 * (size - 8) + 7);
}

/* One look-up of one code, in the table that numbers[i] tells, if there are several. */
#define LOOK_UP_ONE(word, sum, out, numbers) \
    do { \
        uint16_t entry; \
        uint32_t number = (numbers) != NULL ? (numbers)[i] : 0; \
        memcpy(&entry, tables + ((size_t)number << (width + 1)) + 2 * ((word) & mask), 2); \
        (word) >>= entry & 63; \
        (sum) += entry; \
        (out)[i] = (int8_t)(entry >> 8); \
    } while (0)

EENS_ALWAYS_INLINE const uint8_t *numbers_of(const uint8_t *numbers, uint32_t of, uint32_t i) {
    return numbers != NULL ? numbers + of * EENS_CLASS_CHUNK + i : NULL;
}

/* lookups codes of two parts. */
EENS_ALWAYS_INLINE void take_two(uint32_t width, uint32_t lookups, const uint8_t *tables,
                                 const uint8_t *numbers0, const uint8_t *numbers1, eens_part *of0,
                                 eens_part *of1, int8_t *out0, int8_t *out1) {
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    uint64_t word0 = bits_at(of0->bits.bytes, of0->bits.at);
    uint64_t word1 = bits_at(of1->bits.bytes, of1->bits.at);
    uint32_t sum0 = 0; /* of lengths, in the lowest byte */
    uint32_t sum1 = 0;
    for (uint32_t i = 0; i < lookups; i++) {
        LOOK_UP_ONE(word0, sum0, out0, numbers0);
        LOOK_UP_ONE(word1, sum1, out1, numbers1);
    }
    of0->bits.at += sum0 & 0xFF;
    of1->bits.at += sum1 & 0xFF;
}

/* count codes of each part, as long as eight bytes can be read; returns how many it took. numbers:
 * of their tables, EENS_CLASS_CHUNK for each part, or NULL: there is one. */
EENS_ALWAYS_INLINE uint32_t take_singles(uint32_t width, uint32_t lookups, const uint8_t *tables,
                                         const uint8_t *numbers, uint32_t count, eens_part *parts,
                                         int8_t *codes) {
    eens_part p0 = parts[0], p1 = parts[1], p2 = parts[2], p3 = parts[3];
    const int32_t last0 = last_refill(&p0), last1 = last_refill(&p1);
    const int32_t last2 = last_refill(&p2), last3 = last_refill(&p3);
    uint32_t i = 0;
    for (; i + lookups <= count && (int32_t)p0.bits.at <= last0 && (int32_t)p1.bits.at <= last1 &&
           (int32_t)p2.bits.at <= last2 && (int32_t)p3.bits.at <= last3;
         i += lookups) {
        take_two(width, lookups, tables, numbers_of(numbers, 0, i), numbers_of(numbers, 1, i),
                 &p0, &p1, codes + p0.begin + i, codes + p1.begin + i);
        take_two(width, lookups, tables, numbers_of(numbers, 2, i), numbers_of(numbers, 3, i),
                 &p2, &p3, codes + p2.begin + i, codes + p3.begin + i);
    }
    parts[0].bits.at = p0.bits.at;
    parts[1].bits.at = p1.bits.at;
    parts[2].bits.at = p2.bits.at;
    parts[3].bits.at = p3.bits.at;
    return i;
}

/* Widths that are constants make a better loop; of 11 bits, five codewords fit between refills. */
uint32_t eens_take_singles(const eens_codes_ready *code, const uint8_t *numbers, uint32_t count,
                           eens_part *parts, int8_t *codes) {
    const uint8_t *tables = code->tables;
    if (numbers != NULL) {
        switch (code->width) {
        case 12: return take_singles(12, 4, tables, numbers, count, parts, codes);
        case 11: return take_singles(11, 4, tables, numbers, count, parts, codes);
        default: return take_singles(code->width, 4, tables, numbers, count, parts, codes);
        }
    }
    switch (code->width) {
    case 12: return take_singles(12, 4, tables, NULL, count, parts, codes);
    case 11: return take_singles(11, 5, tables, NULL, count, parts, codes);
    default: return take_singles(code->width, 4, tables, NULL, count, parts, codes);
    }
}

#endif
