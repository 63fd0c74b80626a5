/* Tensor records (S4): their fields, and every rule that needs no other record (S12, 7.2). */
#include "eens_internal.h"

#define LARGEST 0x7FFFFFFFu /* 2^31 - 1: dims and products of them (S4.3) */

uint32_t eens_dtype_bytes(uint8_t dtype) {
    /* By the numbers of eens_dtype. */
    static const uint8_t bytes[EENS_BFLOAT16 + 1] = {0, 4, 1, 1, 2, 2, 4, 8, 0,
                                                     1, 2, 8, 4, 8, 0, 0, 2};
    return dtype <= EENS_BFLOAT16 ? bytes[dtype] : 0;
}

/* The struct begins as the record does, so that on little-endian machines reading is copying. */
_Static_assert(offsetof(eens_tensor, key) == 88 && offsetof(eens_tensor, index) == EENS_RECORD_BYTES,
               "eens_tensor has the layout of a record");

/* Every field to the byte order of this machine. */
static void order_fields(eens_tensor *tensor) {
    eens_to_machine_order(&tensor->data_offset, 1, 8);
    eens_to_machine_order(&tensor->name_offset, 1, 4);
    eens_to_machine_order(&tensor->name_size, 1, 2);
    eens_to_machine_order(tensor->dims, EENS_MAX_DIMS, 4);
    eens_to_machine_order(&tensor->scale_index, 5, 4);
    eens_to_machine_order(&tensor->copies, 4, 2);
    eens_to_machine_order(&tensor->reserved_84, 1, 4);
    eens_to_machine_order(&tensor->key, 1, 8);
}

eens_status eens_record_load(const eens_file *file, uint32_t index, eens_tensor *tensor) {
    eens_offset offset = EENS_HEADER_BYTES + (eens_offset)EENS_RECORD_BYTES * index;
    if (!eens_fetch(file, offset, EENS_RECORD_BYTES, tensor)) {
        return EENS_ERR_READ;
    }
    order_fields(tensor);
    tensor->index = index;
    tensor->elements = 0; /* eens_record_check fills it in */
    return EENS_OK;
}

/* dtype, ndim, dims and E. */
EENS_APART eens_status check_shape(eens_status unknown, eens_tensor *tensor) {
    uint32_t elements = 1;
    if (eens_dtype_bytes(tensor->dtype) == 0) {
        return unknown;
    }
    if (tensor->ndim > EENS_MAX_DIMS) {
        return EENS_ERR_RECORD;
    }
    for (unsigned i = 0; i < EENS_MAX_DIMS; i++) {
        uint32_t dim = tensor->dims[i];
        if (i >= tensor->ndim) {
            if (dim != 0) {
                return EENS_ERR_RECORD;
            }
            continue;
        }
        if (dim > (elements != 0 ? LARGEST / elements : LARGEST)) {
            return EENS_ERR_RECORD;
        }
        elements *= dim;
    }
    tensor->elements = elements;
    return EENS_OK;
}

/* method, coder, bits, predictor and digits, each by itself (S12, 7.2): what a newer minor version
 * adds is found here, before any rule that ties fields to each other. */
static eens_status check_values(eens_status unknown, const eens_tensor *tensor) {
    if (tensor->method > EENS_DRAWN || tensor->coder > EENS_SPLIT) {
        return unknown;
    }
    if (tensor->bits == 1 || tensor->bits > 8) {
        return EENS_ERR_RECORD;
    }
    return tensor->predictor > EENS_TRANSFORM || tensor->digits > EENS_PLANES ? unknown : EENS_OK;
}

/* Whether a number below 32 is in a set, given as bits. */
static bool is_in(uint32_t set, uint32_t number) {
    return (set >> number & 1) != 0;
}

/* Exact values: any dtype, only raw. Codes: of a float; shared has 8 bits, raw too. */
static bool bits_fit(const eens_tensor *tensor) {
    const uint32_t floats =
        1u << EENS_FLOAT32 | 1u << EENS_FLOAT16 | 1u << EENS_DOUBLE | 1u << EENS_BFLOAT16;
    if (tensor->bits == 0) {
        return tensor->method == EENS_RAW;
    }
    return is_in(floats, tensor->dtype) &&
           (tensor->bits == 8 || !is_in(1u << EENS_RAW | 1u << EENS_SHARED, tensor->method));
}

/* By method, four bits each, from raw on: the coders that it may have, as bits. */
#define CODERS 0xFF3F1u

