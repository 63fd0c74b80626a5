/* Code streams (S10.1): codewords into codes.
 *
 * The default build looks codewords up (see eens_prefix.c), in the four parts by turns: a look-up
 * waits for the one before it in its part, but not for those of the other parts. Near the ends, and
 * in a small build everywhere, symbols are taken one by one. Faults lead to wrong codes, never to a
 * wrong address; they show at the end of a part. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define FIRST_OF_FOUR 1024u /* codes from which a stream has four parts */
#define LOOKUPS 4u          /* between two refills: at most 4 x 12 bits of the 57 */
#define MOST_CODES 6u       /* of a look-up */

/* A part: bits are read up to the end of the whole stream, which is where memory ends; a part that
 * reads behind its own end has not the size that it should have. */
typedef struct part {
    eens_stream bits;
    uint32_t size;  /* bytes */
    uint32_t begin; /* its next code, counted in the stream */
    uint32_t end;
} part;

#if defined(EENS_SMALL)

/* A codeword from its most significant bit on: among those of one length, the codewords are
 * numbered from first on. As in zlib's puff.c (Mark Adler). */
static uint32_t take_symbol(const uint8_t *table, uint32_t width, eens_stream *bits) {
    uint32_t longest = eens_load16(table);
    uint32_t word = 0;
    uint32_t first = 0;
    uint32_t place = 0;
    (void)width;
    for (uint32_t length = 1; length <= longest; length++) {
        uint32_t count = eens_load16(table + 2 * length);
        uint32_t skip = bits->at / 8;
        uint32_t bit = skip < bits->size ? (uint32_t)bits->bytes[skip] >> bits->at % 8 & 1 : 0;
        bits->at++;
        word = word << 1 | bit;
        if (word - first < count) {
            place += word - first;
            break;
        }
        place += count;
        first = (first + count) << 1;
    }
    return eens_load16(table + 2 * (EENS_LONGEST + 1) + 2 * place);
}

static inline uint32_t said_to_code(uint32_t said) {
    return said;
}

#else

static uint32_t take_symbol(const uint8_t *table, uint32_t width, eens_stream *bits) {
    uint16_t entry;
    uint32_t index = (uint32_t)eens_peek(bits, bits->at) & ((1u << width) - 1);
    memcpy(&entry, table + 2 * index, 2);
    bits->at += entry & 63u;
    return entry >> 6;
}

/* Codes stand two bits higher than symbols. */
static inline uint32_t said_to_code(uint32_t said) {
    return said >> 2;
}

static inline uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Look-ups of four parts, four each, that are safe now without any further question: eight bytes
 * can be read before them, and eight codes written by each. */
static uint32_t safe_rounds(const part *of) {
    uint32_t left = of->end - of->begin;
    uint32_t skip = of->bits.at / 8;
    if (left < LOOKUPS * MOST_CODES + 2 || of->bits.size < skip + 8) {
        return 0;
    }
    uint32_t by_codes = (left - 2) / (LOOKUPS * MOST_CODES);
    uint32_t bytes = least(of->bits.size - skip - 8, 1u << 24);
    return least(by_codes, bytes / (LOOKUPS * EENS_LONGEST / 8) + 1);
}

static inline void store8(int8_t *codes, uint64_t bytes) {
    for (uint32_t i = 0; i < 8; i++) {
        codes[i] = (int8_t)(bytes >> 8 * i);
    }
}

/* One look-up: writes eight codes, of which as many count as the entry says. sum adds up lengths. */
#define LOOK_UP(word, sum, out) \
    do { \
        uint64_t entry; \
        memcpy(&entry, groups + 8 * ((word) & mask), 8); \
        (word) >>= entry & 63; \
        (sum) += entry; \
        store8(out, entry >> 16); \
        (out) += entry >> 8 & 0xFF; \
    } while (0)
#define LOOK_UP_4 \
    do { \
        LOOK_UP(word0, sum0, out0); \
        LOOK_UP(word1, sum1, out1); \
        LOOK_UP(word2, sum2, out2); \
        LOOK_UP(word3, sum3, out3); \
    } while (0)

EENS_ALWAYS_INLINE uint64_t bits_at(const uint8_t *bytes, uint32_t at) {
    return eens_load64(bytes + at / 8) >> at % 8;
}

