/* The look-ups of code streams (S10.1; see eens_ready.c for the tables): four parts side by side,
 * because a look-up waits for the one before it in its part, but not for those of the other parts.
 * Two of them at a time are as many as the registers of x86-64 hold; a processor that looks ahead
 * takes the other two along. Not in a small build.
 *
 * Rounds of several look-ups go without any question: how many are safe is found out before. A part
 * that has no safe round left is replaced by another one, which is then decoded twice, to the same
 * codes in the same places: so parts of different lengths need no loops of their own. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY) && !defined(EENS_SMALL)

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#define LOOKUPS 4u /* in a round; of codewords of at most 11 bits, one more */
#define ROUND_BYTES 7u
#define MARK ((uint64_t)1 << 63)

/* Where a part is: a word of the next bits, in which zeros above the mark count the bits that have
 * been taken since next. Of 64 bits, 7 may have been taken at the beginning and one is the mark: 56
 * are left, and a round takes at most 4 x 12 or 5 x 11. */
typedef struct cursor {
    const uint8_t *next;
    uint64_t word;
    int8_t *out;
} cursor;

/* What a round takes at most. */
typedef struct pace {
    uint32_t codes;
    uint32_t spare; /* codes that are written behind the last one */
    uint32_t bytes;
} pace;

static inline uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Of a word that is not 0. */
EENS_ALWAYS_INLINE uint32_t leading_zeros(uint64_t word) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_clzll(word);
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64))
    unsigned long place;
    _BitScanReverse64(&place, word);
    return 63 - (uint32_t)place;
#else
    uint32_t zeros = 0;
    for (; word >> 63 == 0; word <<= 1) {
        zeros++;
    }
    return zeros;
#endif
}

/* Rounds that are safe now: eight bytes can be read before each one and behind the last. */
static uint32_t safe_rounds(const eens_part *of, pace most) {
    uint32_t left = of->end - of->begin;
    uint32_t skip = of->bits.at / 8;
    if (left < most.spare || of->bits.size < skip + 8) {
        return 0;
    }
    return least((left - most.spare) / most.codes, (of->bits.size - skip - 8) / most.bytes);
}

/* Which parts the slots take, and how many rounds all of them can; 0: no part can any more. */
static uint32_t share_rounds(const eens_part *parts, pace most, uint32_t *slots) {
    uint32_t rounds[EENS_PARTS];
    uint32_t longest = 0;
    for (uint32_t j = 0; j < EENS_PARTS; j++) {
        rounds[j] = safe_rounds(&parts[slots[j]], most);
        longest = rounds[j] > rounds[longest] ? j : longest;
    }
    uint32_t shared = rounds[longest];
    for (uint32_t j = 0; j < EENS_PARTS; j++) {
        if (rounds[j] == 0) {
            slots[j] = slots[longest];
        } else {
            shared = least(shared, rounds[j]);
        }
    }
    return shared;
}

EENS_ALWAYS_INLINE cursor cursor_of(const eens_part *of, int8_t *codes) {
    const uint8_t *next = of->bits.bytes + of->bits.at / 8;
    cursor at = {next, (eens_load64(next) | MARK) >> of->bits.at % 8, codes + of->begin};
    return at;
}

EENS_ALWAYS_INLINE void keep_cursor(const cursor *at, const int8_t *codes, eens_part *of) {
    of->bits.at = 8 * (uint32_t)(at->next - of->bits.bytes) + leading_zeros(at->word);
    of->begin = (uint32_t)(at->out - codes);
}

EENS_ALWAYS_INLINE void refill(cursor *at) {
    uint32_t taken = leading_zeros(at->word);
    at->next += taken / 8;
    at->word = (eens_load64(at->next) | MARK) >> taken % 8;
}

/* Compilers do not always make one store of the loops. */
EENS_ALWAYS_INLINE void store_four(int8_t *out, uint32_t codes) {
#if EENS_LITTLE_ENDIAN
    memcpy(out, &codes, 4);
#else
    for (uint32_t i = 0; i < 4; i++) {
        out[i] = (int8_t)(codes >> 8 * i);
    }
#endif
}

EENS_ALWAYS_INLINE void store_eight(int8_t *out, uint64_t codes) {
#if EENS_LITTLE_ENDIAN
    memcpy(out, &codes, 8);
#else
    for (uint32_t i = 0; i < 8; i++) {
        out[i] = (int8_t)(codes >> 8 * i);
    }
#endif
}

/* One look-up: writes four codes or eight, of which as many count as the entry says. */
EENS_ALWAYS_INLINE void look_up_three(const uint8_t *groups, uint64_t mask, cursor *at) {
    uint32_t word;
    memcpy(&word, groups + 4 * (at->word & mask), 4);
    uint64_t entry = word; /* so that ARM shifts and adds in one instruction */
    at->word >>= entry & 63;
    store_four(at->out, (uint32_t)entry >> 6);
    at->out += entry >> 30;
}

