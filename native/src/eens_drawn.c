/* Drawn members (S9): the parent's codes are stored; each member's follow from them and a key. */
#include "eens_entropy.h"
#include "eens_vector.h"

#if !defined(EENS_NO_DRAWN) && !defined(EENS_SMALL) /* eens_drawn_small.c */

#define CHUNK 64u /* positions worked on at a time; a multiple of 8 */

static inline uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    x ^= x >> 16;
    return x;
}

eens_draw eens_draw_of(const eens_tensor *tensor, uint32_t pair) {
    eens_draw draw;
    uint32_t a = mix((uint32_t)tensor->key);
    a = mix(a ^ (uint32_t)(tensor->key >> 32));
    a = mix(a ^ tensor->index);
    draw.offset = mix(a + 0x9E3779B9u * (pair + 1));
    draw.multiplier = mix(draw.offset ^ 0x85EBCA6Bu) | 1;
    return draw;
}

/* n becomes f = floor(n q / Q), and rests the r left over. Q f is found without a division: with
 * t = n q + Q q in 0..2 Q q, floor(t / Q) = t (floor(2^22 / Q) + 1) >> 22, since t times the error
 * of that factor, at most 2 Q q x Q <= 254 x 127^2, is below 2^22. The product stays below 2^31:
 * 254 (2^22 + 127). False: a parent code out of -Q..Q. */
static bool split_parents(const eens_tensor *tensor, uint32_t count, int8_t *parents,
                          uint8_t *rests) {
    int32_t levels = tensor->parent_levels;
    int32_t largest = (1 << (tensor->bits - 1)) - 1;
    uint32_t factor = (1u << 22) / (uint32_t)levels + 1;
    uint32_t outside = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t raised = (uint32_t)(parents[i] + levels);
        outside |= raised > 2 * (uint32_t)levels;
        uint32_t t = raised * (uint32_t)largest;
        uint32_t quotient = t * factor >> 22;
        parents[i] = (int8_t)((int32_t)quotient - largest);
        rests[i] = (uint8_t)(t - quotient * (uint32_t)levels);
    }
    return outside == 0;
}

/* shift is 0 for the even member of a pair, 16 for the odd one. */
static void draw_codes(eens_draw draw, uint32_t shift, uint32_t levels, uint32_t first,
                       uint32_t count, const int8_t *restrict floors,
                       const uint8_t *restrict rests, int8_t *restrict codes) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t x = mix((first + i) * draw.multiplier + draw.offset);
        uint32_t u = (x >> shift & 0xFFFFu) * levels >> 16;
        codes[i] = (int8_t)(floors[i] + (u < rests[i]));
    }
}

static void draw_both(eens_draw draw, uint32_t levels, uint32_t first, uint32_t count,
                      const int8_t *restrict floors, const uint8_t *restrict rests,
                      int8_t *restrict even, int8_t *restrict odd) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t x = mix((first + i) * draw.multiplier + draw.offset);
        even[i] = (int8_t)(floors[i] + ((x & 0xFFFFu) * levels >> 16 < rests[i]));
        odd[i] = (int8_t)(floors[i] + ((x >> 16) * levels >> 16 < rests[i]));
    }
}

/* All members asked for, of one chunk: at counts from the block's first position. */
static void draw_chunk(const eens_job *job, uint32_t at, uint32_t count, const int8_t *floors,
                       const uint8_t *rests) {
    uint32_t levels = job->tensor->parent_levels;
    uint32_t first = job->block.first + at;
    uint32_t end = (uint32_t)job->first_copy + job->copy_count;
    for (uint32_t member = job->first_copy; member < end;) {
        eens_draw draw = eens_draw_of(job->tensor, member / 2);
        int8_t *codes = eens_codes(job, member - job->first_copy) + at;
        if (member % 2 == 0 && member + 1 < end) {
            int8_t *odd = eens_codes(job, member + 1 - job->first_copy) + at;
            draw_both(draw, levels, first, count, floors, rests, codes, odd);
            member += 2;
        } else {
            draw_codes(draw, member % 2 * 16, levels, first, count, floors, rests, codes);
            member++;
        }
    }
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

/* The members asked for, from the parent's codes in fields of bits bits. */
EENS_OWN_FRAME eens_status draw_members(const eens_job *job, const uint8_t *bytes, uint32_t bits) {
    int8_t parents[CHUNK];
    uint8_t rests[CHUNK];
#if defined(EENS_VECTOR)
    if (job->way != EENS_BY_SCALAR && job->tensor->parent_levels >= 2) {
        return eens_drawn_vector(job, bytes, bits);
    }
#endif
    for (uint32_t at = 0; at < job->block.count; at += CHUNK) {
        uint32_t part = job->block.count - at < CHUNK ? job->block.count - at : CHUNK;
        eens_unpack(job->way, bytes, at, part, bits, parents);
        if (!split_parents(job->tensor, part, parents, rests)) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        if (job->output != NULL) {
            draw_chunk(job, at, part, parents, rests);
        }
    }
    return eens_put_all(job);
}

eens_status eens_drawn_decode(const eens_job *job) {
    const uint8_t *bytes;
    uint32_t bits;
    eens_status status = open_parents(job, &bytes, &bits);
    return status == EENS_OK ? draw_members(job, bytes, bits) : status;
}

#endif
