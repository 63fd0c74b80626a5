/* Prefix codes made ready, and code streams, in a small build (S5.1, S10.1): codewords bit by bit.
 * eens_ready.c, eens_stream.c and eens_stream_fast.c are the default.
 *
 * A ready table has, in 16 bits each, the number of symbols of each length from 0 to 12, and what the
 * symbols say, in the order of their codewords: if the group is 1 the code, else the symbol's number.
 * The one symbol that takes no bits has length 0. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY) && defined(EENS_SMALL)

#define FIRST_OF_FOUR 1024u            /* codes from which a stream has four parts */
#define SYMBOLS_AT (2 * EENS_COUNTS) /* where a table's symbols begin */

uint32_t eens_ready_bytes(const eens_prefix *prefix, const eens_codes_ready *code) {
    (void)code;
    return SYMBOLS_AT + 2u * prefix->used;
}

static void store16(uint8_t *bytes, uint32_t value) {
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

eens_status eens_prefix_build(const eens_file *file, const eens_table *table,
                              const eens_codes_ready *code, uint8_t *ready) {
    eens_length_reader reader;
    eens_prefix prefix;
    eens_status status = eens_prefix_check(file, table, &prefix);
    if (status == EENS_OK && eens_ready_bytes(&prefix, code) > code->stride) {
        status = EENS_ERR_TABLE;
    }
    if (status != EENS_OK) {
        return status;
    }
    uint16_t *places = prefix.counts; /* of the next symbol of each length */
    for (uint32_t length = 0, place = 0; length < EENS_COUNTS; length++) {
        uint32_t count = places[length];
        store16(ready + 2 * length, count);
        places[length] = (uint16_t)place;
        place += count;
    }
    eens_lengths_begin(&reader, file, table);
    for (uint32_t symbol = 0; symbol < prefix.symbols; symbol++) {
        if (prefix.values != 1) {
            status = eens_lengths_next(&reader, prefix.longest);
            if (status != EENS_OK) {
                return status;
            }
            if (reader.length == 0) {
                continue;
            }
        }
        uint32_t place = places[reader.length]++;
        if (place >= prefix.used) { /* other lengths than when they were counted */
            return EENS_ERR_TABLE;
        }
        store16(ready + SYMBOLS_AT + 2 * place,
                prefix.group == 1 ? (uint32_t)(prefix.low + (int32_t)symbol) : symbol);
    }
    return EENS_OK;
}

/* A codeword from its most significant bit on: word is its number among the codewords of its length,
 * of which there are count; from there on stand the longer ones. */
EENS_APART uint32_t take_symbol(const uint8_t *table, eens_stream *bits) {
    const uint8_t *symbols = table + SYMBOLS_AT;
    uint32_t word = 0;
    for (uint32_t length = 0; length < EENS_COUNTS; length++) {
        uint32_t count = eens_load16(table + 2 * length);
        if (word < count) {
            return eens_load16(symbols + 2 * word);
        }
        symbols += 2 * count;
        word = (word - count) << 1 | eens_take_bits(bits, 1);
    }
    return 0; /* never: the code is complete */
}

/* The codes of a symbol, at most left; false: surplus codes that are not low. */
static bool put_symbol(const eens_codes_ready *code, uint32_t symbol, uint32_t left,
                       int8_t *codes) {
    if (code->group == 1) {
        *codes = (int8_t)(uint8_t)symbol;
        return true;
    }
    for (uint32_t i = 0; i < code->group && i < left; i++, symbol /= code->values) {
        codes[i] = (int8_t)(code->low + (int32_t)(symbol % code->values));
    }
    return symbol == 0;
}

/* The codes of a part, of positions begin to end of the block. Faults lead to wrong codes, never to a
 * wrong address. */
static eens_status take_part(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                             eens_stream *bits, uint32_t begin, uint32_t end, int8_t *codes) {
    const eens_coding *coding = job->coding;
    uint32_t chunk = 0; /* positions whose tables are known */
    for (uint32_t i = 0; begin < end; begin += code->group, i++) {
        const uint8_t *table = code->tables;
        if (coding->classes.columns != 0) {
            if (i == chunk) {
                i = 0;
                chunk = eens_classes_some(job, copy, job->block.first + begin, end - begin,
                                          coding->chunk);
                if (chunk == 0) {
                    return EENS_ERR_READ;
                }
            }
            table += (size_t)coding->chunk[i] * code->stride;
        }
        if (!put_symbol(code, take_symbol(table, bits), end - begin, codes + begin)) {
            return EENS_ERR_BLOCK_CONTENT;
        }
    }
    return eens_stream_ends(bits) ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

eens_status eens_code_stream_decode(const eens_job *job, const eens_codes_ready *code,
                                    uint32_t copy, const uint8_t *bytes, uint32_t size,
                                    int8_t *codes) {
    const uint8_t *sizes = bytes;
    uint32_t more = 0; /* parts after this one */
    uint32_t begin = 0;
    uint32_t most = 0;
    if (job->file->profile == 0 && job->block.count >= FIRST_OF_FOUR) {
        more = EENS_PARTS - 1;
        most = 12 * ((job->block.count + 47) / 48);
    }
    if (size < 4 * more) {
        return EENS_ERR_BLOCK_CONTENT;
    }
    bytes += 4 * more;
    size -= 4 * more;
    for (;; more--) {
        eens_stream bits = {bytes, size, 0};
        uint32_t end = job->block.count;
        if (more != 0) {
            bits.size = eens_load32(sizes);
            end = begin + most;
            sizes += 4;
        }
        if (bits.size > size) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        bytes += bits.size;
        size -= bits.size;
        eens_status status = take_part(job, code, copy, &bits, begin, end, codes);
        if (status != EENS_OK || more == 0) {
            return status;
        }
        begin = end;
    }
}

#endif
