/* Drawn members (S9) in a small build: one member after the other. eens_drawn.c is the default. */
#include "eens_entropy.h"

#if !defined(EENS_NO_DRAWN) && defined(EENS_SMALL)

static uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ x >> 16;
}

/* One member, into codes (NULL: only checked), from the parent's codes in fields of bits bits; false:
 * one of them is out of -Q..Q. With t = n q + Q q in 0..2 Q q, floor(t / Q) is found without a
 * division: it is t (floor(2^22 / Q) + 1) >> 22, since t times the error of that factor, at most
 * 2 Q q x Q <= 254 x 127^2, is below 2^22. The product stays below 2^31: 254 (2^22 + 127). */
EENS_APART bool draw(const eens_job *job, uint32_t member, const uint8_t *parents, uint32_t bits,
                 int8_t *codes) {
    const eens_tensor *tensor = job->tensor;
    uint32_t levels = tensor->parent_levels;
    uint32_t largest = (1u << (tensor->bits - 1)) - 1;
    uint32_t factor = (1u << 22) / levels + 1;
    uint32_t offset = mix(mix(mix((uint32_t)tensor->key) ^ (uint32_t)(tensor->key >> 32)) ^
                          tensor->index);
    offset = mix(offset + 0x9E3779B9u * (member / 2 + 1));
    uint32_t multiplier = mix(offset ^ 0x85EBCA6Bu) | 1;
    eens_stream fields = {parents, eens_ceil8(job->block.count * bits), 0};
    for (uint32_t i = 0; i < job->block.count; i++) {
        uint32_t raised = (uint32_t)eens_take_code(&fields, bits) + levels;
        if (raised > 2 * levels) {
            return false;
        }
        uint32_t t = raised * largest;
        uint32_t quotient = t * factor >> 22;
        uint32_t x = mix((job->block.first + i) * multiplier + offset);
        uint32_t word = member % 2 == 0 ? x & 0xFFFFu : x >> 16;
        bool up = word * levels >> 16 < t - quotient * levels;
        if (codes != NULL) {
            codes[i] = (int8_t)(quotient - largest + up);
        }
    }
    return true;
}

/* The parent's codes: as fields of bits bits, of which bytes are the simplest case. */
static eens_status open_parents(const eens_job *job, const uint8_t **bytes, uint32_t *bits) {
#if !defined(EENS_NO_ENTROPY)
    if (job->coding != NULL) {
        *bits = 8;
        const int8_t *parents = NULL;
        eens_status status = eens_entropy_open(job);
        if (status == EENS_OK) {
            status = eens_entropy_codes(job, 0, &parents);
        }
        *bytes = (const uint8_t *)parents;
        return status;
    }
#endif
    *bits = eens_parent_bits(job->tensor);
    eens_status status = eens_lanes_open(job);
    return status == EENS_OK ? eens_lane_fields(job, 0, *bits, bytes) : status;
}

eens_status eens_drawn_decode(const eens_job *job) {
    const uint8_t *bytes;
    uint32_t bits;
    eens_status status = open_parents(job, &bytes, &bits);
    for (uint32_t i = 0; i < job->copy_count && status == EENS_OK; i++) {
        int8_t *codes = job->output != NULL ? eens_codes(job, i) : NULL;
        if (!draw(job, job->first_copy + i, bytes, bits, codes)) {
            status = EENS_ERR_BLOCK_CONTENT;
        }
    }
    return status == EENS_OK ? eens_put_all(job) : status;
}

#endif
