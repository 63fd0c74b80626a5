/* Prefix codes (S5.1): their lengths, read from the file without storage for them, checked, and made
 * into a table in the workspace. Under eens_tables.c.
 *
 * A ready table of the default build begins with singles: 2^width numbers of 16 bits, by the next
 * width bits of the stream: the length of the codeword they begin with, and from bit 6 on its symbol
 * (with classes: from bit 8 on its code). Without classes there follow groups: 2^width numbers of
 * 64 bits: all codewords that lie in these bits, but at most six codes: bits 0 to 7 how long they
 * are together, 8 to 15 how many codes, from 16 on the codes. A small build has, in 16 bits each,
 * the longest length, the number of symbols of each length from 1 to 12, and the symbols (codes)
 * in the order of their codewords. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define PIECE 16u
#define HEAD_BYTES 4u /* of a body, before the lengths */
#define COUNTS (EENS_LONGEST + 1)
#define ORDERED_AT (2 * COUNTS) /* where a small table's symbols begin */

/* Reads one length after the other. */
typedef struct length_reader {
    const eens_file *file;
    const uint8_t *bytes;
    uint64_t offset; /* in the file, of what was not viewed yet */
    uint32_t left;   /* bytes from there on */
    uint32_t viewed; /* bytes not taken yet */
    uint32_t bits;   /* taken, not used yet */
    uint32_t bit_count;
    uint32_t length; /* the last one */
    uint8_t buffer[PIECE];
} length_reader;

static void reader_begin(length_reader *reader, const eens_file *file, const eens_table *table) {
    memset(reader, 0, sizeof *reader);
    reader->file = file;
    reader->offset = table->offset + HEAD_BYTES;
    reader->left = table->size - HEAD_BYTES;
}

static eens_status take_bits(length_reader *reader, uint32_t width, uint32_t *field) {
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

/* The next length, in reader->length; above most, or below 0: TABLE. */
static eens_status next_length(length_reader *reader, uint32_t most) {
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
        symbols *= prefix->values; /* at most 2^32 / 2^8 before: see the line below */
        if (symbols > EENS_MAX_SYMBOLS) {
            return EENS_ERR_TABLE;
        }
    }
    prefix->symbols = (uint16_t)symbols;
    return EENS_OK;
}

/* The outline of a code, and how many symbols have each length. */
static eens_status scan(const eens_file *file, const eens_table *table, uint32_t most,
                        eens_prefix *prefix, uint16_t *counts) {
    length_reader reader;
    uint32_t sum = 0; /* of 2^-length, times 2^12: at most 2^10 x 2^11 */
    memset(counts, 0, COUNTS * sizeof *counts);
    eens_status status = check_head(file, table, prefix);
    if (status != EENS_OK) {
        return status;
    }
    prefix->longest = 0;
    prefix->used = 1;
    if (prefix->values == 1) {
        return table->size == HEAD_BYTES ? EENS_OK : EENS_ERR_TABLE;
    }
    reader_begin(&reader, file, table);
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        status = next_length(&reader, most);
        if (status != EENS_OK) {
            return status;
        }
        counts[reader.length]++;
        sum += reader.length != 0 ? 1u << (EENS_LONGEST - reader.length) : 0;
        prefix->longest =
            (uint8_t)(reader.length > prefix->longest ? reader.length : prefix->longest);
    }
    prefix->used = (uint16_t)(prefix->symbols - counts[0]);
    bool ends = reader.left == 0 && reader.viewed == 0 && reader.bits == 0;
    return ends && sum == 1u << EENS_LONGEST ? EENS_OK : EENS_ERR_TABLE;
}

eens_status eens_prefix_check(const eens_file *file, const eens_table *table, uint32_t most,
                              eens_prefix *prefix) {
    uint16_t counts[COUNTS];
    return scan(file, table, most, prefix, counts);
}

/* What a table says of a symbol: its number, or with classes, where a symbol is a code, that code. */
static uint32_t said_of(const eens_prefix *prefix, uint32_t symbol, bool has_classes) {
    return has_classes ? (uint32_t)(prefix->low + (int32_t)symbol) & 0xFFu : symbol;
}

#if defined(EENS_SMALL)

uint32_t eens_ready_bytes(const eens_prefix *prefix, uint32_t width, bool has_classes) {
    (void)width, (void)has_classes;
    return ORDERED_AT + 2u * prefix->used;
}

