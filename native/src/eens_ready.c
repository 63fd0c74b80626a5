/* Prefix codes (S5.1) made ready: into tables, in the workspace, that decode them. Under
 * eens_tables.c.
 *
 * A ready table of the default build begins with singles: 2^width numbers of 16 bits, by the next
 * width bits of the stream: the length of the codeword they begin with, and what it says: if the
 * group is 1, from bit 8 on the code, else from bit 6 on the symbol. Groups may follow: 2^width
 * numbers for all codewords that lie in these bits. They have 32 bits, for at most three codes: bits
 * 0 to 5 how long they are together, from 6 on the codes, 30 and 31 how many; or 64 bits, for at
 * most six codes: bits 0 to 5, from 8 on, from 56 on. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY) && !defined(EENS_SMALL) /* eens_codes_small.c */

/* What the codeword of a symbol says: the code, or the number of the group of codes. */
static uint32_t said_of(const eens_prefix *prefix, uint32_t symbol) {
    return prefix->group == 1 ? (uint32_t)(prefix->low + (int32_t)symbol) & 0xFFu : symbol;
}

/* Six codes are worth 64 bits only where many look-ups give more than three. One more bit of index
 * doubles a table, up to 32 KiB: measured, that pays where 12 bits seldom hold two codes. Of several
 * tables each is half as large, if the codewords allow it. */
#define SHORT 4u /* codewords of mean length in the longest */
#define LONG 5u  /* bits of mean length */
#define INDEX 12u
/* Tables of groups take as long to make as they save in about this many codes. */
#define WORTH_GROUPS 32768u
#define WORTH_LARGE 524288u

/* The mean length of a codeword, if symbols occur as often as their lengths say; times 2^12, so at
 * most 12 x 2^12. */
static uint32_t mean_of(const eens_prefix *prefix) {
    uint32_t mean = 0;
    for (uint32_t length = 1; length <= EENS_LONGEST; length++) {
        mean += ((uint32_t)prefix->counts[length] << (EENS_LONGEST - length)) * length;
    }
    return mean;
}

void eens_groups_of(const eens_prefix *prefix, uint64_t codes, uint32_t i, uint32_t count,
                    eens_codes_ready *code) {
    uint32_t mean = mean_of(prefix);
    bool is_short = prefix->group > 1 || prefix->longest == 0 ||
                    SHORT * mean < (uint32_t)prefix->longest << EENS_LONGEST;
    bool is_large = !is_short && mean > LONG << EENS_LONGEST && codes >= WORTH_LARGE;
    bool is_worth = codes >= (uint64_t)WORTH_GROUPS * count;
    uint8_t entry = is_short ? 8 : is_worth ? 4 : 0;
    bool is_small = count > 1 && prefix->longest < INDEX;
    uint8_t wanted = is_small ? INDEX - 1 : is_large && count == 1 ? INDEX + 1 : INDEX;
    uint8_t index = is_worth ? wanted : prefix->longest;
    code->entry = i == 0 || entry < code->entry ? entry : code->entry;
    code->index = i == 0 || index > code->index ? index : code->index;
    code->most = code->entry == 8 ? 6 : 3;
}

uint32_t eens_ready_bytes(const eens_prefix *prefix, const eens_codes_ready *code) {
    (void)prefix;
    return (2u << code->width) + ((uint32_t)code->entry << code->index);
}

uint32_t eens_ready_room(const eens_codes_ready *code) {
    return (uint32_t)code->entry << code->index;
}

/* Codewords as they lie in a stream, their first bit lowest: the one behind this one. A codeword and
 * the same one with a 0 behind it are the same number. */
static uint32_t next_word(uint32_t word, uint32_t length) {
    uint32_t bit = 1u << length >> 1;
    for (; (word & bit) != 0; bit >>= 1) {
        word ^= bit;
    }
    return word | bit;
}

static inline uint32_t single_at(const uint8_t *singles, uint32_t index) {
    uint16_t single;
    memcpy(&single, singles + (size_t)2 * index, 2);
    return single;
}

static inline void put_single(uint8_t *singles, uint32_t index, uint32_t value) {
    uint16_t single = (uint16_t)value;
    memcpy(singles + (size_t)2 * index, &single, 2);
}

