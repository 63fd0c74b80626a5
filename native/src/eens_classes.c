/* Classes (S5.2): which of a tensor's prefix codes a position uses, by its row and its column. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define HEAD_BYTES 8u
#define ONES 0x0101010101010101u

static uint64_t stream_bytes(uint64_t fields) {
    return (3 * fields + 7) / 8;
}

/* The two numbers of the head, and where the two streams begin. */
static eens_status load(const eens_file *file, const eens_table *table, eens_classes *classes) {
    uint8_t buffer[HEAD_BYTES];
    const uint8_t *head = eens_view(file, table->offset, HEAD_BYTES, buffer);
    if (head == NULL) {
        return EENS_ERR_READ;
    }
    classes->file = file;
    classes->columns = eens_load32(head);
    classes->rows = eens_load32(head + 4);
    classes->columns_offset = table->offset + HEAD_BYTES;
    classes->rows_offset = classes->columns_offset + stream_bytes(classes->columns);
    return EENS_OK;
}

eens_status eens_classes_check(const eens_file *file, const eens_table *table) {
    eens_classes classes;
    if (table->size < HEAD_BYTES) {
        return EENS_ERR_TABLE;
    }
    eens_status status = load(file, table, &classes);
    if (status != EENS_OK) {
        return status;
    }
    return classes.columns != 0 && classes.rows != 0 ? EENS_OK : EENS_ERR_TABLE;
}

/* The last byte of a stream of so many fields. */
static eens_status check_padding(const eens_file *file, uint64_t offset, uint64_t fields) {
    uint8_t buffer[1];
    const uint8_t *last = eens_view(file, offset + 3 * fields / 8, 3 * fields % 8 != 0, buffer);
    if (last == NULL) {
        return EENS_ERR_READ;
    }
    return 3 * fields % 8 == 0 || *last >> 3 * fields % 8 == 0 ? EENS_OK : EENS_ERR_RECORD;
}

eens_status eens_classes_open(const eens_file *file, const eens_table *table,
                              const eens_tensor *tensor, eens_classes *classes) {
    if (table->size < HEAD_BYTES) {
        return EENS_ERR_RECORD;
    }
    eens_status status = load(file, table, classes);
    if (status != EENS_OK) {
        return status;
    }
    /* E is at most 2^31 - 1; past this line so are columns and rows. */
    uint64_t fields = (uint64_t)(tensor->method == EENS_DRAWN ? 1 : tensor->copies) * classes->rows;
    if ((uint64_t)classes->columns * classes->rows != tensor->elements ||
        tensor->elements == 0 ||
        table->size != HEAD_BYTES + stream_bytes(classes->columns) + stream_bytes(fields)) {
        return EENS_ERR_RECORD;
    }
    status = check_padding(file, classes->columns_offset, classes->columns);
    return status == EENS_OK ? check_padding(file, classes->rows_offset, fields) : status;
}

/* The smaller of each byte of numbers, at most 14, and most. */
static inline uint64_t capped(uint64_t numbers, uint32_t most) {
    uint64_t above = (numbers + (0x7F - most) * ONES) >> 7 & ONES;
    uint64_t mask = above * 0xFF;
    return (numbers & ~mask) | (most * ONES & mask);
}

/* Eight fields of 3 bits become bytes: halved three times, as in eens_unpack.c. */
static inline uint64_t spread8(uint64_t fields) {
    fields &= 0xFFFFFFu;
    fields = (fields | fields << 20) & 0x00000FFF00000FFFu;
    fields = (fields | fields << 10) & 0x003F003F003F003Fu;
    return (fields | fields << 5) & 0x0707070707070707u;
}

/* count positions of one row, from this column on; up to 7 bytes behind numbers are written too. */
static bool row_numbers(const eens_classes *classes, uint32_t column, uint32_t row_class,
                        uint32_t count, uint8_t *numbers) {
    uint8_t fields[32] = {0};
    uint64_t bit = 3 * (uint64_t)column;
    uint32_t skip = (uint32_t)(bit % 8);
    uint32_t size = eens_ceil8(skip + 3 * count); /* at most 25 for 64 positions */
    const uint8_t *bytes = eens_view(classes->file, classes->columns_offset + bit / 8, size, fields);
    if (bytes == NULL) {
        return false;
    }
    if (bytes != fields) {
        memcpy(fields, bytes, size);
    }
    for (uint32_t i = 0; i < count; i += 8) {
        uint64_t eight = spread8(eens_load32(fields + 3 * i / 8) >> skip);
        eight = capped(eight + row_class * ONES, classes->most);
        for (uint32_t k = 0; k < 8; k++) {
            numbers[i + k] = (uint8_t)(eight >> 8 * k);
        }
    }
    return true;
}

/* A row's class, from one byte or two. */
static bool row_class_of(const eens_classes *classes, uint64_t row, uint32_t *row_class) {
    uint8_t buffer[2];
    uint32_t skip = (uint32_t)(3 * row % 8);
    uint32_t size = skip > 5 ? 2 : 1;
    const uint8_t *bytes =
        eens_view(classes->file, classes->rows_offset + 3 * row / 8, size, buffer);
    if (bytes == NULL) {
        return false;
    }
    *row_class = ((uint32_t)bytes[0] | (size == 2 ? (uint32_t)bytes[1] << 8 : 0)) >> skip & 7;
    return true;
}

bool eens_classes_at(const eens_classes *classes, uint32_t copy, uint32_t first, uint32_t count,
                     uint8_t *numbers) {
    uint32_t row = first / classes->columns;
    uint32_t column = first % classes->columns;
    while (count != 0) {
        uint32_t left = classes->columns - column;
        uint32_t part = left < count ? left : count;
        uint32_t row_class;
        if (!row_class_of(classes, (uint64_t)copy * classes->rows + row, &row_class) ||
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
