/* Tensor records (S4): their fields, and every rule that needs no other record (S12, 7.2). */
#include "eens_internal.h"

#define LARGEST 0x7FFFFFFFu /* 2^31 - 1: dims and products of them (S4.3) */

uint32_t eens_dtype_bytes(uint8_t dtype) {
    switch (dtype) {
    case EENS_UINT8:
    case EENS_INT8:
    case EENS_BOOL: return 1;
    case EENS_UINT16:
    case EENS_INT16:
    case EENS_FLOAT16:
    case EENS_BFLOAT16: return 2;
    case EENS_FLOAT32:
    case EENS_INT32:
    case EENS_UINT32: return 4;
    case EENS_INT64:
    case EENS_UINT64:
    case EENS_DOUBLE: return 8;
    default: return 0;
    }
}

static bool is_float(uint8_t dtype) {
    return dtype == EENS_FLOAT32 || dtype == EENS_FLOAT16 || dtype == EENS_DOUBLE ||
           dtype == EENS_BFLOAT16;
}

eens_status eens_record_load(const eens_file *file, uint32_t index, eens_tensor *tensor,
                             bool *reserved_is_zero) {
    uint8_t buffer[EENS_RECORD_BYTES];
    uint64_t offset = EENS_HEADER_BYTES + (uint64_t)EENS_RECORD_BYTES * index;
    const uint8_t *bytes = eens_view(file, offset, EENS_RECORD_BYTES, buffer);
    if (bytes == NULL) {
        return EENS_ERR_READ;
    }
    tensor->index = index;
    tensor->elements = 0; /* eens_record_check fills it in */
    tensor->data_offset = eens_load64(bytes);
    tensor->name_offset = eens_load32(bytes + 8);
    tensor->name_size = (uint16_t)eens_load16(bytes + 12);
    tensor->dtype = bytes[14];
    tensor->ndim = bytes[15];
    for (unsigned i = 0; i < EENS_MAX_DIMS; i++) {
        tensor->dims[i] = eens_load32(bytes + 16 + 4 * i);
    }
    tensor->method = bytes[48];
    tensor->coder = bytes[49];
    tensor->bits = bytes[50];
    tensor->predictor = bytes[51];
    tensor->digits = bytes[52];
    tensor->channel_axis = bytes[53];
    tensor->parent_levels = bytes[54];
    tensor->scale_index = eens_load32(bytes + 56);
    tensor->scale_count = eens_load32(bytes + 60);
    tensor->first_block = eens_load32(bytes + 64);
    tensor->block_count = eens_load32(bytes + 68);
    tensor->block_positions = eens_load32(bytes + 72);
    tensor->copies = (uint16_t)eens_load16(bytes + 76);
    tensor->zero_point = (int16_t)((int32_t)(eens_load16(bytes + 78) ^ 0x8000u) - 0x8000);
    tensor->first_table = (uint16_t)eens_load16(bytes + 80);
    tensor->table_count = (uint16_t)eens_load16(bytes + 82);
    *reserved_is_zero = bytes[55] == 0 && eens_load32(bytes + 84) == 0;
    tensor->key = eens_load64(bytes + 88);
    return EENS_OK;
}

/* dtype, ndim, dims and E. */
static eens_status check_shape(eens_status unknown, eens_tensor *tensor) {
    uint64_t elements = 1;
    if (eens_dtype_bytes(tensor->dtype) == 0) {
        return unknown;
    }
    if (tensor->ndim > EENS_MAX_DIMS) {
        return EENS_ERR_RECORD;
    }
    for (unsigned i = 0; i < EENS_MAX_DIMS; i++) {
        if (i >= tensor->ndim) {
            if (tensor->dims[i] != 0) {
                return EENS_ERR_RECORD;
            }
            continue;
        }
        elements *= tensor->dims[i]; /* at most (2^31 - 1) * (2^32 - 1) */
        if (tensor->dims[i] > LARGEST || elements > LARGEST) {
            return EENS_ERR_RECORD;
        }
    }
    tensor->elements = (uint32_t)elements;
    return EENS_OK;
}

