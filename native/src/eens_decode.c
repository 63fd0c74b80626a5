/* Decoding (S12): checks the request, walks its blocks, and hands each to its method. */
#include "eens_entropy.h"
#include "eens_vector.h"

/* What a request comes to. */
typedef struct eens_plan {
    uint64_t positions; /* of the range */
    uint64_t stride;    /* bytes from one copy to the next in the output */
    uint64_t size;      /* bytes of output */
    uint16_t first_copy;
    uint16_t copy_count;
    uint8_t type;
    uint8_t element;
} eens_plan;

/* The type of the output's elements; 0: the tensor cannot be had in this format. */
static uint8_t type_of(const eens_tensor *tensor, int32_t format) {
    if (format == EENS_AS_VALUES) {
        return tensor->dtype;
    }
    if (tensor->bits == 0) {
        return 0;
    }
    switch (format) {
    case EENS_AS_INT8: return EENS_INT8;
    case EENS_AS_INT16: return EENS_INT16;
    case EENS_AS_FLOAT32: return EENS_FLOAT32;
    case EENS_AS_FLOAT16: return EENS_FLOAT16;
    default: return 0;
    }
}

static uint64_t positions_of(const eens_tensor *tensor, const eens_request *request) {
    uint64_t begin = (uint64_t)request->first_block * tensor->block_positions;
    uint64_t end = begin + (uint64_t)request->block_count * tensor->block_positions;
    begin = begin < tensor->elements ? begin : tensor->elements;
    return (end < tensor->elements ? end : tensor->elements) - begin;
}

static eens_status plan_request(const eens_file *file, const eens_tensor *tensor,
                                const eens_request *request, eens_plan *plan) {
    plan->type = type_of(tensor, request->format);
    plan->element = (uint8_t)eens_dtype_bytes(plan->type);
    if (plan->element == 0 || request->first_block > tensor->block_count ||
        request->block_count > tensor->block_count - request->first_block ||
        request->member < EENS_ALL_MEMBERS || request->member >= file->member_count) {
        return EENS_ERR_ARGUMENT;
    }
    bool all = request->member == EENS_ALL_MEMBERS;
    plan->copy_count = all ? tensor->copies : 1;
    plan->first_copy = all || tensor->copies == 1 ? 0 : (uint16_t)request->member;
    plan->positions = positions_of(tensor, request);
    uint64_t apart = request->stride != 0 && plan->copy_count > 1 ? request->stride
                                                                   : plan->positions;
    /* 2^53: times 64 copies of 8 bytes it stays within 64 bits. */
    if (apart < plan->positions || apart > (uint64_t)1 << 53) {
        return EENS_ERR_ARGUMENT;
    }
    plan->stride = apart * plan->element;
    plan->size = plan->stride * (plan->copy_count - 1u) + plan->positions * plan->element;
    return plan->size <= SIZE_MAX ? EENS_OK : EENS_ERR_ARGUMENT;
}

