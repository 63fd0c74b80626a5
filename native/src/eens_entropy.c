/* Blocks with the coder entropy (S10.2, S10.3): lanes or a joint block, decoded into the workspace.
 * From there eens_decode.c makes values of one copy after the other, while it is in the nearest
 * cache. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define LANE_BYTES 8u   /* of the common part, a lane: u32 size, u32 CRC */
#define STREAM_BYTES 4u /* of a joint block, a stream: u32 size */

/* size bytes of the block from offset on (which the caller knows to lie in it), for good or until
 * the next view. */
static eens_status view_input(const eens_job *job, uint32_t offset, uint32_t size,
                              const uint8_t **bytes) {
    size_t used = (size_t)(job->coding->input - job->workspace);
    if (job->file->data == NULL && size > job->workspace_size - used) {
        return EENS_ERR_WORKSPACE;
    }
    *bytes = eens_view(job->file, job->block.offset + offset, size, job->coding->input);
    return *bytes != NULL ? EENS_OK : EENS_ERR_READ;
}

static bool codes_lie_in(const int8_t *codes, uint32_t count, int32_t least, int32_t most) {
    uint32_t outside = 0;
    for (uint32_t i = 0; i < count; i++) {
        outside |= (uint32_t)(codes[i] < least) | (uint32_t)(codes[i] > most);
    }
    return outside == 0;
}

/* The codes of the record's bits (S10.2, S10.3). */
static bool codes_fit(const eens_tensor *tensor, const int8_t *codes, uint32_t count) {
    int32_t half = 1 << (tensor->bits - 1);
    return tensor->bits == 8 || codes_lie_in(codes, count, -half, half - 1);
}