/* Each codeword where no bits follow it; words[l]: the next one of length l. */
static eens_status put_words(eens_length_reader *reader, const eens_prefix *prefix,
                             const eens_codes_ready *code, uint16_t *words, uint8_t *singles) {
    uint32_t shift = prefix->group == 1 ? 8 : 6;
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        eens_status status = eens_lengths_next(reader, code->width);
        if (status != EENS_OK) {
            return status;
        }
        uint32_t length = reader->length;
        if (length != 0) {
            put_single(singles, words[length], length | said_of(prefix, symbol) << shift);
            words[length] = (uint16_t)next_word(words[length], length);
        }
    }
    return EENS_OK;
}

/* A mask, where a branch would be taken as often as not. */
static inline uint32_t all_if(bool condition) {
    return 0u - (uint32_t)condition;
}

/* The numbers of one bit more are those of the bits below, where these hold a whole codeword, and
 * there no other one begins. */
static void repeat_words(uint32_t width, uint8_t *singles) {
    for (uint32_t bits = 0; bits < width; bits++) {
        uint8_t *more = singles + (2u << bits);
        for (uint32_t i = 0; i < 1u << bits; i++) {
            uint32_t single = single_at(singles, i);
            uint32_t longer = single_at(more, i);
            uint32_t repeats = all_if(longer == 0) & all_if((single & 63) <= bits);
            put_single(more, i, longer | (single & repeats));
        }
    }
}

/* The codes of a symbol, the first one lowest. */
static uint64_t codes_of(const eens_codes_ready *code, uint32_t single) {
    uint32_t symbol = single >> 6;
    uint64_t codes = 0;
    if (code->group == 1) {
        return single >> 8;
    }
    for (uint32_t i = 0; i < code->group; i++, symbol /= code->values) {
        uint32_t value = (uint32_t)(code->low + (int32_t)(symbol % code->values)) & 0xFFu;
        codes |= (uint64_t)value << 8 * i;
    }
    return codes;
}

/* Tables of groups, in 32 or 64 bits, are made step by step: of the codewords that lie in the bits of
 * index first one, then several. A second table, the shorter one, tells the same of all numbers of
 * bits below index: at 2^bits + i, what lies in so many bits i; 0 if that is nothing. So with bit 2^index
 * above the bits of an entry, what follows it is found where they are shifted by its length. Groups
 * that are not full end there, as nothing follows: so the place of what does follow is known. */
EENS_ALWAYS_INLINE uint64_t entry_at(bool six, const uint8_t *table, uint32_t i) {
    uint32_t narrow;
    uint64_t wide;
    if (six) {
        memcpy(&wide, table + (size_t)8 * i, 8);
        return wide;
    }
    memcpy(&narrow, table + (size_t)4 * i, 4);
    return narrow;
}

EENS_ALWAYS_INLINE void put_entry(bool six, uint8_t *table, uint32_t i, uint64_t wide) {
    uint32_t narrow = (uint32_t)wide;
    if (six) {
        memcpy(table + (size_t)8 * i, &wide, 8);
    } else {
        memcpy(table + (size_t)4 * i, &narrow, 4);
    }
}

/* An entry and what follows it, whose codes have their place behind so many of its. */
EENS_ALWAYS_INLINE uint64_t joined(bool six, uint64_t entry, uint64_t next, uint32_t codes) {
    const uint64_t mask = six ? ((uint64_t)1 << 56) - 256 : (1u << 30) - 64;
    return entry + (next & ~mask) + ((next & mask) << 8 * codes);
}

/* The first codewords, from the singles. */
EENS_ALWAYS_INLINE void begin_groups(bool six, bool alone, const eens_codes_ready *code,
                                     const uint8_t *singles, uint8_t *groups, uint8_t *shorter) {
    const uint32_t size = 1u << code->width;
    const uint32_t index = code->index;
    const uint64_t group = alone ? 1 : code->group;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t single = single_at(singles, i);
        uint64_t codes = (alone ? single >> 8 : codes_of(code, single)) << (six ? 8 : 6);
        uint64_t length = (single & 63) | (single == 0); /* should the storage have changed */
        put_entry(six, groups, i, length | codes | group << (six ? 56 : 30));
    }
    for (uint32_t i = size; i < 1u << index; i++) {
        put_entry(six, groups, i, entry_at(six, groups, i - size));
    }
    for (uint32_t bits = 0; bits < index; bits++) {
        for (uint32_t i = 0; i < 1u << bits; i++) {
            uint64_t entry = entry_at(six, groups, i);
            uint64_t fits = 0u - (uint64_t)((entry & 63) <= bits);
            put_entry(six, shorter, (1u << bits) + i, entry & fits);
        }
    }
}

