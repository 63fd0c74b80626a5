/* A tensor of a file that is being opened (S12, 7): what its record says against the parts of the
 * file that the tensors before it have left. */
#include "eens_entropy.h"

/* Below eens_tables_check the stack is deepest: nothing that the other checks keep may lie there. */
#if defined(EENS_NO_ENTROPY)
#define CHECK static
#else
#define CHECK EENS_APART
#endif

/* Takes count things from number first on, where so many of all are used up; false: they are not the
 * next ones, or not there. */
static bool take(uint32_t *used, uint32_t all, uint32_t first, uint32_t count) {
    if (first != *used || count > all - first) {
        return false;
    }
    *used += count;
    return true;
}

/* S12, 7.1. */
static eens_status check_name(const eens_file *file, const eens_tensor *tensor, eens_head *head) {
    uint32_t size = tensor->name_size;
    if (size - 1 >= EENS_MAX_NAME ||
        !take(&head->names_used, file->names_size, tensor->name_offset, size)) {
        return EENS_ERR_NAME;
    }
    eens_status status = eens_name_check(file, tensor->name_offset, size, head->previous_size);
    head->previous_size = size;
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
CHECK eens_status check_scales(const eens_file *file, const eens_tensor *tensor,
                                    eens_head *head) {
    if (!scale_count_fits(tensor) ||
        !take(&head->scales_used, file->scale_count, tensor->scale_index, tensor->scale_count)) {
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
    return EENS_OK;
}

/* S12, 7.4. */
CHECK eens_status check_blocks(const eens_file *file, const eens_tensor *tensor,
                                    eens_head *head) {
    if (tensor->data_offset != head->data_end ||
        !take(&head->blocks_used, file->block_count, tensor->first_block, tensor->block_count)) {
        return EENS_ERR_INDEX;
    }
    for (uint32_t i = 0; i < tensor->block_count; i++) {
        eens_block block;
        head->where.block = (int32_t)i;
        eens_status status = eens_block_at(file, tensor, i, &block);
        if (status != EENS_OK) {
            return status;
        }
        head->data_end = block.offset + block.size;
    }
    head->where.block = -1;
    return EENS_OK;
}

/* Decoded bytes of a tensor (S4.3). */
static uint64_t decoded_size(const eens_tensor *tensor) {
    return (uint64_t)tensor->elements * (tensor->copies * eens_dtype_bytes(tensor->dtype));
}

eens_status eens_tensor_check(const eens_file *file, uint32_t index, eens_head *head) {
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
        status = check_blocks(file, &tensor, head);
    }
    if (status == EENS_OK && head->limit != 0 && decoded_size(&tensor) > head->limit) {
        status = EENS_ERR_LIMIT;
    }
    return status;
}
