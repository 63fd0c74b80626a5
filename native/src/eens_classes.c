/* Classes (S5.2): which of a tensor's prefix codes a position uses, by its row and its column. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define HEAD_BYTES 8u
#define PIECE EENS_FIELDS
#define PIECE_BYTES (3 * PIECE / 8 + 1) /* that hold them, at any first bit */

/* The two numbers of the head, and where the classes of the columns begin. */
static eens_status load(const eens_file *file, const eens_table *table, eens_classes *classes) {
    uint32_t head[2];
    if (table->size < HEAD_BYTES) {
        return EENS_ERR_TABLE;
    }
    if (!eens_fetch_words(file, table->offset, 2, head)) {
        return EENS_ERR_READ;
    }
    classes->file = file;
    classes->columns = head[0];
    classes->rows = head[1];
    classes->columns_offset = table->offset + HEAD_BYTES;
    return classes->columns != 0 && classes->rows != 0 ? EENS_OK : EENS_ERR_TABLE;
}

eens_status eens_classes_check(const eens_file *file, const eens_table *table) {
    eens_classes classes;
    return load(file, table, &classes);
}

eens_status eens_padding_check(const eens_file *file, uint32_t offset, uint32_t bits) {
    uint8_t last = 0;
    if (bits % 8 != 0 && !eens_fetch(file, offset + bits / 8, 1, &last)) {
        return EENS_ERR_READ;
    }
    return last >> bits % 8 == 0 ? EENS_OK : EENS_ERR_RECORD;
}

#if !defined(EENS_SMALL)
/* Whether the rows tell the class alone: all fields of the columns are 0. For shorter rows tables change
 * too often to look up several codes at a time; false: the storage could not be read. */
#define LONG_ROW 64u

static bool find_by_row(eens_classes *classes, uint32_t column_bytes) {
    uint8_t buffer[PIECE];
    classes->by_row = classes->columns >= LONG_ROW;
    for (uint32_t at = 0; at < column_bytes && classes->by_row; at += PIECE) {
        uint32_t part = column_bytes - at < PIECE ? column_bytes - at : PIECE;
        const uint8_t *bytes = eens_view(classes->file, classes->columns_offset + at, part, buffer);
        if (bytes == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < part; i++) {
            classes->by_row = classes->by_row && bytes[i] == 0;
        }
    }
    return true;
}
#endif

eens_status eens_classes_open(const eens_file *file, const eens_table *table,
                              const eens_tensor *tensor, eens_classes *classes) {
    uint32_t copies = tensor->method == EENS_DRAWN ? 1 : tensor->copies;
    eens_status status = load(file, table, classes);
    if (status != EENS_OK) {
        return status == EENS_ERR_TABLE ? EENS_ERR_RECORD : status;
    }
    /* More than 8 classes a byte of the table are too many: below, 32 bits hold all numbers of bits. */
    uint32_t most = 8 * table->size; /* a table is at most 2^24 bytes */
    if (classes->columns > most || classes->rows > most / copies ||
        tensor->elements / classes->columns != classes->rows ||
        tensor->elements % classes->columns != 0) {
        return EENS_ERR_RECORD;
    }
    uint32_t column_bits = 3 * classes->columns;
    uint32_t row_bits = 3 * copies * classes->rows;
    uint32_t column_bytes = eens_ceil8(column_bits);
    if (table->size != HEAD_BYTES + column_bytes + eens_ceil8(row_bits)) {
        return EENS_ERR_RECORD;
    }
    classes->rows_offset = classes->columns_offset + column_bytes;
    status = eens_padding_check(file, classes->columns_offset, column_bits);
#if !defined(EENS_SMALL)
    if (status == EENS_OK && !find_by_row(classes, column_bytes)) {
        status = EENS_ERR_READ;
    }
#endif
    return status == EENS_OK ? eens_padding_check(file, classes->rows_offset, row_bits) : status;
}

bool eens_fields(const eens_file *file, uint32_t offset, uint32_t first, uint32_t count,
                 uint8_t *numbers) {
    uint8_t buffer[PIECE_BYTES];
    uint32_t skip = 3 * first % 8;
    eens_stream stream = {buffer, eens_ceil8(skip + 3 * count), skip};
    const uint8_t *bytes = eens_view(file, offset + 3 * first / 8, stream.size, buffer);
    stream.bytes = bytes;
    for (uint32_t i = 0; bytes != NULL && i < count; i++) {
        numbers[i] = (uint8_t)eens_take_bits(&stream, 3);
    }
    return bytes != NULL;
}

#if defined(EENS_SMALL)

bool eens_classes_spread(eens_classes *classes, uint8_t *columns) {
    (void)classes, (void)columns;
    return true;
}

#else

bool eens_classes_spread(eens_classes *classes, uint8_t *columns) {
    uint32_t count = classes->columns;
    classes->column_classes = columns;
    for (uint32_t at = 0; at < count; at += PIECE) {
        uint32_t part = count - at < PIECE ? count - at : PIECE;
        if (!eens_fields(classes->file, classes->columns_offset, at, part, columns + at)) {
            return false;
        }
    }
    return true;
}

#endif

/* Sixteen bytes at a time where the compiler knows vectors, as not every level of optimisation makes
 * them of the loop; columns may be numbers itself. */
static void add_row(const uint8_t *columns, uint32_t row_class, uint32_t most, uint32_t count,
                    uint8_t *numbers) {
    const uint8_t row = (uint8_t)row_class;
    const uint8_t largest = (uint8_t)most;
    uint32_t i = 0;
#if !defined(EENS_SMALL) && defined(__GNUC__)
    const eens_bytes16 rows = (eens_bytes16){0} + row;
    const eens_bytes16 most16 = (eens_bytes16){0} + largest;
    for (; i + 16 <= count; i += 16) {
        eens_bytes16 sums;
        memcpy(&sums, columns + i, 16);
        sums += rows;
        eens_bytes16 fits = (eens_bytes16)(sums <= most16);
        sums = (sums & fits) | (most16 & ~fits);
        memcpy(numbers + i, &sums, 16);
    }
#endif
    for (; i < count; i++) {
        uint8_t number = (uint8_t)(columns[i] + row);
        numbers[i] = number < largest ? number : largest;
    }
}

/* count positions of one row, from this column on. */
static bool row_numbers(const eens_classes *classes, uint32_t column, uint32_t row_class,
                        uint32_t count, uint8_t *numbers) {
    const uint8_t *columns = numbers;
#if defined(EENS_SMALL)
    if (!eens_fields(classes->file, classes->columns_offset, column, count, numbers)) {
        return false;
    }
#else
    columns = classes->column_classes + column;
#endif
    add_row(columns, row_class, classes->most, count, numbers);
    return true;
}

bool eens_classes_at(const eens_classes *classes, uint32_t copy, uint32_t first, uint32_t count,
                     uint8_t *numbers) {
    uint32_t row = first / classes->columns;
    uint32_t column = first % classes->columns;
    while (count != 0) {
        uint32_t left = classes->columns - column;
        uint32_t part = left < count ? left : count;
        uint8_t row_class;
        if (!eens_fields(classes->file, classes->rows_offset, copy * classes->rows + row, 1,
                          &row_class) ||
            !row_numbers(classes, column, row_class, part, numbers)) {
            return false;
        }
        numbers += part;
        count -= part;
        column = 0;
        row++;
    }
    return true;
}

#endif