/* What follows its entries, which hold so many codes if they are full. */
EENS_ALWAYS_INLINE void extend(bool six, uint32_t codes, uint32_t index, const uint8_t *shorter,
                               uint8_t *groups) {
    for (uint32_t i = 0; i < 1u << index; i++) {
        uint64_t entry = entry_at(six, groups, i);
        uint64_t next = entry_at(six, shorter, ((1u << index) + i) >> (entry & 63));
        put_entry(six, groups, i, joined(six, entry, next, codes));
    }
}

/* The same in the shorter table, each entry before those that it follows. */
EENS_ALWAYS_INLINE void extend_shorter(uint32_t index, uint8_t *shorter) {
    for (uint32_t i = (1u << index) - 1; i != 0; i--) {
        uint64_t entry = entry_at(true, shorter, i);
        uint64_t next = entry_at(true, shorter, i >> (entry & 63));
        put_entry(true, shorter, i, joined(true, entry, next, 1));
    }
}

static void build_threes(const eens_codes_ready *code, uint8_t *ready, uint8_t *shorter) {
    uint8_t *groups = ready + (2u << code->width);
    begin_groups(false, true, code, ready, groups, shorter);
    extend(false, 1, code->index, shorter, groups);
    extend(false, 2, code->index, shorter, groups);
}

static void build_sixes(const eens_codes_ready *code, uint8_t *ready, uint8_t *shorter) {
    uint8_t *groups = ready + (2u << code->width);
    const uint32_t index = code->index;
    if (code->group == 1) {
        begin_groups(true, true, code, ready, groups, shorter);
        extend(true, 1, index, shorter, groups);
        extend_shorter(index, shorter);
        extend(true, 2, index, shorter, groups);
        extend(true, 4, index, shorter, groups);
        return;
    }
    begin_groups(true, false, code, ready, groups, shorter);
    switch (code->group) {
    case 2:
        extend(true, 2, index, shorter, groups);
        extend(true, 4, index, shorter, groups);
        break;
    case 3: extend(true, 3, index, shorter, groups); break;
    default: break;
    }
}

/* Of more than one symbol. */
static eens_status build_table(const eens_file *file, const eens_table *table,
                               eens_prefix *prefix, const eens_codes_ready *code,
                               uint8_t *ready) {
    uint8_t *room = ready + code->stride;
    eens_length_reader reader;
    memset(ready, 0, (size_t)2 << code->width);
    for (uint32_t length = 1, word = 0; length < EENS_COUNTS; length++) {
        uint32_t count = prefix->counts[length];
        prefix->counts[length] = (uint16_t)word;
        for (; count != 0; count--) {
            word = next_word(word, length);
        }
    }
    eens_lengths_begin(&reader, file, table);
    eens_status status = put_words(&reader, prefix, code, prefix->counts, ready);
    if (status != EENS_OK) {
        return status;
    }
    repeat_words(code->width, ready);
    if (code->entry == 4) {
        build_threes(code, ready, room);
    } else if (code->entry == 8) {
        build_sixes(code, ready, room);
    }
    return EENS_OK;
}

eens_status eens_prefix_build(const eens_file *file, const eens_table *table,
                              const eens_codes_ready *code, uint8_t *ready) {
    eens_prefix prefix;
    eens_status status = eens_prefix_check(file, table, &prefix);
    if (status == EENS_OK && prefix.longest > code->width) { /* another table than before */
        status = EENS_ERR_TABLE;
    }
    if (status != EENS_OK || prefix.values != 1) {
        return status == EENS_OK ? build_table(file, table, &prefix, code, ready) : status;
    }
    for (uint32_t i = 0; i < 1u << code->width; i++) {
        put_single(ready, i, said_of(&prefix, 0) << 8); /* symbol 0 is 0 */
    }
    return EENS_OK;
}

#endif
