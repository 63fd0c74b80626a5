/* The tables that a tensor names (S5, S5.3), and how a call of eens_decode divides its workspace:
 * the tables made ready, the classes of a chunk of positions, codes, what is read from storage. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define ENTRY_BYTES 8u /* of the directory */

eens_status eens_table_at(const eens_file *file, uint32_t number, eens_table *table) {
    uint8_t buffer[ENTRY_BYTES];
    uint32_t offset = file->tables_offset + ENTRY_BYTES * file->table_count; /* below 2^28 */
    uint32_t end = file->tables_offset + file->tables_size;
    for (uint32_t i = 0;; i++) {
        const uint8_t *entry =
            eens_view(file, file->tables_offset + ENTRY_BYTES * i, ENTRY_BYTES, buffer);
        if (entry == NULL) {
            return EENS_ERR_READ;
        }
        table->kind = entry[0];
        table->size = eens_load32(entry + 4);
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

eens_status eens_bodies_check(const eens_file *file) {
    eens_status status = EENS_OK;
    for (uint32_t i = 0; i < file->table_count && status == EENS_OK; i++) {
        eens_table table;
        eens_prefix prefix;
        status = eens_table_at(file, i, &table);
        if (status == EENS_OK && table.kind == EENS_PREFIX_CODE) {
            status = eens_prefix_check(file, &table, longest_length(file), &prefix, NULL);
        } else if (status == EENS_OK && table.kind == EENS_CLASSES) {
            status = eens_classes_check(file, &table);
        } /* a newer kind has its own rules; no tensor that is decoded here may name it */
    }
    return status;
}

/* How many tables of kind 1 there are, after one of kind 2 if classes->columns is not 0; RECORD if
 * the tables do not fit the record or each other (S5.3). */
static eens_status open_classes(const eens_file *file, const eens_tensor *tensor,
                                eens_classes *classes, uint32_t *codes) {
    eens_table table;
    uint32_t count = tensor->table_count;
    classes->columns = 0;
    if (file->minor == 0 || count == 0 || tensor->first_table + count > file->table_count) {
        return EENS_ERR_RECORD;
    }
    eens_status status = eens_table_at(file, tensor->first_table, &table);
    if (status == EENS_OK && table.kind == EENS_CLASSES) {
        status = eens_classes_open(file, &table, tensor, classes);
        count--;
    }
    if (status != EENS_OK) {
        return status;
    }
    uint32_t sets = tensor->method == EENS_JOINT ? 2 : 1;
    uint32_t most = classes->columns != 0 ? EENS_MAX_CLASS_TABLES : 1;
    *codes = count;
    return count != 0 && count % sets == 0 && count / sets <= most ? EENS_OK : EENS_ERR_RECORD;
}

/* The bodies have been checked before, all of them. */
eens_status eens_tables_check(const eens_file *file, const eens_tensor *tensor) {
    eens_classes classes;
    uint32_t count;
    eens_status status = open_classes(file, tensor, &classes, &count);
    uint32_t first = (uint32_t)tensor->first_table + tensor->table_count - count;
    for (uint32_t i = 0; i < count && status == EENS_OK; i++) {
        eens_table table;
        uint8_t group[1];
        status = eens_table_at(file, first + i, &table);
        if (status == EENS_OK && table.kind != EENS_PREFIX_CODE) {
            status = EENS_ERR_RECORD;
        }
        if (status == EENS_OK && classes.columns != 0) {
            const uint8_t *body = eens_view(file, table.offset, 1, group);
            status = body == NULL ? EENS_ERR_READ : *body != 1 ? EENS_ERR_RECORD : EENS_OK;
        }
    }
    return status;
}

/* The common shape of count prefix codes from number first on. Not having been checked since the
 * file was opened, they are checked again. */
static eens_status load_shape(const eens_file *file, const eens_tensor *tensor, uint32_t first,
                              uint32_t count, bool has_classes, eens_codes_ready *code) {
    code->width = 0;
    code->stride = 0;
    code->entry = 0;
    for (uint32_t i = 0; i < count; i++) {
        eens_table table;
        eens_prefix prefix;
        eens_status status = eens_table_at(file, first + i, &table);
        if (status == EENS_OK && table.kind != EENS_PREFIX_CODE) {
            status = EENS_ERR_TABLE;
        }
        if (status == EENS_OK) {
            status = eens_prefix_check(file, &table, longest_length(file), &prefix, NULL);
        }
        if (status != EENS_OK) {
            return status;
        }
        code->group = prefix.group;
        code->low = prefix.low;
        code->values = prefix.values;
        code->width = prefix.longest > code->width ? prefix.longest : code->width;
        if (!has_classes) {
            eens_groups_of(&prefix, (uint64_t)tensor->elements * tensor->copies, code);
        }
        uint32_t bytes = eens_ready_bytes(&prefix, code);
        code->stride = (uint16_t)(bytes > code->stride ? bytes : code->stride);
        if (has_classes && prefix.group != 1) {
            return EENS_ERR_TABLE;
        }
    }
    return EENS_OK;
}

/* Everything but what lies in the workspace. */
static eens_status load_coding(const eens_file *file, const eens_tensor *tensor,
                               eens_coding *coding) {
    uint32_t count;
    eens_status status = open_classes(file, tensor, &coding->classes, &count);
    if (status != EENS_OK) {
        return status;
    }
    bool has_classes = coding->classes.columns != 0;
    bool joint = tensor->method == EENS_JOINT;
    coding->table_count = (uint16_t)(joint ? count / 2 : count);
    coding->first_table = (uint16_t)(tensor->first_table + tensor->table_count - count);
    coding->classes.most = (uint8_t)(coding->table_count - 1);
    coding->others.stride = 0;
    status = load_shape(file, tensor, coding->first_table, coding->table_count, has_classes,
                        &coding->first);
    if (status == EENS_OK && joint) {
        uint32_t others = (uint32_t)coding->first_table + coding->table_count;
        status = load_shape(file, tensor, others, coding->table_count, has_classes, &coding->others);
    }
    return status;
}

/* Codes of one copy of the largest block, or of all members. */
static size_t code_bytes(const eens_tensor *tensor) {
    uint32_t most = tensor->block_positions < tensor->elements ? tensor->block_positions
                                                               : tensor->elements;
    return (size_t)most * (tensor->method == EENS_JOINT ? tensor->copies : 1u);
}

/* Cuts the parts off the workspace in the order of their places; returns their bytes. */
static size_t divide(const eens_tensor *tensor, uint8_t *workspace, eens_coding *coding) {
    size_t tables = (size_t)coding->table_count * coding->first.stride;
    size_t others = (size_t)coding->table_count * coding->others.stride; /* 0 if not joint */
    size_t chunk = coding->classes.columns != 0 ? EENS_CHUNK_BYTES : 0;
    size_t columns = EENS_COLUMN_BYTES * (size_t)coding->classes.columns;
    size_t codes = code_bytes(tensor);
    if (workspace != NULL) {
        coding->first.tables = workspace;
        coding->others.tables = workspace + tables;
        coding->chunk = workspace + tables + others;
        coding->codes = (int8_t *)coding->chunk + chunk + columns;
        coding->input = coding->chunk + chunk + columns + codes;
    }
    return tables + others + chunk + columns + codes;
}

eens_status eens_coding_size(const eens_file *file, const eens_tensor *tensor, size_t *size) {
    eens_coding coding;
    eens_status status = load_coding(file, tensor, &coding);
    *size = status == EENS_OK ? divide(tensor, NULL, &coding) : 0;
    return status;
}

static eens_status build_set(const eens_file *file, uint32_t first, uint32_t count,
                             const eens_codes_ready *code) {
    for (uint32_t i = 0; i < count; i++) {
        eens_table table;
        eens_status status = eens_table_at(file, first + i, &table);
        if (status == EENS_OK) {
            status = eens_prefix_build(file, &table, code,
                                       code->tables + (size_t)i * code->stride);
        }
        if (status != EENS_OK) {
            return status;
        }
    }
    return EENS_OK;
}

eens_status eens_coding_begin(const eens_job *job, eens_coding *coding) {
    const eens_file *file = job->file;
    eens_status status = load_coding(file, job->tensor, coding);
    if (status != EENS_OK) {
        return status;
    }
    size_t size = divide(job->tensor, job->workspace, coding);
    if (job->workspace_size < size) {
        return EENS_ERR_WORKSPACE;
    }
    status = build_set(file, coding->first_table, coding->table_count, &coding->first);
    if (status == EENS_OK && job->tensor->method == EENS_JOINT) {
        uint32_t others = (uint32_t)coding->first_table + coding->table_count;
        status = build_set(file, others, coding->table_count, &coding->others);
    }
    if (status == EENS_OK && coding->classes.columns != 0 &&
        !eens_classes_spread(&coding->classes, coding->chunk + EENS_CHUNK_BYTES)) {
        status = EENS_ERR_READ;
    }
    return status;
}

#endif
