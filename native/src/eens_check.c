/* A tensor of a file that is being opened (S12, 7): what its record says against the parts of the
 * file that the tensors before it have left. */
#include "eens_entropy.h"

/* S12, 7.1. */
static eens_status check_name(const eens_file *file, const eens_tensor *tensor, eens_head *head) {
    if (tensor->name_offset != head->names_used || tensor->name_size < 1 ||
        tensor->name_size > EENS_MAX_NAME ||
        tensor->name_size > eens_names_size(file) - head->names_used) {
        return EENS_ERR_NAME;
    }
    eens_status status =
        eens_name_check(file, tensor->name_offset, tensor->name_size, head->previous_size);
    head->names_used += tensor->name_size;
    head->previous_size = tensor->name_size;
    return status;
}

/* Whether scale_count is one of the numbers that S4.4 allows. */
static bool scale_count_fits(const eens_tensor *tensor) {
    if (tensor->bits == 0) {
        return tensor->scale_count == 0;
    }
    if (tensor->scale_count == 1) {
        return true;
    }
    return tensor->channel_axis != EENS_NO_AXIS && tensor->scale_count != 0 &&
           tensor->scale_count == tensor->dims[tensor->channel_axis];
}

/* S12, 7.3. */
EENS_OWN_FRAME eens_status check_scales(const eens_file *file, const eens_tensor *tensor,
                                        eens_head *head) {
    uint8_t buffer[32];
    if (tensor->scale_index != head->scales_used || !scale_count_fits(tensor) ||
        tensor->scale_count > head->scale_count - head->scales_used) {
        return EENS_ERR_SCALE;
    }
    uint64_t offset = file->scales_offset + 4 * (uint64_t)tensor->scale_index;
    for (uint32_t at = 0; at < tensor->scale_count; at += 8) {
        uint32_t part = tensor->scale_count - at < 8 ? tensor->scale_count - at : 8;
        const uint8_t *scales = eens_view(file, offset + 4 * (uint64_t)at, 4 * part, buffer);
        if (scales == NULL) {
            return EENS_ERR_READ;
        }
        for (uint32_t i = 0; i < part; i++) {
            /* Sign and exponent in one number: 1 to 246 means positive and normal (S4.4). */
            uint32_t exponent = eens_load32(scales + 4 * i) >> 23;
            if (exponent < 1 || exponent > 246) {
                return EENS_ERR_SCALE;
            }
        }
    }
    head->scales_used += tensor->scale_count;
    return EENS_OK;
}

/* S12, 7.4. */
EENS_OWN_FRAME eens_status check_blocks(const eens_file *file, const eens_tensor *tensor,
                                        eens_head *head, eens_where *where) {
    uint8_t buffer[4 * EENS_ENTRY_BYTES];
    uint32_t begin = 0;
    if (tensor->first_block != head->blocks_used || tensor->data_offset != head->data_end ||
        tensor->block_count > file->block_count - head->blocks_used) {
        return EENS_ERR_INDEX;
    }
    uint64_t offset = file->index_offset + (uint64_t)EENS_ENTRY_BYTES * tensor->first_block;
    for (uint32_t at = 0; at < tensor->block_count; at += 4) {
        uint32_t part = tensor->block_count - at < 4 ? tensor->block_count - at : 4;
        const uint8_t *entries = eens_view(file, offset + (uint64_t)EENS_ENTRY_BYTES * at,
                                           EENS_ENTRY_BYTES * part, buffer);
        if (entries == NULL) {
            return EENS_ERR_READ;
        }
        for (uint32_t i = 0; i < part; i++) {
            uint32_t end = eens_load32(entries + EENS_ENTRY_BYTES * i);
            where->block = (int32_t)(at + i);
            eens_status status = eens_block_check(file, tensor, at + i, begin, end);
            if (status != EENS_OK) {
                return status;
            }
            begin = end;
        }
    }
    where->block = -1;
    head->blocks_used += tensor->block_count;
    head->data_end += begin;
    return EENS_OK;
}

/* Decoded bytes of a tensor (S4.3). */
static uint64_t decoded_size(const eens_tensor *tensor) {
    return (uint64_t)tensor->copies * tensor->elements * eens_dtype_bytes(tensor->dtype);
}

eens_status eens_tensor_check(const eens_file *file, uint32_t index, uint64_t limit,
                              eens_head *head, eens_where *where) {
    eens_tensor tensor;
    bool reserved_is_zero;
    eens_status status = eens_record_load(file, index, &tensor, &reserved_is_zero);
    if (status == EENS_OK) {
        status = check_name(file, &tensor, head);
    }
    if (status == EENS_OK) {
        status = eens_record_check(file, reserved_is_zero, &tensor);
    }
#if !defined(EENS_NO_ENTROPY)
    if (status == EENS_OK && tensor.coder != EENS_FIXED && eens_is_supported(&tensor)) {
        status = eens_tables_check(file, &tensor);
    }
#endif
    if (status == EENS_OK) {
        status = check_scales(file, &tensor, head);
    }
    if (status == EENS_OK) {
        status = check_blocks(file, &tensor, head, where);
    }
    if (status == EENS_OK && limit != 0 && decoded_size(&tensor) > limit) {
        status = EENS_ERR_LIMIT;
    }
    return status;
}