static void store16(uint8_t *bytes, uint32_t value) {
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

/* places[l]: where the next symbol of length l stands among the symbols. */
static eens_status order_symbols(length_reader *reader, const eens_prefix *prefix,
                                 bool has_classes, uint16_t *places, uint8_t *ready) {
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        eens_status status = next_length(reader, prefix->longest);
        if (status != EENS_OK) {
            return status;
        }
        if (reader->length != 0) {
            uint32_t place = places[reader->length]++;
            if (place >= prefix->used) {
                return EENS_ERR_TABLE;
            }
            store16(ready + ORDERED_AT + 2 * place, said_of(prefix, symbol, has_classes));
        }
    }
    return EENS_OK;
}

eens_status eens_prefix_build(const eens_file *file, const eens_table *table,
                              const eens_codes_ready *code, bool has_classes, uint8_t *ready) {
    length_reader reader;
    eens_prefix prefix;
    uint16_t counts[COUNTS];
    eens_status status = scan(file, table, code->width, &prefix, counts);
    if (status != EENS_OK) {
        return status;
    }
    if (eens_ready_bytes(&prefix, code->width, has_classes) > code->stride) {
        return EENS_ERR_TABLE;
    }
    store16(ready, prefix.longest);
    for (uint32_t length = 1, place = 0; length < COUNTS; length++) {
        uint32_t count = counts[length];
        store16(ready + 2 * length, count);
        counts[length] = (uint16_t)place;
        place += count;
    }
    store16(ready + ORDERED_AT, said_of(&prefix, 0, has_classes)); /* stays if A = 1 */
    if (prefix.values == 1) {
        return EENS_OK;
    }
    reader_begin(&reader, file, table);
    return order_symbols(&reader, &prefix, has_classes, counts, ready);
}

#else

uint32_t eens_ready_bytes(const eens_prefix *prefix, uint32_t width, bool has_classes) {
    (void)prefix;
    return (has_classes ? 2u : 2u + 8u) << width;
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
static eens_status build_singles(length_reader *reader, const eens_prefix *prefix,
                                 const eens_codes_ready *code, bool has_classes, uint16_t *words,
                                 uint8_t *singles) {
    uint32_t shift = has_classes ? 8 : 6;
    for (uint32_t symbol = 0; symbol < prefix->symbols; symbol++) {
        eens_status status = next_length(reader, code->width);
        if (status != EENS_OK) {
            return status;
        }
        uint32_t length = reader->length;
        if (length != 0) {
            uint32_t first = reversed(words[length]++, length);
            uint32_t value = length | said_of(prefix, symbol, has_classes) << shift;
            fill_singles(singles, first, 1u << length, code->width, value);
        }
    }
    return EENS_OK;
}

/* As many codes as lie in the width bits of index, at most six. */
static uint64_t group_at(const eens_codes_ready *code, const uint8_t *singles, uint32_t index) {
    uint64_t entry = 0;
    uint32_t length = 0;
    uint32_t count = 0;
    do {
        uint16_t single;
        memcpy(&single, singles + 2 * index, 2);
        uint32_t more = single & 63u;
        uint32_t symbol = single >> 6;
        if (length + more > code->width) {
            break;
        }
        for (uint32_t i = 0; i < code->group; i++, symbol /= code->values) {
            uint32_t value = (uint32_t)(code->low + (int32_t)(symbol % code->values)) & 0xFFu;
            entry |= (uint64_t)value << (16 + 8 * count++);
        }
        length += more;
        index >>= more;
    } while (count + code->group <= 6);
    return entry | length | count << 8;
}

eens_status eens_prefix_build(const eens_file *file, const eens_table *table,
                              const eens_codes_ready *code, bool has_classes, uint8_t *ready) {
    length_reader reader;
    eens_prefix prefix;
    uint16_t counts[COUNTS];
    uint32_t size = 1u << code->width;
    eens_status status = scan(file, table, code->width, &prefix, counts);
    if (status != EENS_OK) {
        return status;
    }
    if (prefix.values == 1) {
        fill_singles(ready, 0, 1, code->width, said_of(&prefix, 0, has_classes) << 8);
    } else {
        /* Zeros are harmless entries, should the storage give other lengths this time. */
        memset(ready, 0, 2 * size);
        for (uint32_t length = 1, word = 0; length < COUNTS; length++) {
            uint32_t count = counts[length];
            counts[length] = (uint16_t)word;
            word = 2 * (word + count);
        }
        reader_begin(&reader, file, table);
        status = build_singles(&reader, &prefix, code, has_classes, counts, ready);
    }
    for (uint32_t i = 0; status == EENS_OK && !has_classes && i < size; i++) {
        uint64_t entry = group_at(code, ready, i);
        memcpy(ready + 2 * size + 8 * i, &entry, 8);
    }
    return status;
}

#endif

#endif
