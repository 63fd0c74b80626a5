/* A tensor of a file that is being opened (S12, 7): what its record says against the parts of the
 * file that the tensors before it have left. */
#include "eens_entropy.h"

/* S12, 7.1. */
static eens_status check_name(const eens_file *file, const eens_tensor *tensor, eens_head *head) {
    if (tensor->name_offset != head->names_used || tensor->name_size < 1 ||
        tensor->name_size > EENS_MAX_NAME ||
        tensor->name_size > file->names_size - head->names_used) {
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
static eens_status check_scales(const eens_file *file, const eens_tensor *tensor,
                                        eens_head *head) {
    if (tensor->scale_index != head->scales_used || !scale_count_fits(tensor) ||
        tensor->scale_count > file->scale_count - head->scales_used) {
        return EENS_ERR_SCALE;
    }
    for (uint32_t i = 0; i < tensor->scale_count; i++) {
        uint32_t scale; /* the head is below 2^28 bytes */
        if (!eens_fetch_words(file, file->scales_offset + 4 * (tensor->scale_index + i), 1, &scale)) {
            return EENS_ERR_READ;
        }
        /* Sign and exponent in one number: 1 to 246 means positive and normal (S4.4). */
        if ((scale >> 23) - 1 > 245) {
            return EENS_ERR_SCALE;
        }
    }
    head->scales_used += tensor->scale_count;
    return EENS_OK;
}

/* S12, 7.4. */
static eens_status check_blocks(const eens_file *file, const eens_tensor *tensor,
                                        eens_head *head, eens_where *where) {
    uint32_t begin = 0;
    if (tensor->first_block != head->blocks_used || tensor->data_offset != head->data_end ||
        tensor->block_count > file->block_count - head->blocks_used) {
        return EENS_ERR_INDEX;
    }
    for (uint32_t i = 0; i < tensor->block_count; i++) {
        uint32_t end;
        if (!eens_fetch_words(
                file, file->index_offset + EENS_ENTRY_BYTES * (tensor->first_block + i), 1, &end)) {
            return EENS_ERR_READ;
        }
        where->block = (int32_t)i;
        eens_status status = eens_block_check(file, tensor, i, begin, end);
        if (status != EENS_OK) {
            return status;
        }
        begin = end;
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
    eens_status status = eens_record_load(file, index, &tensor);
    if (status == EENS_OK) {
        status = check_name(file, &tensor, head);
    }
    if (status == EENS_OK) {
        status = eens_record_check(file, &tensor);
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