static void take_groups(const uint8_t *groups, uint32_t width, part *parts, int8_t *codes) {
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    for (;;) {
        uint32_t rounds = least(least(safe_rounds(&parts[0]), safe_rounds(&parts[1])),
                                least(safe_rounds(&parts[2]), safe_rounds(&parts[3])));
        if (rounds == 0) {
            return;
        }
        uint32_t at0 = parts[0].bits.at, at1 = parts[1].bits.at;
        uint32_t at2 = parts[2].bits.at, at3 = parts[3].bits.at;
        int8_t *out0 = codes + parts[0].begin, *out1 = codes + parts[1].begin;
        int8_t *out2 = codes + parts[2].begin, *out3 = codes + parts[3].begin;
        for (; rounds != 0; rounds--) {
            uint64_t word0 = bits_at(parts[0].bits.bytes, at0), sum0 = 0;
            uint64_t word1 = bits_at(parts[1].bits.bytes, at1), sum1 = 0;
            uint64_t word2 = bits_at(parts[2].bits.bytes, at2), sum2 = 0;
            uint64_t word3 = bits_at(parts[3].bits.bytes, at3), sum3 = 0;
            LOOK_UP_4;
            LOOK_UP_4;
            LOOK_UP_4;
            LOOK_UP_4;
            at0 += sum0 & 0xFF;
            at1 += sum1 & 0xFF;
            at2 += sum2 & 0xFF;
            at3 += sum3 & 0xFF;
        }
        parts[0].bits.at = at0;
        parts[1].bits.at = at1;
        parts[2].bits.at = at2;
        parts[3].bits.at = at3;
        parts[0].begin = (uint32_t)(out0 - codes);
        parts[1].begin = (uint32_t)(out1 - codes);
        parts[2].begin = (uint32_t)(out2 - codes);
        parts[3].begin = (uint32_t)(out3 - codes);
    }
}

/* The same for one part. */
static void take_last_groups(const uint8_t *groups, uint32_t width, part *of, int8_t *codes) {
    while (of->end - of->begin >= 8) {
        uint64_t entry;
        uint32_t index = (uint32_t)eens_peek(&of->bits, of->bits.at) & ((1u << width) - 1);
        memcpy(&entry, groups + 8 * index, 8);
        store8(codes + of->begin, entry >> 16);
        of->bits.at += entry & 0xFF;
        of->begin += entry >> 8 & 0xFF;
    }
}

static inline bool can_refill(const part *of) {
    return of->bits.at / 8 + 8 <= of->bits.size;
}

/* Four codes of one part, each from the table that its position's class names. */
EENS_ALWAYS_INLINE void take_4(const uint8_t *tables, uint32_t shift, uint32_t mask,
                               const uint8_t *numbers, part *of, int8_t *out) {
    uint64_t word = bits_at(of->bits.bytes, of->bits.at);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint16_t entry;
        memcpy(&entry, tables + ((size_t)numbers[i] << shift) + 2 * (word & mask), 2);
        word >>= entry & 63;
        sum += entry;
        out[i] = (int8_t)(entry >> 8);
    }
    of->bits.at += sum & 0xFF;
}

EENS_ALWAYS_INLINE uint32_t take_classed_by(uint32_t width, const uint8_t *tables,
                                            const uint8_t *numbers, uint32_t count, part *parts,
                                            int8_t *codes) {
    const uint32_t mask = (1u << width) - 1;
    uint32_t i = 0;
    while (i + LOOKUPS <= count && can_refill(&parts[0]) && can_refill(&parts[1]) &&
           can_refill(&parts[2]) && can_refill(&parts[3])) {
        for (uint32_t j = 0; j < EENS_PARTS; j++) {
            take_4(tables, width + 1, mask, numbers + j * EENS_CLASS_ROOM + i, &parts[j],
                   codes + parts[j].begin + i);
        }
        i += LOOKUPS;
    }
    return i;
}

/* count codes of each part, from their numbers of tables; returns how many it could take. */
static uint32_t take_classed(const eens_codes_ready *code, const uint8_t *numbers, uint32_t count,
                             part *parts, int8_t *codes) {
    switch (code->width) {
    case 12: return take_classed_by(12, code->tables, numbers, count, parts, codes);
    case 11: return take_classed_by(11, code->tables, numbers, count, parts, codes);
    case 10: return take_classed_by(10, code->tables, numbers, count, parts, codes);
    default: return take_classed_by(code->width, code->tables, numbers, count, parts, codes);
    }
}

