/* Decoding (S12): checks the request, walks its blocks, and hands each to its method. */
#include "eens_entropy.h"
#include "eens_vector.h"

/* The type of the output's elements; 0: the tensor cannot be had in this format. */
static uint8_t type_of(const eens_tensor *tensor, int32_t format) {
    static const uint8_t types[] = {0, EENS_INT8, EENS_INT16, EENS_FLOAT32, EENS_FLOAT16};
    if (format == EENS_AS_VALUES) {
        return tensor->dtype;
    }
    return tensor->bits == 0 || (uint32_t)format >= sizeof types ? 0 : types[format];
}

/* Whether this build makes codes into values of this type. */
static bool has_values_of(const eens_tensor *tensor, uint8_t type) {
#if defined(EENS_ONLY_FLOAT32)
    return tensor->bits == 0 || type < EENS_FLOAT16; /* codes become only floats and int8, int16 */
#else
    (void)tensor, (void)type;
    return true;
#endif
}

/* The first position of a block, or the end of the tensor. The product is below E + P. */
static uint32_t position_of(const eens_tensor *tensor, uint32_t block) {
    uint32_t position = block * tensor->block_positions;
    return position < tensor->elements ? position : tensor->elements;
}

/* What a request comes to: the type, copies and stride of the job, and how many bytes of output. */
static eens_status plan_request(const eens_file *file, const eens_tensor *tensor,
                                const eens_request *request, eens_job *job, size_t *size) {
    *size = 0;
    job->type = type_of(tensor, request->format);
    if (!has_values_of(tensor, job->type)) {
        return EENS_ERR_UNSUPPORTED;
    }
    job->element = (uint8_t)eens_dtype_bytes(job->type);
    if (job->element == 0 || request->first_block > tensor->block_count ||
        request->block_count > tensor->block_count - request->first_block ||
        (uint32_t)request->member + 1 > file->member_count) { /* all members: -1 */
        return EENS_ERR_ARGUMENT;
    }
    bool all = request->member == EENS_ALL_MEMBERS;
    job->copy_count = all ? tensor->copies : 1;
    job->first_copy = all || tensor->copies == 1 ? 0 : (uint16_t)request->member;
    size_t positions = position_of(tensor, request->first_block + request->block_count) -
                       position_of(tensor, request->first_block);
    uint64_t apart = request->stride != 0 && job->copy_count > 1 ? request->stride : positions;
    /* 2^53: times 64 copies of 8 bytes it stays within 64 bits. */
    if (apart < positions || apart > (uint64_t)1 << 53) {
        return EENS_ERR_ARGUMENT;
    }
    uint64_t bytes =
        (apart * (job->copy_count - 1u) + positions) * job->element;
    if (bytes > SIZE_MAX) {
        return EENS_ERR_ARGUMENT;
    }
    *size = (size_t)bytes;
    job->stride = (size_t)apart * job->element;
    /* A hint: the blocks are at most this large, as if codes were stored in 8 bits each. */
    job->fast_crc = eens_crc_is_fast((uint64_t)positions * job->copy_count *
                                     (tensor->bits != 0 ? 1 : job->element));
    return EENS_OK;
}

