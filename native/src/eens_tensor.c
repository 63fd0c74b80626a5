/* Tensors of an open file: by number, by name, their names and scales. */
#include "eens_internal.h"

/* The record was checked when the file was opened. Storage may change or misread since, so every
 * number that will be used is checked again, against the parts of the file that it points into. */
static bool parts_exist(const eens_file *file, const eens_tensor *tensor) {
    uint64_t names = eens_names_size(file);
    uint64_t scales = (file->tables_offset - file->scales_offset) / 4;
    return (uint64_t)tensor->name_offset + tensor->name_size <= names &&
           tensor->name_size <= EENS_MAX_NAME &&
           (uint64_t)tensor->scale_index + tensor->scale_count <= scales &&
           (tensor->scale_count != 0) == (tensor->bits != 0) &&
           (uint64_t)tensor->first_block + tensor->block_count <= file->block_count &&
           tensor->data_offset <= file->size;
}

eens_status eens_tensor_at(const eens_file *file, uint32_t index, eens_tensor *tensor) {
    bool reserved_is_zero;
    if (file == NULL || tensor == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    if (index >= file->tensor_count) {
        return EENS_ERR_NOT_FOUND;
    }
    eens_status status = eens_record_load(file, index, tensor, &reserved_is_zero);
    if (status == EENS_OK) {
        status = eens_record_check(file, reserved_is_zero, tensor);
    }
    return status == EENS_OK && !parts_exist(file, tensor) ? EENS_ERR_RECORD : status;
}

/* The sign of (name of record number index - name). */
static eens_status compare_at(const eens_file *file, uint32_t index, const char *name,
                              size_t name_size, int *order) {
    uint8_t buffer[6];
    uint64_t record = EENS_HEADER_BYTES + (uint64_t)EENS_RECORD_BYTES * index;
    const uint8_t *field = eens_view(file, record + 8, 6, buffer);
    if (field == NULL) {
        return EENS_ERR_READ;
    }
    uint32_t offset = eens_load32(field);
    uint32_t size = eens_load16(field + 4);
    if ((uint64_t)offset + size > eens_names_size(file)) {
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
    uint64_t offset = (uint64_t)file->names_offset + tensor->name_offset;
    const uint8_t *bytes = eens_view(file, offset, tensor->name_size, name);
    if (bytes == NULL) {
        return EENS_ERR_READ;
    }
    if (bytes != (const uint8_t *)name) {
        memcpy(name, bytes, tensor->name_size);
    }
    name[tensor->name_size] = 0;
    return EENS_OK;
}

eens_status eens_scales(const eens_file *file, const eens_tensor *tensor, uint32_t first,
                        uint32_t count, float *scales) {
    uint8_t buffer[64];
    if (file == NULL || tensor == NULL || (scales == NULL && count != 0) ||
        first > tensor->scale_count || count > tensor->scale_count - first) {
        return EENS_ERR_ARGUMENT;
    }
    uint64_t offset = file->scales_offset + 4 * ((uint64_t)tensor->scale_index + first);
    for (uint32_t at = 0; at < count; at += 16) {
        uint32_t part = count - at < 16 ? count - at : 16;
        const uint8_t *bytes = eens_view(file, offset + 4 * (uint64_t)at, 4 * part, buffer);
        if (bytes == NULL) {
            return EENS_ERR_READ;
        }
        for (uint32_t i = 0; i < part; i++) {
            uint32_t word = eens_load32(bytes + 4 * i);
            memcpy(scales + at + i, &word, 4);
        }
    }
    return EENS_OK;
}
