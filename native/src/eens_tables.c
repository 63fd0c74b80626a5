/* The tables that a tensor names (S5, S5.3), and how a call of eens_decode divides its workspace:
 * the tables made ready, the classes of a chunk of positions, codes, what is read from storage. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define ENTRY_BYTES 8u /* of the directory */

eens_status eens_table_at(const eens_file *file, uint32_t number, eens_table *table) {
    uint32_t offset = file->tables_offset + ENTRY_BYTES * file->table_count; /* below 2^28 */
    uint32_t end = file->tables_offset + file->tables_size;
    for (uint32_t i = 0;; i++) {
        uint32_t entry[2];
        if (!eens_fetch_words(file, file->tables_offset + ENTRY_BYTES * i, 2, entry)) {
            return EENS_ERR_READ;
        }
        table->kind = (uint8_t)entry[0];
        table->size = entry[1];
        table->offset = offset;
        if (table->size > end - offset) { /* only if storage has changed: no wrap, offset <= end */
            return EENS_ERR_TABLE;
        }
        if (i == number) {
            return EENS_OK;
        }
        offset += table->size;
    }
}

eens_status eens_body_check(const eens_file *file, const eens_table *table) {
    eens_prefix prefix;
    if (table->kind == EENS_PREFIX_CODE) {
        return eens_prefix_check(file, table, &prefix);
    }
    return table->kind == EENS_CLASSES ? eens_classes_check(file, table) : EENS_OK;
}

/* Sets of tables of kind 1 (S5.3): for joint one for the first stream, and one for all others. */
static uint32_t sets_of(const eens_tensor *tensor) {
    return tensor->method == EENS_JOINT ? 2 : 1;
}

/* Tables of kind 1 that a tensor may have (S5.3). */
static uint32_t most_codes(const eens_file *file, uint32_t sets, bool has_classes) {
    if (!has_classes) {
        return sets;
    }
    return file->profile == 0 ? sets * EENS_MAX_CLASS_TABLES : EENS_MCU_TABLES;
}

/* Table number i of the tensor's tables of kind 1 takes part in the common shape of its set. Not
 * having been checked since the file was opened, it is checked again. */
static eens_status add_shape(const eens_file *file, const eens_tensor *tensor,
                             const eens_table *table, uint32_t i, eens_coding *coding) {
    uint32_t count = coding->table_count;
    eens_codes_ready *code = &coding->codes_ready[i >= count];
    bool has_classes = coding->classes.columns != 0;
    eens_prefix prefix;
    if (table->kind != EENS_PREFIX_CODE) {
        return EENS_ERR_TABLE;
    }
    eens_status status = eens_prefix_check(file, table, &prefix);
    if (status != EENS_OK) {
        return status;
    }
    code->group = prefix.group;
    code->low = prefix.low;
    code->values = prefix.values;
#if !defined(EENS_SMALL)
    code->width = prefix.longest > code->width ? prefix.longest : code->width;
#endif
    if (!has_classes || eens_has_row_tables(&coding->classes)) {
        uint64_t codes = (uint64_t)tensor->elements * tensor->copies;
        eens_groups_of(&prefix, codes, i % count, count, code);
    }
    uint32_t bytes = eens_ready_bytes(&prefix, code);
#if defined(EENS_SMALL)
    bytes = bytes > code->stride ? bytes : code->stride;
#endif
    code->stride = (uint16_t)bytes; /* else the last one knows the shape of all */
    return has_classes && prefix.group != 1 ? EENS_ERR_TABLE : EENS_OK;
}

/* Everything but what lies in the workspace; TABLE or RECORD if the tables do not fit the record or
 * each other (S5.3): filters, perhaps one of kind 2, and of kind 1 as many for each set. */
