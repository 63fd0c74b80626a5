/* Prefix codes (S5.1): their lengths, read from the file without storage for them, and checked.
 * Under eens_tables.c; eens_ready.c makes tables of them. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define HEAD_BYTES 4u /* of a body, before the lengths */

void eens_lengths_begin(eens_length_reader *reader, const eens_file *file,
                        const eens_table *table) {
    eens_cursor_begin(&reader->bytes, file, table->offset + HEAD_BYTES, table->size - HEAD_BYTES);
    reader->bits = 0;
    reader->bit_count = 0;
    reader->length = 0;
}

/* Whether there are bytes that were not taken yet. */
static bool has_more(const eens_length_reader *reader) {
    return (reader->bytes.left | reader->bytes.ready) != 0;
}

/* Field 0, 1, 2: as before, one more, one less; 3: the length follows, so 6 bits in all. */
eens_status eens_lengths_next(eens_length_reader *reader, uint32_t most) {
    if (reader->bit_count < 6 && has_more(reader)) {
        int32_t byte = eens_take(&reader->bytes);
        if (byte < 0) {
            return EENS_ERR_READ;
        }
        reader->bits |= (uint32_t)byte << reader->bit_count;
        reader->bit_count += 8;
    }
    uint32_t field = reader->bits & 3;
    uint32_t width = field == 3 ? 6 : 2;
    reader->length = field == 3 ? reader->bits >> 2 & 15 : reader->length + (field & 1) - field / 2;
    if (reader->bit_count < width || reader->length > most) { /* 0 less 1 is a large number */
        return EENS_ERR_TABLE;
    }
    reader->bits >>= width;
    reader->bit_count -= width;
    return EENS_OK;
}

static eens_status check_head(const eens_file *file, const eens_table *table,
                              eens_prefix *prefix) {
    uint8_t head[HEAD_BYTES];
    uint32_t symbols = 1;
    if (table->size < HEAD_BYTES) {
        return EENS_ERR_TABLE;
    }
    if (!eens_fetch(file, table->offset, HEAD_BYTES, head)) {
        return EENS_ERR_READ;
    }
    int32_t low = (int32_t)(head[1] ^ 0x80u) - 0x80;
    prefix->group = head[0];
    prefix->low = (int8_t)low;
    prefix->values = (uint16_t)(head[2] + 1u);
    if (head[0] - 1u >= 4 || low + head[2] > 127 || head[3] != 0) {
        return EENS_ERR_TABLE;
    }
    for (uint32_t i = 0; i < head[0]; i++) {
        symbols *= prefix->values; /* at most 2^10 x 2^8, for the line below */
        if (symbols > EENS_MAX_SYMBOLS) {
            return EENS_ERR_TABLE;
        }
    }
    prefix->symbols = (uint16_t)symbols;
    return EENS_OK;
}

/* Counts the symbols of each length: all lengths have to be there, and nothing behind them. */
static eens_status count_lengths(eens_length_reader *reader, uint32_t most, eens_prefix *prefix) {
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        eens_status status = eens_lengths_next(reader, most);
        if (status != EENS_OK) {
            return status;
        }
        prefix->counts[reader->length]++;
    }
    prefix->counts[0] = 0; /* those do not occur */
    bool ends = !has_more(reader) && reader->bit_count < 8 && reader->bits == 0;
    return ends ? EENS_OK : EENS_ERR_TABLE;
}

/* What the numbers of symbols of each length come to; false: the code is not complete. */
static bool sum_up(eens_prefix *prefix) {
    uint32_t sum = 0; /* of 2^-length, times 2^12: at most 2^10 x 2^11 */
    uint32_t used = 0;
    for (uint32_t length = 1; length <= EENS_LONGEST; length++) {
        uint32_t count = prefix->counts[length];
        sum = 2 * sum + count;
        used += count;
        if (count != 0) {
            prefix->longest = (uint8_t)length;
        }
    }
    prefix->used = (uint16_t)used;
    return sum == 1u << EENS_LONGEST;
}

eens_status eens_prefix_check(const eens_file *file, const eens_table *table,
                              eens_prefix *prefix) {
    uint32_t most = file->profile == 0 ? EENS_LONGEST : EENS_LONGEST - 1;
    eens_length_reader reader;
    memset(prefix, 0, sizeof *prefix);
    eens_status status = check_head(file, table, prefix);
    if (status != EENS_OK) {
        return status;
    }
    if (prefix->values == 1) { /* one symbol, which takes no bits */
        prefix->counts[0] = prefix->used = 1;
        return table->size == HEAD_BYTES ? EENS_OK : EENS_ERR_TABLE;
    }
    eens_lengths_begin(&reader, file, table);
    status = count_lengths(&reader, most, prefix);
    return status == EENS_OK && !sum_up(prefix) ? EENS_ERR_TABLE : status;
}

#endif
