/* Classes (S5.2): which of a tensor's prefix codes a position uses, by its row and its column. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define HEAD_BYTES 8u
#define PIECE EENS_FIELDS
#define PIECE_BYTES (3 * PIECE / 8 + 1) /* that hold them, at any first bit */

/* Columns and rows. */
static eens_status load_shape(const eens_file *file, const eens_table *table, uint32_t *shape) {
    if (table->size < HEAD_BYTES) {
        return EENS_ERR_TABLE;
    }
    if (!eens_fetch_words(file, table->offset, 2, shape)) {
        return EENS_ERR_READ;
    }
    return shape[0] != 0 && shape[1] != 0 ? EENS_OK : EENS_ERR_TABLE;
}

eens_status eens_classes_check(const eens_file *file, const eens_table *table) {
    uint32_t shape[2];
    return load_shape(file, table, shape);
}

eens_status eens_padding_check(const eens_file *file, uint32_t offset, uint32_t bits) {
    uint8_t last = 0;
    if (bits % 8 != 0 && !eens_fetch(file, offset + bits / 8, 1, &last)) {
        return EENS_ERR_READ;
    }
    return last >> bits % 8 == 0 ? EENS_OK : EENS_ERR_RECORD;
}

#if !defined(EENS_SMALL)
/* In shorter rows tables change too often to look up several codes at a time. */
#define LONG_ROW 64u

/* Whether the rows tell the class alone: all fields of the columns are 0; false: the storage could not be
 * read. */
static bool find_by_row(const eens_file *file, eens_classes *classes, uint32_t column_bytes) {
    uint8_t buffer[PIECE];
    classes->only_rows = true;
    for (uint32_t at = 0; at < column_bytes && classes->only_rows; at += PIECE) {
        uint32_t part = column_bytes - at < PIECE ? column_bytes - at : PIECE;
        const uint8_t *bytes = eens_view(file, classes->offset + at, part, buffer);
        if (bytes == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < part; i++) {
            classes->only_rows = classes->only_rows && bytes[i] == 0;
        }
    }
    classes->by_row = classes->only_rows && classes->columns >= LONG_ROW;
    return true;
}
#endif

eens_status eens_classes_open(const eens_file *file, const eens_table *table,
                              const eens_tensor *tensor, eens_classes *classes) {
    uint32_t copies = tensor->method == EENS_DRAWN ? 1 : tensor->copies;
    uint32_t shape[2];
    eens_status status = load_shape(file, table, shape);
    if (status != EENS_OK) {
        return status;
    }
    /* More than 8 classes a byte of the table are too many: below, 32 bits hold all numbers of bits. */
    uint32_t most = 8 * table->size; /* a table is at most 2^24 bytes */
    uint32_t columns = shape[0];
    uint32_t rows = shape[1];
    if (columns > most || rows > most / copies ||
        (uint64_t)columns * rows != tensor->elements) {
        return EENS_ERR_RECORD;
    }
    uint32_t column_bits = 3 * columns;
    uint32_t row_bits = 3 * copies * rows;
    uint32_t column_bytes = eens_ceil8(column_bits);
    if (table->size != HEAD_BYTES + column_bytes + eens_ceil8(row_bits)) {
        return EENS_ERR_RECORD;
    }
    classes->columns = columns;
    classes->offset = table->offset + HEAD_BYTES;
    status = eens_padding_check(file, classes->offset, column_bits);
#if !defined(EENS_SMALL)
    if (status == EENS_OK && !find_by_row(file, classes, column_bytes)) {
        status = EENS_ERR_READ;
    }
#endif
    return status == EENS_OK ? eens_padding_check(file, classes->offset + column_bytes, row_bits)
                             : status;
}

bool eens_fields(const eens_file *file, uint32_t offset, uint32_t first, uint32_t count,
                 uint8_t *numbers) {
    uint8_t buffer[PIECE_BYTES];
    uint32_t at = 3 * first % 8;
    const uint8_t *bytes =
        eens_view(file, offset + 3 * first / 8, eens_ceil8(at + 3 * count), buffer);
    if (bytes == NULL) {
        return false;
    }
    for (; count != 0; count--, at += 3) {
        uint32_t field = bytes[at / 8];
        if (at % 8 > 5) {
            field |= (uint32_t)bytes[at / 8 + 1] << 8;
        }
        *numbers++ = (uint8_t)(field >> at % 8 & 7);
    }
    return true;
}

#if !defined(EENS_SMALL)

bool eens_classes_spread(const eens_file *file, eens_classes *classes, uint8_t *columns) {
    uint32_t count = classes->columns;
    classes->column_classes = columns;
    for (uint32_t at = 0; at < count; at += PIECE) {
        uint32_t part = count - at < PIECE ? count - at : PIECE;
        if (!eens_fields(file, classes->offset, at, part, columns + at)) {
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

/* count positions of one row, counted over all copies, from this column on. */
static bool row_numbers(const eens_job *job, uint32_t row, uint32_t column, uint32_t count,
                        uint8_t *numbers) {
    const eens_classes *classes = &job->coding->classes;
    const uint8_t *columns = numbers;
    uint8_t row_class;
    if (!eens_fields(job->file, eens_rows_offset(classes), row, 1, &row_class)) {
        return false;
    }
#if defined(EENS_SMALL)
    if (!eens_fields(job->file, classes->offset, column, count, numbers)) {
        return false;
    }
#else
    columns = classes->column_classes + column;
#endif
    add_row(columns, row_class, job->coding->table_count - 1u, count, numbers);
    return true;
}

#if defined(EENS_SMALL)

uint32_t eens_classes_some(const eens_job *job, uint32_t copy, uint32_t first, uint32_t count,
                           uint8_t *numbers) {
    uint32_t columns = job->coding->classes.columns;
    uint32_t row = copy * (job->tensor->elements / columns) + first / columns;
    uint32_t column = first % columns;
    uint32_t left = columns - column;
    count = count < EENS_FIELDS ? count : EENS_FIELDS;
    count = count < left ? count : left;
    return row_numbers(job, row, column, count, numbers) ? count : 0;
}

#else

bool eens_classes_at(const eens_job *job, uint32_t copy, uint32_t first, uint32_t count,
                     uint8_t *numbers) {
    uint32_t columns = job->coding->classes.columns;
    uint32_t row = copy * (job->tensor->elements / columns) + first / columns;
    uint32_t column = first % columns;
    while (count != 0) {
        uint32_t left = columns - column;
        uint32_t part = left < count ? left : count;
        if (!row_numbers(job, row, column, part, numbers)) {
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

#endif
