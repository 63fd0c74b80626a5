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

static uint32_t reversed(uint32_t word, uint32_t length) {
    uint32_t mirrored = 0;
    for (; length != 0; length--, word >>= 1) {
        mirrored = mirrored << 1 | (word & 1);
    }
    return mirrored;
}

static void fill_singles(uint8_t *singles, uint32_t first, uint32_t step, uint32_t width,
                         uint32_t value) {
    uint16_t entry = (uint16_t)value;
    for (uint32_t i = first; i < 1u << width; i += step) {
        memcpy(singles + 2 * i, &entry, 2);
    }
}

/* words[l]: the next codeword of length l. */
static eens_status build_singles(eens_length_reader *reader, const eens_prefix *prefix,
                                 const eens_codes_ready *code, uint16_t *words,
                                 uint8_t *singles) {
    uint32_t shift = prefix->group == 1 ? 8 : 6;
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        eens_status status = eens_lengths_next(reader, code->width);
        if (status != EENS_OK) {
            return status;
        }
        uint32_t length = reader->length;
        if (length != 0) {
            uint32_t first = reversed(words[length]++, length);
            uint32_t value = length | said_of(prefix, symbol) << shift;
            fill_singles(singles, first, 1u << length, code->width, value);
        }
    }
    return EENS_OK;
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

/* As many codes as lie in the bits of index, up to the most: at least one codeword. */
static uint64_t group_at(const eens_codes_ready *code, const uint8_t *singles, uint32_t index) {
    const uint32_t mask = (1u << code->width) - 1;
    uint64_t codes = 0;
    uint32_t length = 0;
    uint32_t count = 0;
    do {
        uint16_t single;
        memcpy(&single, singles + 2 * (index & mask), 2);
        uint32_t more = single & 63u;
        if (length + more > code->index) {
            break;
        }
        codes |= codes_of(code, single) << 8 * count;
        count += code->group;
        length += more;
        index >>= more;
    } while (count + code->group <= code->most);
    return code->entry == 4 ? length | codes << 6 | (uint64_t)count << 30
                            : length | codes << 8 | (uint64_t)count << 56;
}

static void build_groups(const eens_codes_ready *code, uint8_t *ready) {
    uint8_t *groups = ready + (2u << code->width);
    for (uint32_t i = 0; i < 1u << code->index; i++) {
        uint64_t wide = group_at(code, ready, i);
        uint32_t entry = (uint32_t)wide;
        if (code->entry == 4) {
            memcpy(groups + 4 * i, &entry, 4);
        } else {
            memcpy(groups + 8 * i, &wide, 8);
        }
    }
}

eens_status eens_prefix_build(const eens_file *file, const eens_table *table,
                              const eens_codes_ready *code, uint8_t *ready) {
    eens_length_reader reader;
    eens_prefix prefix;
    uint32_t size = 1u << code->width;
    eens_status status = eens_prefix_check(file, table, &prefix);
    if (status == EENS_OK && prefix.longest > code->width) { /* another table than before */
        status = EENS_ERR_TABLE;
    }
    if (status != EENS_OK) {
        return status;
    }
    if (prefix.values == 1) {
        fill_singles(ready, 0, 1, code->width, said_of(&prefix, 0) << 8); /* symbol 0 is 0 */
    } else {
        /* Zeros are harmless entries, should the storage give other lengths this time. */
        memset(ready, 0, 2 * size);
        for (uint32_t length = 1, word = 0; length < EENS_COUNTS; length++) {
            uint32_t count = prefix.counts[length];
            prefix.counts[length] = (uint16_t)word;
            word = 2 * (word + count);
        }
        eens_lengths_begin(&reader, file, table);
        status = build_singles(&reader, &prefix, code, prefix.counts, ready);
    }
    if (status == EENS_OK && code->entry != 0) {
        build_groups(code, ready);
    }
    return status;
}

#endif