EENS_ALWAYS_INLINE void look_up_six(const uint8_t *groups, uint64_t mask, cursor *at) {
    uint64_t entry;
    memcpy(&entry, groups + 8 * (at->word & mask), 8);
    at->word >>= entry & 63;
    store_eight(at->out, entry >> 8);
    at->out += entry >> 56;
}

EENS_ALWAYS_INLINE void look_up_both(bool six, const uint8_t *groups0, const uint8_t *groups1,
                                     uint64_t mask, cursor *at0, cursor *at1) {
    if (six) {
        look_up_six(groups0, mask, at0);
        look_up_six(groups1, mask, at1);
    } else {
        look_up_three(groups0, mask, at0);
        look_up_three(groups1, mask, at1);
    }
}

/* A round of two parts. */
EENS_ALWAYS_INLINE void take_two_groups(bool six, const uint8_t *groups0, const uint8_t *groups1,
                                        uint64_t mask, cursor *at0, cursor *at1) {
    look_up_both(six, groups0, groups1, mask, at0, at1);
    look_up_both(six, groups0, groups1, mask, at0, at1);
    look_up_both(six, groups0, groups1, mask, at0, at1);
    look_up_both(six, groups0, groups1, mask, at0, at1);
    refill(at0);
    refill(at1);
}

/* These rounds of the slots' parts. */
EENS_ALWAYS_INLINE void take_groups(bool six, const uint8_t *const *tables,
                                    const eens_codes_ready *code, uint32_t rounds,
                                    const uint32_t *slots, eens_part *parts, int8_t *codes) {
    const uint64_t mask = ((uint64_t)1 << code->index) - 1;
    const size_t skip = (size_t)2 << code->width;
    const uint8_t *groups0 = tables[slots[0]] + skip, *groups1 = tables[slots[1]] + skip;
    const uint8_t *groups2 = tables[slots[2]] + skip, *groups3 = tables[slots[3]] + skip;
    cursor at0 = cursor_of(&parts[slots[0]], codes), at1 = cursor_of(&parts[slots[1]], codes);
    cursor at2 = cursor_of(&parts[slots[2]], codes), at3 = cursor_of(&parts[slots[3]], codes);
    for (; rounds != 0; rounds--) {
        take_two_groups(six, groups0, groups1, mask, &at0, &at1);
        take_two_groups(six, groups2, groups3, mask, &at2, &at3);
    }
    keep_cursor(&at0, codes, &parts[slots[0]]);
    keep_cursor(&at1, codes, &parts[slots[1]]);
    keep_cursor(&at2, codes, &parts[slots[2]]);
    keep_cursor(&at3, codes, &parts[slots[3]]);
}

EENS_OWN_FRAME void take_threes(const uint8_t *const *tables, const eens_codes_ready *code,
                                uint32_t rounds, const uint32_t *slots, eens_part *parts,
                                int8_t *codes) {
    take_groups(false, tables, code, rounds, slots, parts, codes);
}

EENS_OWN_FRAME void take_sixes(const uint8_t *const *tables, const eens_codes_ready *code,
                               uint32_t rounds, const uint32_t *slots, eens_part *parts,
                               int8_t *codes) {
    take_groups(true, tables, code, rounds, slots, parts, codes);
}

static pace pace_of_groups(const eens_codes_ready *code) {
    pace most = {LOOKUPS * code->most, code->entry - code->most, ROUND_BYTES};
    return most;
}

bool eens_can_take_groups(const eens_codes_ready *code, const eens_part *of) {
    return safe_rounds(of, pace_of_groups(code)) != 0;
}

bool eens_take_groups(const eens_codes_ready *code, const uint8_t *const *tables, eens_part *parts,
                      int8_t *codes) {
    uint32_t slots[EENS_PARTS] = {0, 1, 2, 3};
    uint32_t rounds = share_rounds(parts, pace_of_groups(code), slots);
    if (rounds != 0 && code->entry == 8) {
        take_sixes(tables, code, rounds, slots, parts, codes);
    } else if (rounds != 0) {
        take_threes(tables, code, rounds, slots, parts, codes);
    }
    return rounds != 0;
}

/* One code, in the table that the next of the numbers tells, if there are several. */
EENS_ALWAYS_INLINE void look_up_one(uint32_t width, bool classed, const uint8_t *tables,
                                    const uint8_t *numbers, uint32_t i, cursor *at) {
    const uint8_t *table = tables;
    uint16_t entry;
    if (classed) {
        table += (size_t)numbers[i] << (width + 1);
    }
    memcpy(&entry, table + 2 * (at->word & (((uint64_t)1 << width) - 1)), 2);
    at->word >>= entry & 63;
    at->out[i] = (int8_t)(entry >> 8);
}

