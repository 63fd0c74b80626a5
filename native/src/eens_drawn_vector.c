/* Drawn members (S9) by vector kernels: a thousand positions at a time, the parents are split
 * once, then each pair of members draws from what they came to, straight into float32, or into
 * codes that eens_put_all turns into the rest. */
#include "eens_vector.h"

#if !defined(EENS_NO_DRAWN) && defined(EENS_VECTOR)

#define CHUNK 1024u /* positions; a multiple of EENS_DRAW */
#define SHORTEST 64u /* positions with one scale from which on values are drawn, not codes */

typedef struct drawn_chunk {
    const eens_job *job;
    eens_split split;
    bool as_values;
    int8_t parents[CHUNK + EENS_DRAW]; /* zeros behind the last */
    uint32_t limits[CHUNK + EENS_DRAW];
    union {
        float values[2][CHUNK + EENS_DRAW]; /* of the lower code and of the upper one */
        int8_t codes[CHUNK + EENS_DRAW];
    } drawn;
    union { /* of a member that was not asked for */
        float values[CHUNK];
        int8_t codes[CHUNK];
    } unused;
} drawn_chunk;

static void split_begin(const eens_tensor *tensor, eens_split *split) {
    int32_t largest = (1 << (tensor->bits - 1)) - 1;
    int32_t levels = tensor->parent_levels;
    int32_t shift = 1;
    while (1 << shift < levels) {
        shift++;
    }
    split->scale = 0;
    split->twice_largest = (int16_t)(2 * largest);
    split->twice_levels = (int16_t)(2 * levels);
    split->factor = (int16_t)(((2 << (14 + shift)) + levels) / (2 * levels));
    split->shift = (int16_t)shift;
    split->limit_whole = (int16_t)(32768 / levels);
    split->limit_factor = (int16_t)((32768 % levels * 32768 + levels - 1) / levels - 1);
}

/* The first count parents, of the block's positions from at on; false: one is out of -Q..Q. */
static bool split_chunk(drawn_chunk *chunk, uint32_t at, uint32_t count, eens_status *status) {
    uint32_t most = 0;
    uint32_t part;
    for (uint32_t i = 0; i < count; i += part) {
        part = count - i;
        if (chunk->as_values) {
            uint32_t run = eens_scale_at(chunk->job, at + i, &chunk->split.scale);
            if (run == 0) {
                *status = EENS_ERR_READ;
                return true;
            }
            part = part < run ? part : run;
        }
        uint32_t padded = (part + EENS_DRAW - 1) & ~(EENS_DRAW - 1);
        uint32_t found =
            chunk->as_values
                ? eens_split_values(&chunk->split, chunk->parents + i, padded, chunk->limits + i,
                                    chunk->drawn.values[0] + i, chunk->drawn.values[1] + i)
                : eens_split_codes(&chunk->split, chunk->parents, padded, chunk->limits,
                                   chunk->drawn.codes);
        most = found > most ? found : most;
    }
    return most <= chunk->job->tensor->parent_levels;
}

/* Values of a pair at the chunk's first count positions, first of which is number first. */
static void draw_values(const drawn_chunk *chunk, eens_draw draw, uint32_t first, uint32_t count,
                        float *even, float *odd) {
    float rest[2][EENS_DRAW];
    uint32_t whole = count & ~(EENS_DRAW - 1);
    const float *lower = chunk->drawn.values[0];
    const float *upper = chunk->drawn.values[1];
    eens_draw_values(draw, first, whole, chunk->limits, lower, upper,
                     chunk->job->way == EENS_STREAMED, even, odd);
    if (whole < count) {
        eens_draw_values(draw, first + whole, EENS_DRAW, chunk->limits + whole, lower + whole,
                         upper + whole, false, rest[0], rest[1]);
        memcpy(even + whole, rest[0], 4 * (count - whole));
        memcpy(odd + whole, rest[1], 4 * (count - whole));
    }
}

static void draw_codes(const drawn_chunk *chunk, eens_draw draw, uint32_t first, uint32_t count,
                       int8_t *even, int8_t *odd) {
    int8_t rest[2][EENS_DRAW];
    uint32_t whole = count & ~(EENS_DRAW - 1);
    eens_draw_codes(draw, first, whole, chunk->limits, chunk->drawn.codes, even, odd);
    if (whole < count) {
        eens_draw_codes(draw, first + whole, EENS_DRAW, chunk->limits + whole,
                        chunk->drawn.codes + whole, rest[0], rest[1]);
        memcpy(even + whole, rest[0], count - whole);
        memcpy(odd + whole, rest[1], count - whole);
    }
}

/* All members asked for, of the chunk that begins at the block's position at. */
static void draw_chunk(drawn_chunk *chunk, uint32_t at, uint32_t count) {
    const eens_job *job = chunk->job;
    uint32_t first = job->block.first + at;
    uint32_t begin = job->first_copy;
    uint32_t end = begin + job->copy_count;
    for (uint32_t member = begin & ~1u; member < end; member += 2) {
        eens_draw draw = eens_draw_of(job->tensor, member / 2);
        if (chunk->as_values) {
            float *to[2] = {chunk->unused.values, chunk->unused.values};
            for (uint32_t k = 0; k < 2; k++) {
                if (member + k >= begin && member + k < end) {
                    uint8_t *output = job->output + (member + k - begin) * job->stride;
                    to[k] = (float *)(void *)output + at;
                }
            }
            draw_values(chunk, draw, first, count, to[0], to[1]);
        } else {
            int8_t *to[2] = {chunk->unused.codes, chunk->unused.codes};
            for (uint32_t k = 0; k < 2; k++) {
                if (member + k >= begin && member + k < end) {
                    to[k] = eens_codes(job, member + k - begin) + at;
                }
            }
            draw_codes(chunk, draw, first, count, to[0], to[1]);
        }
    }
}

eens_status eens_drawn_vector(const eens_job *job, const uint8_t *bytes, uint32_t bits) {
    drawn_chunk chunk;
    uint32_t count = job->block.count;
    eens_status status = EENS_OK;
    chunk.job = job;
    split_begin(job->tensor, &chunk.split);
    chunk.as_values = job->output != NULL && job->type == EENS_FLOAT32 &&
                      eens_scale_run(job->tensor) >= SHORTEST;
    for (uint32_t at = 0; at < count; at += CHUNK) {
        uint32_t part = count - at < CHUNK ? count - at : CHUNK;
        eens_unpack(job->way, bytes, at, part, bits, chunk.parents);
        memset(chunk.parents + part, 0, EENS_DRAW);
        if (!split_chunk(&chunk, at, part, &status)) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        if (status != EENS_OK) {
            return status;
        }
        if (job->output != NULL) {
            draw_chunk(&chunk, at, part);
        }
    }
    return chunk.as_values ? EENS_OK : eens_put_all(job);
}

#endif