/* As many codes with classes as four parts can give side by side; false: READ. */
static bool take_all_classed(const eens_code_stream *stream, part *parts) {
    for (;;) {
        uint32_t count = EENS_CLASS_CHUNK;
        for (uint32_t j = 0; j < EENS_PARTS; j++) {
            count = least(count, parts[j].end - parts[j].begin);
        }
        for (uint32_t j = 0; j < EENS_PARTS; j++) {
            if (!eens_classes_at(stream->classes, stream->copy, stream->first + parts[j].begin,
                                 count, stream->chunk + j * EENS_CLASS_ROOM)) {
                return false;
            }
        }
        uint32_t taken = take_classed(stream->code, stream->chunk, count, parts, stream->codes);
        for (uint32_t j = 0; j < EENS_PARTS; j++) {
            parts[j].begin += taken;
        }
        if (taken == 0) {
            return true;
        }
    }
}

#endif

/* Symbols one by one; false: surplus codes that are not low. */
static bool take_symbols(const eens_codes_ready *code, part *of, int8_t *codes) {
    while (of->begin < of->end) {
        uint32_t symbol = take_symbol(code->tables, code->width, &of->bits);
        for (uint32_t i = 0; i < code->group; i++, symbol /= code->values) {
            if (of->begin < of->end) {
                codes[of->begin++] = (int8_t)(code->low + (int32_t)(symbol % code->values));
            } else if (symbol != 0) {
                return false;
            }
        }
    }
    return true;
}

/* The same with classes; false: the storage could not be read. */
static bool take_symbols_classed(const eens_code_stream *stream, part *of) {
    const eens_codes_ready *code = stream->code;
    while (of->begin < of->end) {
        uint32_t left = of->end - of->begin;
        uint32_t count = left < EENS_CLASS_CHUNK ? left : EENS_CLASS_CHUNK;
        if (!eens_classes_at(stream->classes, stream->copy, stream->first + of->begin, count,
                             stream->chunk)) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *table = code->tables + (size_t)stream->chunk[i] * code->stride;
            uint32_t said = take_symbol(table, code->width, &of->bits);
            stream->codes[of->begin++] = (int8_t)(uint8_t)said_to_code(said);
        }
    }
    return true;
}

/* Cuts the stream into its parts; returns how many, or 0 if they do not fit. */
static uint32_t cut_parts(const eens_code_stream *stream, uint8_t profile, part *parts) {
    uint32_t count = profile == 0 && stream->count >= FIRST_OF_FOUR ? EENS_PARTS : 1;
    uint32_t most = count == 1 ? stream->count : 12 * ((stream->count + 47) / 48);
    uint32_t at = 4 * (count - 1);
    if (stream->size < at) {
        return 0;
    }
    for (uint32_t j = 0; j < count; j++) {
        uint32_t left = stream->size - at;
        uint32_t size = j + 1 < count ? eens_load32(stream->bytes + 4 * j) : left;
        if (size > left) {
            return 0;
        }
        parts[j].bits.bytes = stream->bytes + at;
        parts[j].bits.size = left;
        parts[j].bits.at = 0;
        parts[j].size = size;
        parts[j].begin = j * most;
        parts[j].end = j + 1 < count ? (j + 1) * most : stream->count;
        at += size;
    }
    return count;
}

static eens_status take_part(const eens_code_stream *stream, part *of) {
    if (stream->classes->columns != 0) {
        if (!take_symbols_classed(stream, of)) {
            return EENS_ERR_READ;
        }
    } else {
#if !defined(EENS_SMALL)
        take_last_groups(stream->code->tables + (2u << stream->code->width), stream->code->width,
                         of, stream->codes);
#endif
        if (!take_symbols(stream->code, of, stream->codes)) {
            return EENS_ERR_BLOCK_CONTENT;
        }
    }
    bool ends = eens_ceil8(of->bits.at) == of->size &&
                (of->size == 0 || eens_padding_is_zero(of->bits.bytes, of->bits.at));
    return ends ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

eens_status eens_code_stream_decode(const eens_code_stream *stream, uint8_t profile) {
    part parts[EENS_PARTS];
    uint32_t count = cut_parts(stream, profile, parts);
    eens_status status = count != 0 ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
#if !defined(EENS_SMALL)
    if (count == EENS_PARTS && stream->classes->columns == 0) {
        take_groups(stream->code->tables + (2u << stream->code->width), stream->code->width,
                    parts, stream->codes);
    } else if (count == EENS_PARTS && !take_all_classed(stream, parts)) {
        status = EENS_ERR_READ;
    }
#endif
    for (uint32_t j = 0; j < count && status == EENS_OK; j++) {
        status = take_part(stream, &parts[j]);
    }
    return status;
}

#endif
