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

static uint32_t longest_length(const eens_file *file) {
    return file->profile == 0 ? EENS_LONGEST : EENS_LONGEST - 1;
}

eens_status eens_body_check(const eens_file *file, const eens_table *table) {
    eens_prefix prefix;
    if (table->kind == EENS_PREFIX_CODE) {
        return eens_prefix_check(file, table, longest_length(file), &prefix);
    }
    return table->kind == EENS_CLASSES ? eens_classes_check(file, table) : EENS_OK;
}

/* How many tables of kind 1 there are, after the filters (S5.4), and one of kind 2 if
 * classes->columns is not 0; RECORD if the tables do not fit the record or each other (S5.3). */
static eens_status open_others(const eens_file *file, const eens_tensor *tensor,
                               eens_coding *coding, uint32_t *codes) {
    eens_classes *classes = &coding->classes;
    eens_table table;
    uint32_t sets = tensor->method == EENS_JOINT ? 2 : 1;
    uint32_t filters = tensor->coder == EENS_FILTERED ? sets : 0;
    uint32_t count = tensor->table_count;
    eens_status status = EENS_OK;
    if (file->minor == 0 || count <= filters || tensor->first_table + count > file->table_count) {
        return EENS_ERR_RECORD;
    }
#if !defined(EENS_NO_FILTER)
    for (uint32_t i = 0; i < filters && status == EENS_OK; i++) {
        status = eens_filter_open(file, tensor->first_table + i, tensor, &coding->filters[i]);
    }
#endif
    count -= filters;
    if (status == EENS_OK) {
        status = eens_table_at(file, tensor->first_table + filters, &table);
    }
    if (status == EENS_OK && table.kind == EENS_CLASSES) {
        status = eens_classes_open(file, &table, tensor, classes);
        count--;
    }
    if (status != EENS_OK) {
        return status;
    }
    uint32_t most = classes->columns != 0 ? EENS_MAX_CLASS_TABLES : 1;
    *codes = count;
    return count != 0 && count % sets == 0 && count / sets <= most ? EENS_OK : EENS_ERR_RECORD;
}

/* Table number i of the tensor's tables of kind 1 takes part in the common shape of its set. Not
 * having been checked since the file was opened, it is checked again. */
static eens_status add_shape(const eens_file *file, const eens_tensor *tensor, uint32_t i,
                             eens_coding *coding) {
    eens_codes_ready *code = &coding->codes_ready[i >= coding->table_count];
    bool has_classes = coding->classes.columns != 0;
    eens_table table;
    eens_prefix prefix;
    eens_status status = eens_table_at(file, coding->first_table + i, &table);
    if (status == EENS_OK && table.kind != EENS_PREFIX_CODE) {
        status = EENS_ERR_TABLE;
    }
    if (status == EENS_OK) {
        status = eens_prefix_check(file, &table, longest_length(file), &prefix);
    }
    if (status != EENS_OK) {
        return status;
    }
    code->group = prefix.group;
    code->low = prefix.low;
    code->values = prefix.values;
    code->width = prefix.longest > code->width ? prefix.longest : code->width;
    if (!has_classes || eens_has_row_tables(&coding->classes)) {
        uint64_t codes = (uint64_t)tensor->elements * tensor->copies;
        eens_groups_of(&prefix, codes, i % coding->table_count, coding->table_count, code);
    }
    uint32_t bytes = eens_ready_bytes(&prefix, code);
#if defined(EENS_SMALL)
    bytes = bytes > code->stride ? bytes : code->stride;
#endif
    code->stride = (uint16_t)bytes; /* else the last one knows the shape of all */
    return has_classes && prefix.group != 1 ? EENS_ERR_TABLE : EENS_OK;
}

/* Everything but what lies in the workspace. */
static eens_status load_coding(const eens_file *file, const eens_tensor *tensor,
                               eens_coding *coding) {
    uint32_t count = 0;
    memset(coding, 0, sizeof *coding);
    eens_status status = open_others(file, tensor, coding, &count);
    if (status != EENS_OK) {
        return status;
    }
    coding->first_table = (uint16_t)(tensor->first_table + tensor->table_count - count);
    coding->table_count = (uint16_t)(tensor->method == EENS_JOINT ? count / 2 : count);
    coding->classes.most = (uint8_t)(coding->table_count - 1);
    for (uint32_t i = 0; i < count && status == EENS_OK; i++) {
        status = add_shape(file, tensor, i, coding);
    }
    return status;
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
    return coding->table_count * strides + code_bytes(tensor) +
           eens_filter_bytes(&coding->filters[0]) + eens_filter_bytes(&coding->filters[1]) +
           (has_classes ? EENS_CHUNK_BYTES + EENS_COLUMN_BYTES * (size_t)coding->classes.columns
                        : 0);
}

eens_status eens_coding_size(const eens_file *file, const eens_tensor *tensor, size_t *size) {
    eens_coding coding;
    eens_status status = load_coding(file, tensor, &coding);
    *size = status == EENS_OK ? coding_bytes(tensor, &coding) : 0;
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
    uint32_t count = coding->table_count * (job->tensor->method == EENS_JOINT ? 2u : 1u);
    for (uint32_t i = 0; i < count && status == EENS_OK; i++) {
        eens_codes_ready *code = &coding->codes_ready[i >= coding->table_count];
        eens_table table;
        if (i % coding->table_count == 0) {
            code->tables = job->workspace;
        }
        status = eens_table_at(job->file, coding->first_table + i, &table);
        if (status == EENS_OK) {
            status = eens_prefix_build(job->file, &table, code, job->workspace);
        }
        job->workspace += code->stride;
    }
    coding->chunk = job->workspace;
    if (coding->classes.columns != 0) {
        job->workspace += EENS_CHUNK_BYTES;
        if (status == EENS_OK && !eens_classes_spread(&coding->classes, job->workspace)) {
            status = EENS_ERR_READ;
        }
        job->workspace += EENS_COLUMN_BYTES * (size_t)coding->classes.columns;
    }
    for (uint32_t i = 0; i < 2 && status == EENS_OK; i++) { /* no filter takes nothing */
        status = eens_filter_spread(&coding->filters[i], job->workspace) ? EENS_OK : EENS_ERR_READ;
        job->workspace += eens_filter_bytes(&coding->filters[i]);
    }
    coding->codes = (int8_t *)job->workspace;
    job->workspace += code_bytes(job->tensor);
    return status;
}

#endif
