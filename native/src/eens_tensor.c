/* Tensors of an open file: by number, by name, their names and scales. */
#include "eens_internal.h"

/* Whether count things from number first on lie in a row of so many. */
static bool lie_in(uint32_t first, uint32_t count, uint32_t all) {
    return first <= all && count <= all - first;
}

/* The record was checked when the file was opened. Storage may change or misread since, so every
 * number that will be used is checked again, against the parts of the file that it points into. */
static bool parts_exist(const eens_file *file, const eens_tensor *tensor) {
    return lie_in(tensor->name_offset, tensor->name_size, file->names_size) &&
           tensor->name_size <= EENS_MAX_NAME &&
           lie_in(tensor->scale_index, tensor->scale_count, file->scale_count) &&
           (tensor->scale_count != 0) == (tensor->bits != 0) &&
           lie_in(tensor->first_block, tensor->block_count, file->block_count) &&
           tensor->data_offset <= file->size;
}

eens_status eens_tensor_at(const eens_file *file, uint32_t index, eens_tensor *tensor) {
    if (file == NULL || tensor == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    if (index >= file->tensor_count) {
        return EENS_ERR_NOT_FOUND;
    }
    eens_status status = eens_record_load(file, index, tensor);
    if (status == EENS_OK) {
        status = eens_record_check(file, tensor);
    }
    return status == EENS_OK && !parts_exist(file, tensor) ? EENS_ERR_RECORD : status;
}

/* The sign of (name of record number index - name). */
static eens_status compare_at(const eens_file *file, uint32_t index, const char *name,
                              size_t name_size, int *order) {
    uint32_t field[2]; /* name_offset; name_size, dtype, ndim */
    if (!eens_fetch_words(file, EENS_HEADER_BYTES + EENS_RECORD_BYTES * index + 8, 2, field)) {
        return EENS_ERR_READ;
    }
    uint32_t offset = field[0];
    uint32_t size = field[1] & 0xFFFF;
    if (!lie_in(offset, size, file->names_size)) {
        return EENS_ERR_RECORD;
    }
    return eens_name_compare(file, offset, size, (const uint8_t *)name, name_size, order);
}

eens_status eens_find(const eens_file *file, const char *name, size_t name_size,
                      eens_tensor *tensor) {
    if (file == NULL || name == NULL || tensor == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    uint32_t low = 0;
    uint32_t high = file->tensor_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = 0;
        eens_status status = compare_at(file, middle, name, name_size, &order);
        if (status != EENS_OK) {
            return status;
        }
        if (order == 0) {
            return eens_tensor_at(file, middle, tensor);
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return EENS_ERR_NOT_FOUND;
}

eens_status eens_tensor_name(const eens_file *file, const eens_tensor *tensor, char *name,
                             size_t name_capacity) {
    if (file == NULL || tensor == NULL || name == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    if (name_capacity < (size_t)tensor->name_size + 1) {
        return EENS_ERR_OUTPUT;
    }
    if (!eens_fetch(file, file->names_offset + tensor->name_offset, tensor->name_size, name)) {
        return EENS_ERR_READ;
    }
    name[tensor->name_size] = 0;
    return EENS_OK;
}

eens_status eens_scales(const eens_file *file, const eens_tensor *tensor, uint32_t first,
                        uint32_t count, float *scales) {
    if (file == NULL || tensor == NULL || (scales == NULL && count != 0) ||
        !lie_in(first, count, tensor->scale_count)) {
        return EENS_ERR_ARGUMENT;
    }
    if (!eens_fetch(file, file->scales_offset + 4 * (tensor->scale_index + first),
                    4 * (size_t)count, scales)) {
        return EENS_ERR_READ;
    }
    eens_to_machine_order(scales, count, 4);
    return EENS_OK;
}