/* A round of two parts, written out for compilers that do not unroll loops. */
EENS_ALWAYS_INLINE void take_two(uint32_t width, uint32_t lookups, bool classed,
                                 const uint8_t *tables, const uint8_t *numbers0,
                                 const uint8_t *numbers1, cursor *at0, cursor *at1) {
    look_up_one(width, classed, tables, numbers0, 0, at0);
    look_up_one(width, classed, tables, numbers1, 0, at1);
    look_up_one(width, classed, tables, numbers0, 1, at0);
    look_up_one(width, classed, tables, numbers1, 1, at1);
    look_up_one(width, classed, tables, numbers0, 2, at0);
    look_up_one(width, classed, tables, numbers1, 2, at1);
    look_up_one(width, classed, tables, numbers0, 3, at0);
    look_up_one(width, classed, tables, numbers1, 3, at1);
    if (lookups > LOOKUPS) {
        look_up_one(width, classed, tables, numbers0, 4, at0);
        look_up_one(width, classed, tables, numbers1, 4, at1);
    }
    at0->out += lookups;
    at1->out += lookups;
    refill(at0);
    refill(at1);
}

/* These rounds of the slots' parts. numbers: EENS_CLASS_CHUNK a slot, if classed. */
EENS_ALWAYS_INLINE void take_rounds(uint32_t width, uint32_t lookups, bool classed,
                                    const uint8_t *tables, const uint8_t *numbers,
                                    uint32_t rounds, const uint32_t *slots, eens_part *parts,
                                    int8_t *codes) {
    cursor at0 = cursor_of(&parts[slots[0]], codes), at1 = cursor_of(&parts[slots[1]], codes);
    cursor at2 = cursor_of(&parts[slots[2]], codes), at3 = cursor_of(&parts[slots[3]], codes);
    const uint32_t apart = classed ? EENS_CLASS_CHUNK : 0;
    for (; rounds != 0; rounds--) {
        take_two(width, lookups, classed, tables, numbers, numbers + apart, &at0, &at1);
        take_two(width, lookups, classed, tables, numbers + 2 * apart, numbers + 3 * apart, &at2,
                 &at3);
        numbers += classed ? lookups : 0;
    }
    keep_cursor(&at0, codes, &parts[slots[0]]);
    keep_cursor(&at1, codes, &parts[slots[1]]);
    keep_cursor(&at2, codes, &parts[slots[2]]);
    keep_cursor(&at3, codes, &parts[slots[3]]);
}

void eens_take_singles(const eens_codes_ready *code, eens_part *parts, int8_t *codes) {
    const pace most = {LOOKUPS, 0, ROUND_BYTES};
    uint32_t slots[EENS_PARTS] = {0, 1, 2, 3};
    uint32_t rounds;
    while ((rounds = share_rounds(parts, most, slots)) != 0) {
        take_rounds(code->width, LOOKUPS, false, code->tables, code->tables, rounds, slots, parts,
                    codes);
    }
}

/* Widths that are constants make a better loop. */
static void take_chunk(const eens_codes_ready *code, const uint8_t *numbers, uint32_t rounds,
                       const uint32_t *slots, eens_part *parts, int8_t *codes) {
    const uint8_t *tables = code->tables;
    switch (code->width) {
    case 12: take_rounds(12, LOOKUPS, true, tables, numbers, rounds, slots, parts, codes); break;
    case 11: take_rounds(11, LOOKUPS + 1, true, tables, numbers, rounds, slots, parts, codes); break;
    default: take_rounds(code->width, LOOKUPS, true, tables, numbers, rounds, slots, parts, codes);
    }
}

bool eens_take_classed(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                       eens_part *parts, int8_t *codes) {
    const uint32_t more = code->width == EENS_LONGEST - 1;
    const uint32_t lookups = LOOKUPS + more;
    const pace most = {lookups, 0, ROUND_BYTES};
    uint8_t *numbers = job->coding->chunk;
    uint32_t slots[EENS_PARTS] = {0, 1, 2, 3};
    for (;;) {
        uint32_t rounds = share_rounds(parts, most, slots);
        rounds = least(rounds, EENS_CLASS_CHUNK / lookups);
        if (rounds == 0) {
            return true;
        }
        for (uint32_t j = 0; j < EENS_PARTS; j++) {
            uint32_t first = job->block.first + parts[slots[j]].begin;
            if (!eens_classes_at(job, copy, first, lookups * rounds,
                                 numbers + j * EENS_CLASS_CHUNK)) {
                return false;
            }
        }
        take_chunk(code, numbers, rounds, slots, parts, codes);
    }
}

#endif
