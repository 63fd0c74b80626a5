/* The tables that a tensor names (S5, S5.3), and how a call of eens_decode divides its workspace:
 * the tables made ready, the classes of a chunk of positions, codes, what is read from storage. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define ENTRY_BYTES 8u /* of the directory */

eens_status eens_table_at(const eens_file *file, uint32_t number, eens_table *table) {
    uint8_t buffer[ENTRY_BYTES];
    uint64_t offset = file->tables_offset + (uint64_t)ENTRY_BYTES * file->table_count;
    uint64_t end = (uint64_t)file->tables_offset + file->tables_size;
    for (uint32_t i = 0;; i++) {
        const uint8_t *entry =
            eens_view(file, file->tables_offset + (uint64_t)ENTRY_BYTES * i, ENTRY_BYTES, buffer);
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
            status = eens_prefix_check(file, &table, longest_length(file), &prefix);
        } else if (status == EENS_OK && table.kind == EENS_CLASSES) {
            status = eens_classes_check(file, &table);
        } /* a newer kind has its own rules; no tensor that is decoded here may name it */
    }
    return status;
}

/* C of S5.3, and whether there are classes; RECORD if the numbers of tables do not fit. */
static eens_status count_tables(const eens_file *file, const eens_tensor *tensor,
                                bool *has_classes, uint32_t *codes) {
    eens_table table;
    if (file->minor == 0 || tensor->table_count == 0 ||
        (uint32_t)tensor->first_table + tensor->table_count > file->table_count) {
        return EENS_ERR_RECORD;
    }
    eens_status status = eens_table_at(file, tensor->first_table, &table);
    if (status != EENS_OK) {
        return status;
    }
    *has_classes = table.kind == EENS_CLASSES;
    uint32_t count = tensor->table_count - (*has_classes ? 1u : 0);
    uint32_t sets = tensor->method == EENS_JOINT ? 2 : 1;
    *codes = count / sets;
    bool fits = count % sets == 0 && *codes >= 1 &&
                *codes <= (*has_classes ? EENS_MAX_CLASS_TABLES : 1);
    return fits ? EENS_OK : EENS_ERR_RECORD;
}

/* The common shape of count prefix codes from number first on. */
static eens_status load_shape(const eens_file *file, uint32_t first, uint32_t count,
                              bool has_classes, eens_codes_ready *code) {
    eens_prefix largest = {0};
    code->width = 0;
    for (uint32_t i = 0; i < count; i++) {
        eens_table table;
        eens_prefix prefix;
        eens_status status = eens_table_at(file, first + i, &table);
        if (status == EENS_OK && table.kind != EENS_PREFIX_CODE) {
            status = EENS_ERR_RECORD;
        }
        if (status == EENS_OK) {
            status = eens_prefix_check(file, &table, longest_length(file), &prefix);
        }
        if (status != EENS_OK) {
            return status;
        }
        if (has_classes && prefix.group != 1) {
            return EENS_ERR_RECORD;
        }
        code->width = prefix.longest > code->width ? prefix.longest : code->width;
        largest = prefix.used > largest.used ? prefix : largest;
    }
    code->group = largest.group;
    code->low = largest.low;
    code->values = largest.values;
    code->grouped = !has_classes && eens_prefix_is_short(&largest);
    code->stride = eens_ready_bytes(&largest, code->width, code->grouped);
    return EENS_OK;
}

/* Everything but what lies in the workspace. */
static eens_status load_coding(const eens_file *file, const eens_tensor *tensor,
                               eens_coding *coding) {
    bool has_classes;
    uint32_t count;
    eens_table table;
    eens_status status = count_tables(file, tensor, &has_classes, &count);
    if (status != EENS_OK) {
        return status;
    }
    memset(coding, 0, sizeof *coding);
    coding->table_count = count;
    coding->classes.most = (uint8_t)(count - 1);
    uint32_t first = tensor->first_table;
    if (has_classes) {
        status = eens_table_at(file, first++, &table);
        if (status == EENS_OK) {
            status = eens_classes_open(file, &table, tensor, &coding->classes);
        }
    }
    if (status == EENS_OK) {
        status = load_shape(file, first, count, has_classes, &coding->first);
    }
    if (status == EENS_OK && tensor->method == EENS_JOINT) {
        status = load_shape(file, first + count, count, has_classes, &coding->others);
    }
    return status;
}

eens_status eens_tables_check(const eens_file *file, const eens_tensor *tensor) {
    eens_coding coding;
    return load_coding(file, tensor, &coding);
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
        coding->columns = coding->chunk + chunk;
        coding->codes = (int8_t *)coding->columns + columns;
        coding->input = coding->columns + columns + codes;
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
    coding->input_size = job->workspace_size - size;
    uint32_t first = job->tensor->first_table + (coding->classes.columns != 0 ? 1u : 0);
    status = build_set(file, first, coding->table_count, &coding->first);
    if (status == EENS_OK && job->tensor->method == EENS_JOINT) {
        status = build_set(file, first + coding->table_count, coding->table_count,
                           &coding->others);
    }
    if (status == EENS_OK && coding->classes.columns != 0 &&
        !eens_classes_spread(&coding->classes, coding->columns)) {
        status = EENS_ERR_READ;
    }
    return status;
}

#endif
