/* The coder split (S5.5, S10.5): the lowest bits of numbers, in fields beside their codewords. Between
 * eens_entropy.c and eens_stream.c. */
#include "eens_entropy.h"
#include "eens_vector.h"

#if defined(EENS_HAS_SPLIT)

#define MOST_LOW_BITS 6u
#define PIECE 512u /* fields on their way, which stay in the nearest cache */

eens_status eens_low_bits_open(const eens_file *file, const eens_table *table, uint32_t sets,
                               eens_coding *coding) {
    uint32_t count = coding->table_count;
    if (table->kind != EENS_LOW_BITS || table->size != sets * count ||
        (coding->classes.columns != 0 && !coding->classes.only_rows)) {
        return EENS_ERR_RECORD;
    }
    for (uint32_t i = 0; i < table->size; i++) {
        eens_codes_ready *code = &coding->codes_ready[i / count];
        uint8_t width;
        if (!eens_fetch(file, table->offset + i, 1, &width)) {
            return EENS_ERR_READ;
        }
        if (width == 0) {
            continue;
        }
        if (width > MOST_LOW_BITS || (code->low_bits != 0 && width != code->low_bits)) {
            return EENS_ERR_RECORD;
        }
        code->low_bits = width;
        code->with_low = (uint8_t)(code->with_low | 1u << i % count);
    }
    return EENS_OK;
}

/* The positions from this one on that all have a field, or all have none: all of the block if all tables
 * have low bits, else rows; false: READ. */
static bool next_stretch(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                         uint32_t begin, uint32_t *count, bool *has_field) {
    const eens_classes *classes = &job->coding->classes;
    const uint32_t most = job->coding->table_count - 1u;
    const uint32_t columns = classes->columns;
    uint8_t numbers[EENS_FIELDS];
    *count = job->block.count - begin;
    *has_field = true;
    if (code->with_low == (2u << most) - 1) {
        return true;
    }
    uint32_t position = job->block.first + begin; /* at most 2^31 */
    uint32_t row = copy * (job->tensor->elements / columns) + position / columns;
    uint32_t rows = (position % columns + *count - 1) / columns + 1;
    uint32_t end = columns - position % columns; /* of row i, counted from begin */
    for (uint32_t i = 0; i < rows; i++, end += columns) {
        uint32_t left = rows - i;
        if (i % EENS_FIELDS == 0 &&
            !eens_fields(job->file, eens_rows_offset(classes), row + i,
                         left < EENS_FIELDS ? left : EENS_FIELDS, numbers)) {
            return false;
        }
        uint32_t number = numbers[i % EENS_FIELDS];
        bool has = (code->with_low >> (number < most ? number : most) & 1) != 0;
        if (i == 0) {
            *has_field = has;
        } else if (has != *has_field) {
            *count = end - columns;
            return true;
        }
    }
    return true;
}

eens_status eens_low_bits_size(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                               const uint8_t *bytes, uint32_t size, uint32_t *low_size) {
    uint32_t fields = 0, count;
    bool has_field;
    for (uint32_t at = 0; at < job->block.count && code->low_bits != 0; at += count) {
        if (!next_stretch(job, code, copy, at, &count, &has_field)) {
            return EENS_ERR_READ;
        }
        fields += has_field ? count : 0;
    }
    uint32_t bits = fields * code->low_bits; /* at most 6 x 2^20 */
    *low_size = eens_ceil8(bits);
    return *low_size <= size && eens_padding_is_zero(bytes, bits) ? EENS_OK
                                                                  : EENS_ERR_BLOCK_CONTENT;
}

/* Numbers h become 2^width h + low, eight in a word: the shifted bits of a byte that come into the next
 * one are masked, whatever the order of the bytes. */
static void put_below(uint32_t width, const int8_t *low, uint32_t count, int8_t *codes) {
    const uint64_t mask = 0x0101010101010101u * ((1u << width) - 1);
    uint32_t i = 0;
    for (; count - i >= 8; i += 8) {
        uint64_t above, below;
        memcpy(&above, codes + i, 8);
        memcpy(&below, low + i, 8);
        above = (above << width & ~mask) | (below & mask);
        memcpy(codes + i, &above, 8);
    }
    for (; i < count; i++) {
        codes[i] = (int8_t)(uint8_t)((uint32_t)codes[i] << width | ((uint8_t)low[i] & mask & 255));
    }
}

/* Two bits, as most files have: a byte's four fields come into bytes of their own. Only on little-endian
 * machines, where these stand in order. */
static uint32_t put_two_below(const uint8_t *bytes, uint32_t count, int8_t *codes) {
    const uint32_t mask = 0x03030303u;
    const uint32_t done = EENS_LITTLE_ENDIAN ? count / 8 * 8 : 0; /* as eens_unpack goes on */
    for (uint32_t i = 0; i < done; i += 4) {
        uint32_t above, four = bytes[i / 4];
        memcpy(&above, codes + i, 4);
        four |= four << 12;
        four |= four << 6;
        above = (above << 2 & ~mask) | (four & mask);
        memcpy(codes + i, &above, 4);
    }
    return done;
}

/* The fields from number first on, which begins a byte of the size bytes. A vector kernel may read behind
 * the last of them, but not behind all. */
static void add_fields(uint8_t way, uint32_t width, const uint8_t *bytes, uint32_t size,
                       uint32_t first, uint32_t count, int8_t *codes) {
    int8_t fields[PIECE];
    uint32_t part, i = 0;
#if defined(EENS_VECTOR)
    if (way != EENS_BY_SCALAR) {
        uint32_t skip = first / 8 * width;
        i = eens_unpack_below(bytes + skip, size - skip, count, width, codes);
    }
#endif
    (void)size;
    if (width == 2) {
        i += put_two_below(bytes + (first + i) / 4, count - i, codes + i);
    }
    for (; i < count; i += part) {
        part = count - i < PIECE ? count - i : PIECE;
        eens_unpack(way, bytes, first + i, part, width, fields);
        put_below(width, fields, part, codes + i);
    }
}

/* The same from any field on. */
static void add_any_fields(uint8_t way, uint32_t width, const uint8_t *bytes, uint32_t size,
                           uint32_t first, uint32_t count, int8_t *codes) {
    eens_stream low = {bytes, size, first * width};
    for (; first % 8 != 0 && count != 0; first++, count--, codes++) {
        *codes = (int8_t)(uint8_t)((uint32_t)*codes << width | eens_take_bits(&low, width));
    }
    add_fields(way, width, bytes, size, first, count, codes);
}

bool eens_low_bits_add(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                       const uint8_t *bytes, uint32_t size, int8_t *codes) {
    uint32_t first = 0, count;
    bool has_field;
    for (uint32_t at = 0; at < job->block.count && code->low_bits != 0; at += count) {
        if (!next_stretch(job, code, copy, at, &count, &has_field)) {
            return false;
        }
        if (has_field && (first + count) * code->low_bits > 8 * size) {
            return false; /* the storage has changed since the size was found */
        }
        if (has_field) {
            add_any_fields(job->way, code->low_bits, bytes, size, first, count, codes + at);
            first += count;
        }
    }
    return true;
}

#endif