static bool bits_fit(const eens_tensor *tensor) {
    if (tensor->bits != 0 && !is_float(tensor->dtype)) {
        return false;
    }
    switch (tensor->method) {
    case EENS_RAW: return tensor->bits == 0 || tensor->bits == 8;
    case EENS_SHARED: return tensor->bits == 8;
    default: return tensor->bits >= 2 && tensor->bits <= 8;
    }
}

/* method, coder, bits, predictor, digits (S4.3), in this order. */
static eens_status check_method(eens_status unknown, const eens_tensor *tensor) {
    if (tensor->method > EENS_DRAWN || tensor->coder > EENS_ENTROPY) {
        return unknown;
    }
    if (tensor->method == EENS_RAW && tensor->coder != EENS_FIXED) {
        return EENS_ERR_RECORD;
    }
    if (!bits_fit(tensor)) {
        return EENS_ERR_RECORD;
    }
    if (tensor->predictor > EENS_TRANSFORM) {
        return unknown;
    }
    if (tensor->predictor != EENS_NO_PREDICTOR && tensor->method != EENS_JOINT) {
        return EENS_ERR_RECORD;
    }
    if (tensor->digits > EENS_PLANES) {
        return unknown;
    }
    if ((tensor->digits != EENS_NO_DIGITS) != (tensor->method == EENS_SHARED)) {
        return EENS_ERR_RECORD;
    }
    return EENS_OK;
}

static bool copies_fit(const eens_tensor *tensor, uint32_t members) {
    switch (tensor->method) {
    case EENS_SHARED:
        return tensor->copies == members && members >= 2 && members <= EENS_MAX_SHARED;
    case EENS_JOINT: return tensor->copies == members && members >= 2;
    case EENS_DRAWN: return tensor->copies == members;
    default: return tensor->copies == members || tensor->copies == 1;
    }
}

static bool grid_fits(const eens_tensor *tensor) {
    bool drawn = tensor->method == EENS_DRAWN;
    if (tensor->channel_axis != EENS_NO_AXIS && tensor->channel_axis >= tensor->ndim) {
        return false;
    }
    if (drawn ? tensor->parent_levels < 1 || tensor->parent_levels > 127
              : tensor->parent_levels != 0 || tensor->key != 0) {
        return false;
    }
    if (drawn || tensor->bits == 0) {
        return tensor->zero_point == 0;
    }
    return tensor->zero_point >= -128 && tensor->zero_point <= 127;
}

/* P and block_count (S4.5). */
static bool blocks_fit(const eens_tensor *tensor, uint8_t profile) {
    uint64_t limit = profile == 0 ? 1u << 20 : 4096u;
    uint64_t width = tensor->bits != 0 ? 1 : eens_dtype_bytes(tensor->dtype);
    uint64_t positions = tensor->block_positions;
    if (positions == 0 || tensor->copies * width * positions > limit) { /* at most 2^41 */
        return false;
    }
    uint32_t most = (uint32_t)positions; /* at most 2^20 from here on, so 32 bits hold the sum */
    return tensor->block_count == (tensor->elements + most - 1) / most;
}

eens_status eens_record_check(const eens_file *file, bool reserved_is_zero, eens_tensor *tensor) {
    eens_status unknown = file->minor > EENS_MINOR ? EENS_ERR_UNSUPPORTED : EENS_ERR_RECORD;
    eens_status status = check_shape(unknown, tensor);
    if (status == EENS_OK) {
        status = check_method(unknown, tensor);
    }
    if (status != EENS_OK) {
        return status;
    }
    /* With the coder fixed first_table and their number have to be 0. */
    uint32_t table_count = tensor->coder == EENS_FIXED ? 0 : file->table_count;
    bool fits = reserved_is_zero && grid_fits(tensor) &&
                copies_fit(tensor, file->member_count) && blocks_fit(tensor, file->profile) &&
                (uint32_t)tensor->first_table + tensor->table_count <= table_count;
    return fits ? EENS_OK : EENS_ERR_RECORD;
}
