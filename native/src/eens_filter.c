/* Filters (S5.4, S10.4): residuals of a code stream back into its numbers, in place. Most rows of
 * the default build are done by eens_filter_fast.c, sixteen at a time. */
#include "eens_entropy.h"

#if !defined(EENS_NO_FILTER)

#define LAGS_AT 4u /* behind the columns */
#define WEIGHTS_AT (LAGS_AT + 2 * EENS_TAPS)
#define SET_BYTES EENS_TAPS /* weights */

_Static_assert(offsetof(eens_taps, weights) == WEIGHTS_AT - LAGS_AT &&
                   sizeof(eens_taps) == WEIGHTS_AT - LAGS_AT + EENS_SETS * SET_BYTES,
               "eens_taps has the layout of a table");

eens_status eens_filter_open(const eens_file *file, const eens_table *table,
                             const eens_tensor *tensor, eens_filter *filter) {
    if (table->kind != EENS_FILTER || table->size < WEIGHTS_AT + SET_BYTES) {
        return EENS_ERR_RECORD;
    }
    if (!eens_fetch_words(file, table->offset, 1, &filter->columns)) {
        return EENS_ERR_READ;
    }
    filter->offset = table->offset & 0x7FFFFFFFu;
    filter->one_set = table->size == WEIGHTS_AT + SET_BYTES;
    uint32_t columns = filter->columns;
    if (columns == 0 || tensor->elements % columns != 0) {
        return EENS_ERR_RECORD;
    }
    if (filter->one_set != 0) {
        return EENS_OK;
    }
    /* More than 8 columns a byte of the table are too many: then 32 bits hold the number of bits. */
    uint32_t sets_at = WEIGHTS_AT + EENS_SETS * SET_BYTES;
    if (columns > 8 * table->size || table->size != sets_at + eens_ceil8(3 * columns)) {
        return EENS_ERR_RECORD;
    }
    return eens_padding_check(file, table->offset + sets_at, 3 * columns);
}

/* The sets of up to EENS_FIELDS columns from this one on, one a byte. */
static bool sets_at(const eens_file *file, const eens_filter *filter, uint32_t column,
                    uint32_t count, uint8_t *sets) {
#if defined(EENS_FILTER_FAST)
    if (filter->column_sets != NULL) {
        memcpy(sets, filter->column_sets + column, count);
        return true;
    }
#endif
    if (filter->one_set != 0) {
        memset(sets, 0, count);
        return true;
    }
    return eens_fields(file, filter->offset + WEIGHTS_AT + EENS_SETS * SET_BYTES, column, count,
                       sets);
}

bool eens_filter_taps(const eens_file *file, const eens_filter *filter, eens_taps *taps) {
    /* The struct has the layout of the table. */
    uint32_t size = WEIGHTS_AT - LAGS_AT + eens_filter_sets(filter) * SET_BYTES;
    bool is_read = eens_fetch(file, filter->offset + LAGS_AT, size, taps);
    eens_to_machine_order(taps->lags, EENS_TAPS, 2);
    return is_read;
}

#if defined(EENS_FILTER_FAST)

/* Of the wide rows that eens_filter_fast.c leaves, nothing is kept. */
static bool is_kept(const eens_filter *filter) {
    return filter->columns - 1u < EENS_FILTER_WIDEST;
}

static size_t past_bytes(const eens_filter *filter) {
    return ((size_t)2 * filter->columns + EENS_FILTER_WIDTH - 1) * EENS_FILTER_COLUMN;
}

size_t eens_filter_bytes(const eens_filter *filter) {
    return is_kept(filter) ? past_bytes(filter) + filter->columns : 0;
}

bool eens_filter_spread(const eens_file *file, eens_filter *filter, uint8_t *room) {
    if (!is_kept(filter)) {
        return true;
    }
    filter->past = room;
    room += past_bytes(filter);
    for (uint32_t at = 0; at < filter->columns; at += EENS_FIELDS) {
        uint32_t left = filter->columns - at;
        if (!sets_at(file, filter, at, left < EENS_FIELDS ? left : EENS_FIELDS, room + at)) {
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
static bool unfilter_some(const eens_file *file, const eens_filter *filter, const eens_taps *taps,
                          uint32_t column, uint32_t begin, uint32_t end, int8_t *codes) {
    uint8_t sets[EENS_FIELDS];
    while (begin < end) {
        uint32_t part = filter->columns - column;
        part = part < EENS_FIELDS ? part : EENS_FIELDS;
        part = part < end - begin ? part : end - begin;
        if (!sets_at(file, filter, column, part, sets)) {
            return false;
        }
        unfilter_piece(taps, sets, column, begin, part, codes);
        begin += part;
        column += part;
        column = column < filter->columns ? column : 0;
    }
    return true;
}

bool eens_unfilter(const eens_job *job, uint32_t set, int8_t *codes) {
    const eens_filter *filter = &job->coding->filters[set];
    uint32_t count = job->block.count;
    eens_taps taps;
    if (filter->columns == 0) {
        return true;
    }
    if (!eens_filter_taps(job->file, filter, &taps)) {
        return false;
    }
    uint32_t column = job->block.first % filter->columns;
    uint32_t begin = 0;
#if defined(EENS_FILTER_FAST)
    uint32_t cut = column != 0 ? filter->columns - column : 0; /* of a row of the block before */
    if (cut < count) {
        if (!unfilter_some(job->file, filter, &taps, column, 0, cut, codes)) {
            return false;
        }
        begin = cut + eens_unfilter_rows(filter, &taps, count - cut, codes + cut);
        column = 0;
    }
#endif
    return unfilter_some(job->file, filter, &taps, column, begin, count, codes);
}

#endif