static eens_status load_coding(const eens_file *file, const eens_tensor *tensor,
                               eens_coding *coding) {
    uint32_t sets = sets_of(tensor);
    uint32_t lead = eens_has_low_bits(tensor) ? 1 : 0; /* tables before the filters */
    uint32_t others = tensor->coder == EENS_FILTERED ? sets : lead; /* before those of kind 1 */
    uint32_t count = tensor->table_count;
    eens_table low_bits = {0, 0, 0};
    memset(coding, 0, sizeof *coding);
    if (file->minor == 0 || tensor->first_table + count > file->table_count) {
        return EENS_ERR_RECORD;
    }
    for (uint32_t i = 0; i < count; i++) {
        eens_table table;
        bool has_classes = coding->classes.columns != 0;
        eens_status status = eens_table_at(file, tensor->first_table + i, &table);
        if (status != EENS_OK) {
            return status;
        }
        if (i == lead && lead != 0 && table.kind == EENS_FILTER) {
            others += sets;
        }
        if (i < lead) {
            low_bits = table;
        } else if (i < others) {
            status = eens_filter_open(file, &table, tensor, &coding->filters[i - lead]);
        } else if (i == others && !has_classes && table.kind == EENS_CLASSES) {
            status = eens_classes_open(file, &table, tensor, &coding->classes);
            others++;
        } else if (count - others > most_codes(file, sets, has_classes) ||
                   (count - others) % sets != 0) {
            status = EENS_ERR_RECORD;
        } else {
            coding->first_table = (uint16_t)(tensor->first_table + others);
            coding->table_count = (uint16_t)((count - others) / sets);
            status = add_shape(file, tensor, &table, i - others, coding);
        }
        if (status != EENS_OK) {
            return status;
        }
    }
    if (count <= others) {
        return EENS_ERR_RECORD;
    }
    return lead == 0 ? EENS_OK : eens_low_bits_open(file, &low_bits, sets, coding);
}

/* The bodies have been checked before, all of them: what is wrong is which tables are named. */
eens_status eens_tables_check(const eens_file *file, const eens_tensor *tensor) {
    eens_coding coding;
    eens_status status = load_coding(file, tensor, &coding);
    return status == EENS_ERR_TABLE ? EENS_ERR_RECORD : status;
}

/* Codes of one copy of the largest block, or of all members. */
static size_t code_bytes(const eens_tensor *tensor) {
    uint32_t most = tensor->block_positions < tensor->elements ? tensor->block_positions
                                                               : tensor->elements;
    return (size_t)most * (tensor->method == EENS_JOINT ? tensor->copies : 1u);
}

static size_t coding_bytes(const eens_tensor *tensor, const eens_coding *coding) {
    bool has_classes = coding->classes.columns != 0;
    size_t strides = (size_t)coding->codes_ready[0].stride + coding->codes_ready[1].stride;
    size_t behind = code_bytes(tensor) + eens_filter_bytes(&coding->filters[0]) +
                    eens_filter_bytes(&coding->filters[1]) +
                    (has_classes ? EENS_CHUNK_BYTES +
                                       EENS_COLUMN_BYTES * (size_t)coding->classes.columns
                                 : 0);
    for (uint32_t i = 0; i < 2; i++) { /* nothing else is there while tables are made */
        size_t room = eens_ready_room(&coding->codes_ready[i]);
        behind = behind > room ? behind : room;
    }
    return coding->table_count * strides + behind;
}

eens_status eens_coding_size(const eens_file *file, const eens_tensor *tensor, size_t *size) {
    eens_coding coding;
    eens_status status = load_coding(file, tensor, &coding);
    if (status == EENS_OK) {
        *size = coding_bytes(tensor, &coding);
    }
    return status;
}

eens_status eens_coding_begin(eens_job *job, eens_coding *coding) {
    eens_status status = load_coding(job->file, job->tensor, coding);
    if (status != EENS_OK) {
        return status;
    }
    size_t size = coding_bytes(job->tensor, coding);
    if (job->workspace_size < size) {
        return EENS_ERR_WORKSPACE;
    }
    job->workspace_size -= size;
    uint32_t count = coding->table_count * sets_of(job->tensor);
    for (uint32_t i = 0; i < count; i++) {
        eens_codes_ready *code = &coding->codes_ready[i >= coding->table_count];
        eens_table table;
        if (code->tables == NULL) {
            code->tables = job->workspace;
        }
        status = eens_table_at(job->file, coding->first_table + i, &table);
        if (status == EENS_OK) {
            status = eens_prefix_build(job->file, &table, code, job->workspace);
        }
        if (status != EENS_OK) {
            return status;
        }
        job->workspace += code->stride;
    }
    coding->chunk = job->workspace;
    if (coding->classes.columns != 0) {
        job->workspace += EENS_CHUNK_BYTES;
        if (!eens_classes_spread(job->file, &coding->classes, job->workspace)) {
            return EENS_ERR_READ;
        }
        job->workspace += EENS_COLUMN_BYTES * (size_t)coding->classes.columns;
    }
    for (uint32_t i = 0; i < 2; i++) { /* no filter takes nothing */
        if (!eens_filter_spread(job->file, &coding->filters[i], job->workspace)) {
            return EENS_ERR_READ;
        }
        job->workspace += eens_filter_bytes(&coding->filters[i]);
    }
    coding->codes = (int8_t *)job->workspace;
    job->workspace += code_bytes(job->tensor);
    return EENS_OK;
}

#endif