eens_status eens_output_size(const eens_file *file, const eens_tensor *tensor,
                             const eens_request *request, size_t *size) {
    eens_plan plan;
    if (file == NULL || tensor == NULL || request == NULL || size == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    eens_status status = plan_request(file, tensor, request, &plan);
    *size = status == EENS_OK ? (size_t)plan.size : 0;
    return status;
}

/* The part of a block that has to be in one piece: all of it, or its common part or a lane. */
static eens_status largest_part(const eens_file *file, const eens_tensor *tensor,
                                const eens_block *block, uint32_t *size) {
#if !defined(EENS_NO_ENTROPY)
    if (tensor->coder != EENS_FIXED) {
        return eens_entropy_input(file, tensor, block, size);
    }
#endif
    (void)file;
    uint32_t common = 4 * eens_lane_count(tensor);
    uint32_t lane = eens_lane_bytes(tensor, block->count);
    *size = tensor->method == EENS_SHARED ? block->size : lane > common ? lane : common;
    return EENS_OK;
}

eens_status eens_workspace_size(const eens_file *file, const eens_tensor *tensor, size_t *size) {
    eens_block block;
    if (file == NULL || tensor == NULL || size == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    *size = 0;
    if (!eens_is_supported(tensor)) {
        return EENS_ERR_UNSUPPORTED;
    }
    if (tensor->block_count == 0) {
        return EENS_OK;
    }
    eens_status status = EENS_OK;
#if !defined(EENS_NO_ENTROPY)
    if (tensor->coder != EENS_FIXED) {
        status = eens_coding_size(file, tensor, size);
    }
#endif
    if (file->data != NULL || status != EENS_OK) {
        return status;
    }
    /* Blocks of lanes of one size shrink only at the tensor's end. */
    bool alike = tensor->method != EENS_SHARED && tensor->coder == EENS_FIXED;
    uint32_t most = 0;
    for (uint32_t i = 0; i < (alike ? 1 : tensor->block_count); i++) {
        uint32_t part = 0;
        status = eens_block_at(file, tensor, i, &block);
        if (status == EENS_OK) {
            status = largest_part(file, tensor, &block, &part);
        }
        if (status != EENS_OK) {
            return status;
        }
        most = part > most ? part : most;
    }
    *size += most;
    return EENS_OK;
}

eens_status eens_block_view(const eens_job *job, const uint8_t **bytes) {
    *bytes = eens_view(job->file, job->block.offset, job->block.size, job->workspace);
    if (*bytes == NULL) {
        return EENS_ERR_READ;
    }
    uint32_t crc = eens_crc_update(job->fast_crc, 0, *bytes, job->block.size);
    return crc == job->block.crc ? EENS_OK : EENS_ERR_BLOCK_CHECKSUM;
}

eens_status eens_put_codes(const eens_job *job, uint32_t copy, uint32_t at, uint32_t count,
                           const int8_t *codes) {
    uint8_t *output = job->output + copy * job->stride + (size_t)at * job->element;
    if (job->type != EENS_INT8) {
        return eens_spread(job->vector, job->file, job->tensor, codes, job->block.first + at,
                           count, job->type, output);
    }
    if ((const uint8_t *)codes != output) {
        memcpy(output, codes, count);
    }
    return EENS_OK;
}

eens_status eens_put_all(const eens_job *job) {
    eens_status status = EENS_OK;
    for (uint32_t i = 0; job->output != NULL && i < job->copy_count && status == EENS_OK; i++) {
        status = eens_put_codes(job, i, 0, job->block.count, eens_codes(job, i));
    }
    return status;
}

#if !defined(EENS_NO_ENTROPY)
/* One located block of plain or joint, copy by copy. */
static eens_status decode_entropy(const eens_job *job) {
    const int8_t *codes;
    eens_status status = eens_entropy_open(job);
    for (uint32_t i = 0; i < job->copy_count && status == EENS_OK; i++) {
        status = eens_entropy_codes(job, i, &codes);
        if (status == EENS_OK && job->output != NULL) {
            status = eens_put_codes(job, i, 0, job->block.count, codes);
        }
    }
    return status;
}
#endif

/* One located block. */
static eens_status decode_block(const eens_job *job) {
#if !defined(EENS_NO_ENTROPY)
    if (job->coding != NULL && job->tensor->method != EENS_DRAWN) {
        return decode_entropy(job);
    }
#endif
    switch (job->tensor->method) {
    case EENS_SHARED: return eens_shared_decode(job);
    case EENS_DRAWN: return eens_drawn_decode(job);
    default: return eens_lanes_decode(job);
    }
}

/* All blocks of the range are at most this many bytes: their codes as if stored in 8 bits each, or
 * exact values. Only a hint, for eens_crc_is_fast. */
static uint64_t bytes_of(const eens_tensor *tensor, uint64_t positions, uint32_t copies) {
    return positions * copies * (tensor->bits != 0 ? 1 : eens_dtype_bytes(tensor->dtype));
}

static eens_status decode_blocks(eens_job *job, const eens_request *request, eens_where *where) {
    for (uint32_t i = 0; i < request->block_count; i++) {
        where->block = (int32_t)(request->first_block + i);
        eens_status status =
            eens_block_at(job->file, job->tensor, request->first_block + i, &job->block);
        if (status == EENS_OK && job->file->data == NULL && job->coding == NULL) {
            uint32_t part;
            status = largest_part(job->file, job->tensor, &job->block, &part);
            status = status == EENS_OK && job->workspace_size < part ? EENS_ERR_WORKSPACE : status;
        }
        if (status == EENS_OK) {
            status = decode_block(job);
        }
        if (status != EENS_OK) {
            return status;
        }
        if (job->output != NULL) {
            job->output += (size_t)job->block.count * job->element;
        }
    }
    return EENS_OK;
}

/* All of a call but what changes from block to block. */
static eens_status prepare(const eens_file *file, const eens_tensor *tensor,
                           const eens_request *request, void *output, size_t output_size,
                           eens_job *job) {
    eens_plan plan;
    eens_status status = plan_request(file, tensor, request, &plan);
    if (status != EENS_OK) {
        return status;
    }
    if (!eens_is_supported(tensor)) {
        return EENS_ERR_UNSUPPORTED;
    }
    if (output != NULL && output_size < plan.size) {
        return EENS_ERR_OUTPUT;
    }
    if ((uintptr_t)output % plan.element != 0) {
        return EENS_ERR_ARGUMENT;
    }
    job->file = file;
    job->tensor = tensor;
    job->coding = NULL;
    job->output = output;
    job->stride = (size_t)plan.stride;
    job->first_copy = plan.first_copy;
    job->copy_count = plan.copy_count;
    job->type = plan.type;
    job->element = plan.element;
    job->vector = eens_vector_is_there();
    job->fast_crc = eens_crc_is_fast(bytes_of(tensor, plan.positions, plan.copy_count));
    return EENS_OK;
}

/* With the tables of the tensor, if it has any. */
static eens_status decode_all(eens_job *job, const eens_request *request, eens_where *where) {
#if !defined(EENS_NO_ENTROPY)
    eens_coding coding;
    if (job->tensor->coder != EENS_FIXED && request->block_count != 0) {
        eens_status status = eens_coding_begin(job, &coding);
        if (status != EENS_OK) {
            return status;
        }
        job->coding = &coding;
    }
#endif
    return decode_blocks(job, request, where);
}

eens_status eens_decode(const eens_file *file, const eens_tensor *tensor,
                        const eens_request *request, void *workspace, size_t workspace_size,
                        void *output, size_t output_size, eens_where *where) {
    eens_where ignored;
    eens_job job;
    where = where != NULL ? where : &ignored;
    where->tensor = where->block = where->section = -1;
    if (file == NULL || tensor == NULL || request == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    where->tensor = (int32_t)tensor->index;
    job.workspace = workspace;
    job.workspace_size = workspace != NULL ? workspace_size : 0;
    eens_status status = prepare(file, tensor, request, output, output_size, &job);
    return status == EENS_OK ? decode_all(&job, request, where) : status;
}

eens_status eens_dequantize(const eens_file *file, const eens_tensor *tensor, const int8_t *codes,
                            uint32_t first_position, uint32_t count, int32_t format, void *output,
                            size_t output_size) {
    if (file == NULL || tensor == NULL || (count != 0 && (codes == NULL || output == NULL)) ||
        tensor->bits == 0 || first_position > tensor->elements ||
        count > tensor->elements - first_position) {
        return EENS_ERR_ARGUMENT;
    }
    uint8_t type = type_of(tensor, format);
    uint32_t element = eens_dtype_bytes(type);
    if (element < 2 || type == EENS_INT16 || (uintptr_t)output % element != 0) {
        return EENS_ERR_ARGUMENT;
    }
    if (output_size / element < count) {
        return EENS_ERR_OUTPUT;
    }
    return eens_spread(eens_vector_is_there(), file, tensor, codes, first_position, count, type,
                       output);
}