/* S10.2: the common part, its CRC compared, and that the lanes fill the block. */
static eens_status open_lanes(const eens_job *job) {
    const uint8_t *common;
    uint32_t lanes = eens_lane_count(job->tensor);
    uint64_t sum = LANE_BYTES * lanes;
    eens_status status = view_input(job, 0, LANE_BYTES * lanes, &common); /* S6: it is there */
    if (status != EENS_OK) {
        return status;
    }
    if (eens_crc_update(job->fast_crc, 0, common, LANE_BYTES * lanes) != job->block.crc) {
        return EENS_ERR_BLOCK_CHECKSUM;
    }
    for (uint32_t lane = 0; lane < lanes; lane++) {
        sum += eens_load32(common + LANE_BYTES * lane);
    }
    return sum == job->block.size ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

/* What the common part says of a lane, and where the lane lies in the block. */
static eens_status find_lane(const eens_file *file, const eens_tensor *tensor,
                             const eens_block *block, uint32_t lane, uint32_t *offset,
                             uint32_t *size, uint32_t *crc) {
    uint8_t buffer[LANE_BYTES];
    uint64_t begin = LANE_BYTES * eens_lane_count(tensor);
    for (uint32_t i = 0;; i++) {
        const uint8_t *entry = eens_view(file, block->offset + LANE_BYTES * i, LANE_BYTES, buffer);
        if (entry == NULL) {
            return EENS_ERR_READ;
        }
        *size = eens_load32(entry);
        *crc = eens_load32(entry + 4);
        if (i == lane || begin + *size > block->size) {
            break;
        }
        begin += *size;
    }
    *offset = (uint32_t)begin;
    /* Before open_lanes, or when storage has changed since. */
    return begin + *size <= block->size ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

static eens_status decode_lane(const eens_job *job, uint32_t lane, int8_t *codes) {
    const uint8_t *bytes;
    uint32_t offset;
    uint32_t size;
    uint32_t crc;
    eens_status status =
        find_lane(job->file, job->tensor, &job->block, lane, &offset, &size, &crc);
    if (status == EENS_OK) {
        status = view_input(job, offset, size, &bytes);
    }
    if (status == EENS_OK && eens_crc_update(job->fast_crc, 0, bytes, size) != crc) {
        status = EENS_ERR_BLOCK_CHECKSUM;
    }
    return status == EENS_OK
               ? eens_code_stream_decode(job, &job->coding->first, lane, bytes, size, codes)
               : status;
}

/* All residuals of a joint block. */
static eens_status decode_residuals(const eens_job *job, const uint8_t *bytes) {
    uint32_t members = job->tensor->copies;
    uint32_t at = STREAM_BYTES * members; /* S6: the block has these */
    for (uint32_t m = 0; m < members; m++) {
        uint32_t size = eens_load32(bytes + STREAM_BYTES * m);
        if (size > job->block.size - at) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        const eens_codes_ready *code = m == 0 ? &job->coding->first : &job->coding->others;
        eens_status status =
            eens_code_stream_decode(job, code, m, bytes + at, size,
                                    job->coding->codes + (size_t)m * job->block.count);
        if (status != EENS_OK) {
            return status;
        }
        at += size;
    }
    return at == job->block.size ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

static eens_status open_joint(const eens_job *job) {
    const uint8_t *bytes;
    int8_t *codes = job->coding->codes;
    eens_status status = view_input(job, 0, job->block.size, &bytes);
    if (status != EENS_OK) {
        return status;
    }
    if (eens_crc_update(job->fast_crc, 0, bytes, job->block.size) != job->block.crc) {
        return EENS_ERR_BLOCK_CHECKSUM;
    }
    status = decode_residuals(job, bytes);
    if (status != EENS_OK) {
        return status;
    }
    eens_unpredict(job->tensor, job->block.count, codes);
    uint32_t all = job->tensor->copies * job->block.count; /* at most 2^20 */
    return codes_fit(job->tensor, codes, all) ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

eens_status eens_entropy_open(const eens_job *job) {
    return job->tensor->method == EENS_JOINT ? open_joint(job) : open_lanes(job);
}

eens_status eens_entropy_codes(const eens_job *job, uint32_t copy, const int8_t **codes) {
    int8_t *first = job->coding->codes;
    uint32_t count = job->block.count;
    *codes = first;
    if (job->tensor->method == EENS_JOINT) {
        *codes += (size_t)eens_joint_row(job->tensor, job->first_copy + copy) * count;
        return EENS_OK;
    }
    eens_status status = decode_lane(job, job->first_copy + copy, first);
    return status == EENS_OK && !codes_fit(job->tensor, first, count) ? EENS_ERR_BLOCK_CONTENT
                                                                      : status;
}

eens_status eens_entropy_parents(const eens_job *job, const uint8_t **parents) {
    int32_t levels = job->tensor->parent_levels;
    int8_t *codes = job->coding->codes;
    eens_status status = open_lanes(job);
    if (status == EENS_OK) {
        status = decode_lane(job, 0, codes);
    }
    if (status == EENS_OK && !codes_lie_in(codes, job->block.count, -levels, levels)) {
        status = EENS_ERR_BLOCK_CONTENT;
    }
    *parents = (const uint8_t *)codes;
    return status;
}

eens_status eens_entropy_input(const eens_file *file, const eens_tensor *tensor,
                               const eens_block *block, uint32_t *size) {
    uint32_t lanes = eens_lane_count(tensor);
    if (tensor->method == EENS_JOINT) {
        *size = block->size;
        return EENS_OK;
    }
    *size = LANE_BYTES * lanes;
    for (uint32_t i = 0; i < lanes; i++) {
        uint32_t offset;
        uint32_t lane;
        uint32_t crc;
        eens_status status = find_lane(file, tensor, block, i, &offset, &lane, &crc);
        if (status == EENS_ERR_BLOCK_CONTENT) {
            return EENS_OK; /* the block will be refused when it is decoded */
        }
        if (status != EENS_OK) {
            return status;
        }
        *size = lane > *size ? lane : *size;
    }
    return EENS_OK;
}

#endif
