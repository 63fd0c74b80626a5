/* Prefix codes (S5.1): their lengths, read from the file without storage for them, and checked.
 * Under eens_tables.c; eens_ready.c makes tables of them. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define HEAD_BYTES 4u /* of a body, before the lengths */
#define PIECE ((uint32_t)sizeof((eens_length_reader *)0)->buffer)

void eens_lengths_begin(eens_length_reader *reader, const eens_file *file,
                        const eens_table *table) {
    memset(reader, 0, sizeof *reader);
    reader->file = file;
    reader->offset = table->offset + HEAD_BYTES;
    reader->left = table->size - HEAD_BYTES;
}

static eens_status take_bits(eens_length_reader *reader, uint32_t width, uint32_t *field) {
    if (reader->bit_count < width) {
        if (reader->viewed == 0) {
            uint32_t part = reader->left < PIECE ? reader->left : PIECE;
            if (part == 0) {
                return EENS_ERR_TABLE;
            }
            reader->bytes = eens_view(reader->file, reader->offset, part, reader->buffer);
            if (reader->bytes == NULL) {
                return EENS_ERR_READ;
            }
            reader->offset += part;
            reader->left -= part;
            reader->viewed = part;
        }
        reader->bits |= (uint32_t)*reader->bytes++ << reader->bit_count;
        reader->bit_count += 8;
        reader->viewed--;
    }
    *field = reader->bits & ((1u << width) - 1);
    reader->bits >>= width;
    reader->bit_count -= width;
    return EENS_OK;
}

eens_status eens_lengths_next(eens_length_reader *reader, uint32_t most) {
    uint32_t field;
    eens_status status = take_bits(reader, 2, &field);
    if (status == EENS_OK && field == 3) {
        status = take_bits(reader, 4, &reader->length);
    } else if (status == EENS_OK) {
        reader->length += field == 1;
        reader->length -= field == 2; /* below 0 it becomes the largest number */
    }
    return status == EENS_OK && reader->length > most ? EENS_ERR_TABLE : status;
}

static eens_status check_head(const eens_file *file, const eens_table *table,
                              eens_prefix *prefix) {
    uint8_t buffer[HEAD_BYTES];
    if (table->size < HEAD_BYTES) {
        return EENS_ERR_TABLE;
    }
    const uint8_t *head = eens_view(file, table->offset, HEAD_BYTES, buffer);
    if (head == NULL) {
        return EENS_ERR_READ;
    }
    int32_t low = (int32_t)(head[1] ^ 0x80u) - 0x80;
    uint32_t symbols = 1;
    prefix->group = head[0];
    prefix->low = (int8_t)low;
    prefix->values = (uint16_t)(head[2] + 1u);
    if (head[0] < 1 || head[0] > 4 || low + head[2] > 127 || head[3] != 0) {
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

eens_status eens_prefix_scan(const eens_file *file, const eens_table *table, uint32_t most,
                             eens_prefix *prefix, uint16_t *counts) {
    eens_length_reader reader;
    uint32_t sum = 0; /* of 2^-length, times 2^12: at most 2^10 x 2^11 */
    uint32_t mean = 0;
    memset(counts, 0, EENS_COUNTS * sizeof *counts);
    eens_status status = check_head(file, table, prefix);
    if (status != EENS_OK) {
        return status;
    }
    prefix->longest = 0;
    prefix->mean = 0;
    prefix->used = 1;
    if (prefix->values == 1) {
        return table->size == HEAD_BYTES ? EENS_OK : EENS_ERR_TABLE;
    }
    eens_lengths_begin(&reader, file, table);
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        status = eens_lengths_next(&reader, most);
        if (status != EENS_OK) {
            return status;
        }
        counts[reader.length]++;
        uint32_t share = reader.length != 0 ? 1u << (EENS_LONGEST - reader.length) : 0;
        sum += share;
        mean += share * reader.length;
        prefix->longest =
            (uint8_t)(reader.length > prefix->longest ? reader.length : prefix->longest);
    }
    prefix->used = (uint16_t)(prefix->symbols - counts[0]);
    prefix->mean = (uint16_t)mean; /* at most 12 x 2^12 where the sum is right */
    bool ends = reader.left == 0 && reader.viewed == 0 && reader.bits == 0;
    return ends && sum == 1u << EENS_LONGEST ? EENS_OK : EENS_ERR_TABLE;
}

eens_status eens_prefix_check(const eens_file *file, const eens_table *table, uint32_t most,
                              eens_prefix *prefix) {
    uint16_t counts[EENS_COUNTS];
    return eens_prefix_scan(file, table, most, prefix, counts);
}

#endif