eens_status eens_output_size(const eens_file *file, const eens_tensor *tensor,
                             const eens_request *request, size_t *size) {
    eens_job job;
    if (file == NULL || tensor == NULL || request == NULL || size == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    return plan_request(file, tensor, request, &job, size);
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
    if (eens_is_in_memory(file) || status != EENS_OK) {
        return status;
    }
    uint32_t most = 0;
    for (uint32_t i = 0; i < tensor->block_count; i++) {
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

eens_status eens_piece(const eens_job *job, uint32_t offset, uint32_t size, uint32_t crc,
                       void *buffer, const uint8_t **bytes) {
    bool has_room = eens_is_in_memory(job->file) || buffer != job->workspace ||
                    size <= job->workspace_size;
    if (!has_room) {
        return EENS_ERR_WORKSPACE;
    }
    *bytes = eens_view(job->file, job->block.offset + offset, size, buffer);
    if (*bytes == NULL) {
        return EENS_ERR_READ;
    }
    return eens_crc_update(job->fast_crc, 0, *bytes, size) == crc ? EENS_OK
                                                                  : EENS_ERR_BLOCK_CHECKSUM;
}

eens_status eens_put_codes(const eens_job *job, uint32_t copy, uint32_t at, uint32_t count,
                           const int8_t *codes) {
    return eens_spread(job, at, count, codes,
                       job->output + copy * job->stride + (size_t)at * job->element);
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
EENS_APART eens_status decode_entropy(const eens_job *job) {
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
#if !defined(EENS_NO_SHARED)
    case EENS_SHARED: return eens_shared_decode(job);
#endif
#if !defined(EENS_NO_DRAWN)
    case EENS_DRAWN: return eens_drawn_decode(job);
#endif
    default: return eens_lanes_decode(job);
    }
}

static eens_status decode_blocks(eens_job *job, const eens_request *request, eens_where *where) {
    for (uint32_t i = 0; i < request->block_count; i++) {
        where->block = (int32_t)(request->first_block + i);
        eens_status status =
            eens_block_at(job->file, job->tensor, request->first_block + i, &job->block);
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
static eens_status prepare(const eens_request *request, void *output, size_t output_size,
                           eens_job *job) {
    size_t size;
    eens_status status = plan_request(job->file, job->tensor, request, job, &size);
    if (status != EENS_OK) {
        return status;
    }
    if (!eens_is_supported(job->tensor)) {
        return EENS_ERR_UNSUPPORTED;
    }
    if (output != NULL && output_size < size) {
        return EENS_ERR_OUTPUT;
    }
    job->coding = NULL;
    job->output = output;
    job->way = eens_way(size);
    return ((uintptr_t)output & (job->element - 1u)) == 0 ? EENS_OK : EENS_ERR_ARGUMENT;
}

#if !defined(EENS_NO_ENTROPY)
/* With the tables of the tensor. */
EENS_OWN_FRAME eens_status decode_coded(eens_job *job, const eens_request *request,
                                        eens_where *where) {
    eens_coding coding;
    job->coding = &coding;
    eens_status status = eens_coding_begin(job, &coding);
    return status == EENS_OK ? decode_blocks(job, request, where) : status;
}
#endif

static eens_status decode_all(eens_job *job, const eens_request *request, eens_where *where) {
#if !defined(EENS_NO_ENTROPY)
    if (job->tensor->coder != EENS_FIXED && request->block_count != 0) {
        return decode_coded(job, request, where);
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
    job.file = file;
    job.tensor = tensor;
    job.workspace = workspace;
    job.workspace_size = workspace != NULL ? workspace_size : 0;
    eens_status status = prepare(request, output, output_size, &job);
    if (status == EENS_OK) {
        status = decode_all(&job, request, where);
        eens_way_end(job.way);
    }
    return status;
}

eens_status eens_dequantize(const eens_file *file, const eens_tensor *tensor, const int8_t *codes,
                            uint32_t first_position, uint32_t count, int32_t format, void *output,
                            size_t output_size) {
    if (file == NULL || tensor == NULL || (count != 0 && (codes == NULL || output == NULL)) ||
        tensor->bits == 0 || first_position > tensor->elements ||
        count > tensor->elements - first_position) {
        return EENS_ERR_ARGUMENT;
    }
    eens_job job;
    job.type = type_of(tensor, format);
    if (!has_values_of(tensor, job.type)) {
        return EENS_ERR_UNSUPPORTED;
    }
    job.element = (uint8_t)eens_dtype_bytes(job.type);
    if (job.element < 2 || job.type == EENS_INT16 || (uintptr_t)output % job.element != 0) {
        return EENS_ERR_ARGUMENT;
    }
    if (output_size / job.element < count) {
        return EENS_ERR_OUTPUT;
    }
    job.way = eens_way(0);
    job.file = file;
    job.tensor = tensor;
    job.block.first = first_position;
    return eens_spread(&job, 0, count, codes, output);
}
