/* Blocks with the coder entropy (S10.2, S10.3): lanes or a joint block, decoded into the workspace.
 * From there eens_decode.c makes values of one copy after the other, while it is in the nearest
 * cache. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY)

#define LANE_BYTES 8u   /* of the common part, a lane: u32 size, u32 CRC */
#define STREAM_BYTES 4u /* of a joint block, a stream: u32 size */

/* A lane of a block. */
typedef struct lane {
    uint32_t offset; /* in the block */
    uint32_t size;
    uint32_t crc;
} lane;

/* What the common part says of a lane, and where it lies in the block. */
static eens_status find_lane(const eens_file *file, const eens_tensor *tensor,
                             const eens_block *block, uint32_t number, lane *found) {
    found->offset = LANE_BYTES * eens_lane_count(tensor); /* S6: the block has these */
    found->size = 0;
    for (uint32_t i = 0; i <= number; i++) {
        uint32_t entry[2];
        if (!eens_fetch_words(file, block->offset + LANE_BYTES * i, 2, entry)) {
            return EENS_ERR_READ;
        }
        found->offset += found->size;
        found->size = entry[0];
        found->crc = entry[1];
        if (found->size > block->size - found->offset) {
            return EENS_ERR_BLOCK_CONTENT;
        }
    }
    return EENS_OK;
}

/* The codes of the parent (S10.2), or of the record's bits (S10.2, S10.3). */
static bool codes_fit(const eens_tensor *tensor, const int8_t *codes, uint32_t count) {
    int32_t half = 1 << (tensor->bits - 1);
    int32_t most = tensor->method == EENS_DRAWN ? tensor->parent_levels : half - 1;
    int32_t least = tensor->method == EENS_DRAWN ? -most : -half;
    const uint8_t range = (uint8_t)(most - least);
    uint32_t outside = 0, i = 0;
#if !defined(EENS_SMALL)
    if (range == 255) {
        return true;
    }
#endif
#if !defined(EENS_SMALL) && defined(__GNUC__)
    /* Written out, as not every level of optimisation makes vectors of the loop below. */
    const eens_bytes16 lowest = (eens_bytes16){0} + (uint8_t)least;
    eens_bytes16 above = {0};
    for (; count - i >= 16; i += 16) {
        eens_bytes16 some;
        memcpy(&some, codes + i, 16);
        above |= (eens_bytes16)(some - lowest > range);
    }
    for (uint32_t k = 0; k < 16; k++) {
        outside |= above[k];
    }
#endif
    for (; i < count; i++) {
        outside |= (uint8_t)(codes[i] - least) > range;
    }
    return outside == 0;
}

/* S10.2: the common part, its CRC compared, and that the lanes fill the block. */
static eens_status open_lanes(const eens_job *job) {
    const uint8_t *common;
    lane last;
    uint32_t lanes = eens_lane_count(job->tensor);
    eens_status status =
        eens_piece(job, 0, LANE_BYTES * lanes, job->block.crc, job->workspace, &common);
    if (status == EENS_OK) {
        status = find_lane(job->file, job->tensor, &job->block, lanes - 1, &last);
    }
    bool is_short = status == EENS_OK && last.offset + last.size != job->block.size;
    return is_short ? EENS_ERR_BLOCK_CONTENT : status;
}

/* A code stream of one set of tables with its low bits, and its filter undone. */
static eens_status decode_stream(const eens_job *job, uint32_t set, uint32_t copy,
                                 const uint8_t *bytes, uint32_t size, int8_t *codes) {
    const eens_codes_ready *code = &job->coding->codes_ready[set];
    uint32_t low_size = 0;
    eens_status status = EENS_OK;
#if defined(EENS_HAS_SPLIT)
    status = eens_low_bits_size(job, code, copy, bytes, size, &low_size);
    if (status != EENS_OK) {
        return status;
    }
#endif
    status = eens_code_stream_decode(job, code, copy, bytes + low_size, size - low_size, codes);
#if defined(EENS_HAS_SPLIT)
    if (status == EENS_OK && !eens_low_bits_add(job, code, copy, bytes, low_size, codes)) {
        status = EENS_ERR_READ;
    }
#endif
#if !defined(EENS_NO_FILTER)
    if (status == EENS_OK && !eens_unfilter(job, set, codes)) {
        status = EENS_ERR_READ;
    }
#endif
    return status;
}

static eens_status decode_lane(const eens_job *job, uint32_t number, int8_t *codes) {
    const uint8_t *bytes;
    lane found;
    eens_status status = find_lane(job->file, job->tensor, &job->block, number, &found);
    if (status == EENS_OK) {
        status = eens_piece(job, found.offset, found.size, found.crc, job->workspace, &bytes);
    }
    return status == EENS_OK ? decode_stream(job, 0, number, bytes, found.size, codes) : status;
}

#if !defined(EENS_NO_JOINT)

/* All residuals of a joint block. */
static eens_status decode_residuals(const eens_job *job, const uint8_t *bytes) {
    uint32_t members = job->tensor->copies;
    uint32_t at = STREAM_BYTES * members; /* S6: the block has these */
    int8_t *codes = job->coding->codes;
    for (uint32_t m = 0; m < members; m++, codes += job->block.count) {
        uint32_t size = eens_load32(bytes + STREAM_BYTES * m);
        if (size > job->block.size - at) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        eens_status status = decode_stream(job, m != 0, m, bytes + at, size, codes);
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
    eens_status status =
        eens_piece(job, 0, job->block.size, job->block.crc, job->workspace, &bytes);
    if (status == EENS_OK) {
        status = decode_residuals(job, bytes);
    }
    if (status != EENS_OK) {
        return status;
    }
    eens_unpredict(job->tensor, job->block.count, codes);
    uint32_t all = job->tensor->copies * job->block.count; /* at most 2^20 */
    return codes_fit(job->tensor, codes, all) ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

#endif

eens_status eens_entropy_open(const eens_job *job) {
#if !defined(EENS_NO_JOINT)
    if (job->tensor->method == EENS_JOINT) {
        return open_joint(job);
    }
#endif
    return open_lanes(job);
}

eens_status eens_entropy_codes(const eens_job *job, uint32_t copy, const int8_t **codes) {
    const eens_tensor *tensor = job->tensor;
    int8_t *first = job->coding->codes;
    uint32_t number = tensor->method == EENS_DRAWN ? 0 : job->first_copy + copy;
    *codes = first;
#if !defined(EENS_NO_JOINT)
    if (tensor->method == EENS_JOINT) {
        *codes += (size_t)eens_joint_row(tensor, number) * job->block.count;
        return EENS_OK;
    }
#endif
    eens_status status = decode_lane(job, number, first);
    return status == EENS_OK && !codes_fit(tensor, first, job->block.count)
               ? EENS_ERR_BLOCK_CONTENT
               : status;
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
        lane found;
        eens_status status = find_lane(file, tensor, block, i, &found);
        if (status == EENS_ERR_BLOCK_CONTENT) {
            return EENS_OK; /* the block will be refused when it is decoded */
        }
        if (status != EENS_OK) {
            return status;
        }
        *size = found.size > *size ? found.size : *size;
    }
    return EENS_OK;
}

#endif
