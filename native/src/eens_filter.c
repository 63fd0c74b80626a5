/* Filters (S5.4, S10.4): residuals of a code stream back into its numbers, in place. Most rows of
 * the default build are done by eens_filter_fast.c, sixteen at a time. */
#include "eens_entropy.h"

#if !defined(EENS_NO_FILTER)

#define LAGS_AT 4u /* behind the columns */
#define WEIGHTS_AT (LAGS_AT + 2 * EENS_TAPS)
#define SET_BYTES EENS_TAPS /* weights */

eens_status eens_filter_open(const eens_file *file, uint32_t number, const eens_tensor *tensor,
                             eens_filter *filter) {
    eens_table table;
    uint8_t buffer[LAGS_AT];
    eens_status status = eens_table_at(file, number, &table);
    if (status != EENS_OK) {
        return status;
    }
    if (table.kind != EENS_FILTER || table.size < WEIGHTS_AT + SET_BYTES) {
        return EENS_ERR_RECORD;
    }
    const uint8_t *columns = eens_view(file, table.offset, LAGS_AT, buffer);
    if (columns == NULL) {
        return EENS_ERR_READ;
    }
    filter->file = file;
    filter->offset = table.offset;
    filter->columns = eens_load32(columns);
    filter->sets = table.size == WEIGHTS_AT + SET_BYTES ? 1 : EENS_SETS;
    if (filter->columns == 0 || tensor->elements % filter->columns != 0) {
        return EENS_ERR_RECORD;
    }
    if (filter->sets == 1) {
        return EENS_OK;
    }
    uint64_t bits = 3 * (uint64_t)filter->columns;
    uint32_t sets_at = WEIGHTS_AT + EENS_SETS * SET_BYTES;
    return table.size == sets_at + (bits + 7) / 8
               ? eens_padding_check(file, table.offset + sets_at, (uint32_t)bits)
               : EENS_ERR_RECORD;
}

/* The sets of up to EENS_FIELDS columns from this one on, one a byte. */
static bool sets_at(const eens_filter *filter, uint32_t column, uint32_t count, uint8_t *sets) {
#if defined(EENS_FILTER_FAST)
    if (filter->column_sets != NULL) {
        memcpy(sets, filter->column_sets + column, count);
        return true;
    }
#endif
    if (filter->sets == 1) {
        memset(sets, 0, count);
        return true;
    }
    return eens_fields(filter->file, filter->offset + WEIGHTS_AT + EENS_SETS * SET_BYTES, column,
                       count, sets);
}

bool eens_filter_taps(const eens_filter *filter, eens_taps *taps) {
    uint32_t weights = filter->sets * SET_BYTES;
    if (!eens_fetch(filter->file, filter->offset + WEIGHTS_AT, weights, taps->weights)) {
        return false;
    }
    uint8_t buffer[2 * EENS_TAPS];
    const uint8_t *lags =
        eens_view(filter->file, filter->offset + LAGS_AT, sizeof buffer, buffer);
    for (uint32_t t = 0; t < EENS_TAPS && lags != NULL; t++) {
        taps->lags[t] = (uint16_t)eens_load16(lags + 2 * t);
    }
    return lags != NULL;
}

#if defined(EENS_FILTER_FAST)

/* Of the wide rows that eens_filter_fast.c leaves, nothing is kept. */
static bool is_kept(const eens_filter *filter) {
    return filter->columns - 1u < EENS_FILTER_WIDEST;
}

static size_t past_bytes(const eens_filter *filter) {
    return (size_t)2 * filter->columns * EENS_FILTER_COLUMN;
}

size_t eens_filter_bytes(const eens_filter *filter) {
    return is_kept(filter) ? past_bytes(filter) + filter->columns : 0;
}

bool eens_filter_spread(eens_filter *filter, uint8_t *room) {
    if (!is_kept(filter)) {
        return true;
    }
    filter->past = room;
    room += past_bytes(filter);
    for (uint32_t at = 0; at < filter->columns; at += EENS_FIELDS) {
        uint32_t left = filter->columns - at;
        if (!sets_at(filter, at, left < EENS_FIELDS ? left : EENS_FIELDS, room + at)) {
            return false;
        }
    }
    filter->column_sets = room;
    return true;
}

#endif

/* One piece of a row; i counts from the beginning of the block. */
static void unfilter_piece(const eens_taps *taps, const uint8_t *sets, uint32_t column, uint32_t i,
                           uint32_t count, int8_t *codes) {
    for (uint32_t k = 0; k < count; k++, i++, column++) {
        const int8_t *weights = taps->weights[sets[k]];
        uint32_t reach = column < i ? column : i;
        int32_t sum = 64 * codes[i] + 32;
        for (uint32_t t = 0; t < EENS_TAPS; t++) {
            if (taps->lags[t] - 1u < reach) { /* a lag of 0 is far too large */
                sum += weights[t] * codes[i - taps->lags[t]];
            }
        }
        codes[i] = (int8_t)(uint8_t)((uint32_t)sum >> 6);
    }
}

/* Positions begin to end of the block, of which begin stands in this column. */
static bool unfilter_some(const eens_filter *filter, const eens_taps *taps, uint32_t column,
                          uint32_t begin, uint32_t end, int8_t *codes) {
    uint8_t sets[EENS_FIELDS];
    while (begin < end) {
        uint32_t part = filter->columns - column;
        part = part < EENS_FIELDS ? part : EENS_FIELDS;
        part = part < end - begin ? part : end - begin;
        if (!sets_at(filter, column, part, sets)) {
            return false;
        }
        unfilter_piece(taps, sets, column, begin, part, codes);
        begin += part;
        column += part;
        column = column < filter->columns ? column : 0;
    }
    return true;
}

bool eens_unfilter(const eens_filter *filter, uint32_t first, uint32_t count, int8_t *codes) {
    eens_taps taps;
    if (filter->columns == 0) {
        return true;
    }
    if (!eens_filter_taps(filter, &taps)) {
        return false;
    }
    uint32_t column = first % filter->columns;
    uint32_t begin = 0;
#if defined(EENS_FILTER_FAST)
    uint32_t cut = column != 0 ? filter->columns - column : 0; /* of a row of the block before */
    if (cut < count) {
        if (!unfilter_some(filter, &taps, column, 0, cut, codes)) {
            return false;
        }
        begin = cut + eens_unfilter_rows(filter, &taps, count - cut, codes + cut);
        column = 0;
    }
#endif
    return unfilter_some(filter, &taps, column, begin, count, codes);
}

#endif
