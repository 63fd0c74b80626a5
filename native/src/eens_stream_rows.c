/* Code streams (S10.1) in which each row has one class (S5.2): the codes of a row come out of one
 * table, several at a time, and tables change only between rows. Between eens_stream.c and
 * eens_stream_fast.c. Not in a small build. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY) && !defined(EENS_SMALL)

/* The number of the table of a row, counted over all copies. */
static bool table_of_row(const eens_job *job, uint32_t row, uint8_t *number) {
    const eens_classes *classes = &job->coding->classes;
    uint32_t most = job->coding->table_count - 1u;
    if (!eens_fields(job->file, eens_rows_offset(classes), row, 1, number)) {
        return false;
    }
    *number = *number < most ? *number : (uint8_t)most;
    return true;
}

/* The part goes on to the end of the last row that has the class of its next one; false: READ. */
static bool next_stretch(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                         uint32_t end, eens_part *of, const uint8_t **table) {
    const eens_classes *classes = &job->coding->classes;
    uint32_t position = job->block.first + of->begin; /* at most 2^31 */
    uint32_t row = copy * (job->tensor->elements / classes->columns) + position / classes->columns;
    uint32_t left = classes->columns - position % classes->columns;
    uint8_t here, next;
    if (!table_of_row(job, row, &here)) {
        return false;
    }
    *table = code->tables + (size_t)here * code->stride;
    for (of->end = of->begin;; left = classes->columns) {
        if (left >= end - of->end) {
            of->end = end;
            return true;
        }
        of->end += left;
        if (!table_of_row(job, ++row, &next)) {
            return false;
        }
        if (next != here) {
            return true;
        }
    }
}

/* The part has codes for a round, or all of them have been taken; false: READ. */
static bool go_on(const eens_job *job, const eens_codes_ready *code, uint32_t copy, uint32_t end,
                  eens_part *of, const uint8_t **table, int8_t *codes) {
    while (eens_take_one_value(code, *table, of, codes) || !eens_can_take_groups(code, of)) {
        eens_take_last(code, *table, of, codes);
        if (of->end == end) {
            return true;
        }
        if (!next_stretch(job, code, copy, end, of, table)) {
            return false;
        }
    }
    return true;
}

bool eens_take_rows(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                    eens_part *parts, int8_t *codes) {
    const uint8_t *tables[EENS_PARTS];
    uint32_t ends[EENS_PARTS];
    for (uint32_t j = 0; j < EENS_PARTS; j++) {
        ends[j] = parts[j].end;
        parts[j].end = parts[j].begin;
        tables[j] = code->tables;
    }
    do {
        for (uint32_t j = 0; j < EENS_PARTS; j++) {
            if (!go_on(job, code, copy, ends[j], &parts[j], &tables[j], codes)) {
                return false;
            }
        }
    } while (eens_take_groups(code, tables, parts, codes));
    return true;
}

#endif