/* coder, bits, predictor and digits are those of the method (S4, S4.3). */
static bool method_fits(const eens_tensor *tensor) {
    return is_in(CODERS, 4u * tensor->method + tensor->coder) && bits_fit(tensor) &&
           (tensor->predictor == EENS_NO_PREDICTOR || tensor->method == EENS_JOINT) &&
           (tensor->digits != EENS_NO_DIGITS) == (tensor->method == EENS_SHARED);
}

/* members is 1 to 64 (S12, 4); shared and joint have two or more. */
static bool copies_fit(const eens_tensor *tensor, uint32_t members) {
    if (tensor->copies == 1) {
        return tensor->method <= EENS_PLAIN || (tensor->method == EENS_DRAWN && members == 1);
    }
    return tensor->copies == members &&
           (tensor->method != EENS_SHARED || members <= EENS_MAX_SHARED);
}

EENS_APART bool grid_fits(const eens_tensor *tensor) {
    bool drawn = tensor->method == EENS_DRAWN;
    if ((tensor->channel_axis + 1u) % 256 > tensor->ndim) { /* none: 255 */
        return false;
    }
    if (drawn ? tensor->parent_levels - 1u >= 127 : (tensor->parent_levels | tensor->key) != 0) {
        return false;
    }
    return tensor->zero_point == (drawn || tensor->bits == 0 ? 0 : (int8_t)tensor->zero_point);
}

/* P and block_count (S4.5), and the coder, as the profile allows them (S3). */
static bool blocks_fit(const eens_tensor *tensor, uint8_t profile) {
    uint32_t limit = 1u << 20;
    if (profile != 0) {
        limit = 4096;
        if (tensor->coder == EENS_SPLIT) {
            return false;
        }
    }
    uint32_t width = tensor->bits != 0 ? 1 : eens_dtype_bytes(tensor->dtype);
    uint32_t positions = tensor->block_positions;
    if (positions - 1 >= limit / (tensor->copies * width)) { /* copies fit: not 0 */
        return false;
    }
    return tensor->block_count == (tensor->elements + positions - 1) / positions;
}

eens_status eens_record_check(const eens_file *file, eens_tensor *tensor) {
    eens_status unknown = file->minor > EENS_MINOR ? EENS_ERR_UNSUPPORTED : EENS_ERR_RECORD;
    eens_status status = check_shape(unknown, tensor);
    if (status == EENS_OK) {
        status = check_values(unknown, tensor);
    }
    if (status != EENS_OK) {
        return status;
    }
    /* With the coder fixed first_table and their number have to be 0. */
    uint32_t table_count = tensor->coder == EENS_FIXED ? 0 : file->table_count;
    bool fits = tensor->reserved_55 == 0 && tensor->reserved_84 == 0 && method_fits(tensor) &&
                grid_fits(tensor) && copies_fit(tensor, file->member_count) &&
                blocks_fit(tensor, file->profile) &&
                (uint32_t)tensor->first_table + tensor->table_count <= table_count &&
                (tensor->coder <= EENS_ENTROPY || tensor->coder <= file->minor);
    return fits ? EENS_OK : EENS_ERR_RECORD;
}

/* The methods that are decoded with a coder, as bits. */
#define ALWAYS (1u << EENS_RAW | 1u << EENS_PLAIN)
#if defined(EENS_NO_SHARED)
#define SHARED 0u
#else
#define SHARED (1u << EENS_SHARED)
#endif
#if defined(EENS_NO_JOINT)
#define JOINT 0u
#else
#define JOINT (1u << EENS_JOINT)
#endif
#if defined(EENS_NO_DRAWN)
#define DRAWN 0u
#else
#define DRAWN (1u << EENS_DRAWN)
#endif
#if defined(EENS_NO_ENTROPY)
#define CODED 0u
#else
#define CODED (1u << EENS_PLAIN | JOINT | DRAWN)
#endif
#if defined(EENS_NO_FILTER)
#define FILTERED 0u
#else
#define FILTERED CODED
#endif

#if defined(EENS_SMALL)
#define SPLIT 0u
#else
#define SPLIT FILTERED
#endif

bool eens_is_supported(const eens_tensor *tensor) {
    const uint32_t methods = /* by coder */
        ALWAYS | SHARED | DRAWN | CODED << 8 | FILTERED << 16 | SPLIT << 24;
    return tensor->coder <= EENS_SPLIT && is_in(methods, 8u * tensor->coder + tensor->method);
}
