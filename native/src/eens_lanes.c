/* Blocks made of lanes (S7): the common part is the CRCs of the lanes, and each lane holds one copy
 * (raw, plain) or the parent (drawn), so that a copy costs one lane. */
#include "eens_internal.h"

eens_status eens_lanes_open(const eens_job *job) {
    const uint8_t *common;
    return eens_piece(job, 0, 4 * eens_lane_count(job->tensor), job->block.crc, job->workspace,
                      &common);
}

eens_status eens_lane_view(const eens_job *job, uint32_t lane, uint8_t *buffer,
                           const uint8_t **bytes) {
    uint32_t crc;
    uint32_t size = eens_lane_bytes(job->tensor, job->block.count);
    /* At most K lanes of 8 x 2^20 bytes: below 2^29. */
    uint32_t skip = 4 * eens_lane_count(job->tensor) + lane * size;
    /* Read again, because a lane may have taken the common part's place in the workspace. */
    if (!eens_fetch_words(job->file, job->block.offset + 4 * lane, 1, &crc)) {
        return EENS_ERR_READ;
    }
    return eens_piece(job, skip, size, crc, buffer, bytes);
}

eens_status eens_lane_fields(const eens_job *job, uint32_t lane, uint32_t bits,
                             const uint8_t **bytes) {
    eens_status status = eens_lane_view(job, lane, job->workspace, bytes);
    bool fits = status != EENS_OK || eens_padding_is_zero(*bytes, job->block.count * bits);
    return fits ? status : EENS_ERR_BLOCK_CONTENT;
}

static void copy_unless_there(uint8_t *output, const uint8_t *bytes, uint32_t size) {
    if (bytes != output) {
        memcpy(output, bytes, size);
    }
}

/* A bool is 0 or 1 (S7.1). */
static bool bools_fit(const uint8_t *bytes, uint32_t count) {
    uint8_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        all |= bytes[i];
    }
    return all <= 1;
}

/* S7.1, exact values. */
EENS_APART eens_status decode_exact(const eens_job *job, uint32_t lane, uint8_t *output) {
    const uint8_t *bytes;
    uint32_t count = job->block.count;
    uint32_t size = eens_lane_bytes(job->tensor, count);
    eens_status status =
        eens_lane_view(job, lane, output != NULL ? output : job->workspace, &bytes);
    if (status != EENS_OK) {
        return status;
    }
    if (job->tensor->dtype == EENS_BOOL && !bools_fit(bytes, count)) {
        return EENS_ERR_BLOCK_CONTENT;
    }
    if (output != NULL) {
        copy_unless_there(output, bytes, size);
        eens_to_machine_order(output, count, job->element);
    }
    return EENS_OK;
}

#if defined(EENS_SMALL)

/* Fields into the output: first as codes into the last bytes of the room that their values take. */
static eens_status put_fields(const eens_job *job, uint32_t copy, const uint8_t *bytes,
                              uint32_t bits) {
    int8_t *codes = eens_codes(job, copy);
    eens_unpack(0, bytes, 0, job->block.count, bits, codes);
    return eens_put_codes(job, copy, 0, job->block.count, codes);
}

#else

#define CHUNK 1024u /* codes on their way from fields to values, which stay in the first cache */

/* Fields into the output. */
EENS_OWN_FRAME eens_status put_fields(const eens_job *job, uint32_t copy, const uint8_t *bytes,
                                      uint32_t bits) {
    uint32_t count = job->block.count;
    int8_t chunk[CHUNK];
    eens_status status = EENS_OK;
    if (job->type == EENS_INT8) {
        eens_unpack(job->way, bytes, 0, count, bits, eens_codes(job, copy));
        return EENS_OK;
    }
    for (uint32_t at = 0; at < count && status == EENS_OK; at += CHUNK) {
        uint32_t part = count - at < CHUNK ? count - at : CHUNK;
        eens_unpack(job->way, bytes, at, part, bits, chunk);
        status = eens_put_codes(job, copy, at, part, chunk);
    }
    return status;
}

#endif

/* S7.1 and S7.2, codes; those of 8 bits are bytes in both. */
static eens_status decode_codes(const eens_job *job, uint32_t copy) {
    const uint8_t *bytes;
    uint32_t bits = job->tensor->bits;
    eens_status status = eens_lane_fields(job, job->first_copy + copy, bits, &bytes);
    if (status != EENS_OK || job->output == NULL) {
        return status;
    }
    return bits == 8 ? eens_put_codes(job, copy, 0, job->block.count, (const int8_t *)bytes)
                     : put_fields(job, copy, bytes, bits);
}

eens_status eens_lanes_decode(const eens_job *job) {
    eens_status status = eens_lanes_open(job);
    for (uint32_t i = 0; i < job->copy_count && status == EENS_OK; i++) {
        if (job->tensor->bits == 0) {
            uint8_t *output = job->output != NULL ? job->output + i * job->stride : NULL;
            status = decode_exact(job, job->first_copy + i, output);
        } else {
            status = decode_codes(job, i);
        }
    }
    return status;
}
