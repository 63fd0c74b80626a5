/* Shared bits, coder fixed (S8), in a small build: field by field. eens_shared.c and
 * eens_shared_few.c are the default. */
#include "eens_internal.h"

#if !defined(EENS_NO_SHARED) && defined(EENS_SMALL)

/* The streams of a block, in their order. */
enum { PATTERNS4, PATTERNS8, BASES, DIGITS4, DIGITS8, STREAMS };

typedef struct shared_block {
    const eens_job *job;
    const uint8_t *runs;
    uint32_t run_count;
    uint32_t members;
    const eens_digit *kinds;     /* of the levels 4 and 8 */
    const int8_t *lowest_codes;  /* by levels: when all fields that a code has are 0 */
    uint32_t unit;               /* of a base */
    eens_stream streams[STREAMS];
} shared_block;

/* By planes, then by level. */
static const eens_digit digit_kinds[2][2] = {{{3, 4, 17}, {5, 16, 1}}, {{2, 3, 16}, {4, 15, 1}}};

/* What a code of so many levels is when all fields that it has are 0, by planes. */
static const int8_t lowest_codes[2][4] = {{0, -85, -85 - 34, -85 - 34 - 8},
                                          {0, 32 - 128, 8 - 128, -128}};

/* Adds the digits of a level, 0 or 1, to the codes of a position. The first four members' string is
 * found by counting: so many strings begin with each number that the next member may have. */
static bool add_level(shared_block *block, uint32_t level, int32_t *codes) {
    const eens_digit *kind = &block->kinds[level];
    uint32_t head = block->members < 4 ? block->members : 4;
    uint32_t index = eens_take_bits(&block->streams[PATTERNS4 + level], eens_pattern_bits(head));
    uint8_t digits[EENS_MAX_SHARED];
    uint32_t clusters = 0;
    for (uint32_t m = 0; m < block->members; m++) {
        uint32_t number = 0;
        if (m >= 4) {
            number = eens_take_bits(&block->streams[PATTERNS4 + level], m < 8 ? 3 : 4);
        } else if (m != 0) {
            uint32_t behind = head - 1 - m;
            uint32_t strings = behind == 2 ? 5 : behind == 1 ? clusters + 1 : 1;
            for (; index >= strings && number < clusters; number++) {
                index -= strings;
            }
        }
        if (number == clusters) {
            uint32_t digit = eens_take_bits(&block->streams[DIGITS4 + level], kind->width);
            if (digit > kind->most) {
                return false;
            }
            digits[clusters++] = (uint8_t)digit;
        } else if (number > clusters) {
            return false;
        }
        codes[m] += kind->unit * digits[number];
    }
    return index == 0;
}

static bool decode_position(shared_block *block, uint32_t levels, uint32_t at) {
    const eens_job *job = block->job;
    int32_t codes[EENS_MAX_SHARED];
    for (uint32_t m = 0; m < block->members; m++) {
        uint32_t base = levels != 0 ? eens_take_bits(&block->streams[BASES], 2) : 0;
        if (base == 3 && block->unit != 64) {
            return false;
        }
        codes[m] = block->lowest_codes[levels] + (int32_t)(block->unit * base);
    }
    for (uint32_t level = 0; level + 1 < levels; level++) {
        if (!add_level(block, level, codes)) {
            return false;
        }
    }
    for (uint32_t k = 0; job->output != NULL && k < job->copy_count; k++) {
        eens_codes(job, k)[at] = (int8_t)codes[job->first_copy + k];
    }
    return true;
}

/* Checks the runs and cuts the common part into its streams. */
static bool open_block(shared_block *block, const uint8_t *bytes, uint32_t left) {
    uint32_t with[4] = {0, 0, 0, 0}; /* positions with at least 0, 1, 2, 3 levels */
    uint32_t pattern_bits = eens_pattern_bits(block->members);
    block->run_count = eens_load16(bytes); /* a block has at least 8 bytes (S6) */
    block->runs = bytes + 2;
    if (block->run_count == 0 || left < 6 + 2 * block->run_count) {
        return false;
    }
    for (uint32_t i = 0; i < block->run_count; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        for (uint32_t level = 0; level <= (run & 3); level++) {
            with[level] += (run >> 2) + 1; /* at most 2^16 x 2^14 */
        }
    }
    if (with[0] != block->job->block.count) {
        return false;
    }
    left -= 6 + 2 * block->run_count;
    bytes += 6 + 2 * block->run_count;
    block->streams[PATTERNS4].size = eens_ceil8(with[2] * pattern_bits);
    block->streams[PATTERNS8].size = eens_ceil8(with[3] * pattern_bits);
    block->streams[BASES].size = eens_ceil8(with[1] * 2 * block->members);
    block->streams[DIGITS4].size = eens_load32(bytes - 4);
    for (uint32_t i = 0; i < STREAMS; i++) {
        eens_stream *stream = &block->streams[i];
        if (i == DIGITS8) {
            stream->size = left;
        } else if (stream->size > left) {
            return false;
        }
        stream->bytes = bytes;
        stream->at = 0;
        bytes += stream->size;
        left -= stream->size;
    }
    return true;
}

static bool decode_runs(shared_block *block) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < block->run_count; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        uint32_t end = at + (run >> 2) + 1;
        /* Counted again: memory that changes after its checksum must not lead past the output. */
        if (end > block->job->block.count) {
            return false;
        }
        for (; at < end; at++) {
            if (!decode_position(block, run & 3, at)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < STREAMS; i++) {
        if (!eens_stream_ends(&block->streams[i])) {
            return false;
        }
    }
    return true;
}

EENS_OWN_FRAME eens_status decode_codes(const eens_job *job) {
    bool planes = job->tensor->digits == EENS_PLANES;
    shared_block block = {.job = job,
                          .members = job->tensor->copies,
                          .kinds = digit_kinds[planes],
                          .lowest_codes = lowest_codes[planes],
                          .unit = planes ? 64 : 85};
    const uint8_t *bytes;
    eens_status status =
        eens_piece(job, 0, job->block.size, job->block.crc, job->workspace, &bytes);
    if (status == EENS_OK &&
        !(open_block(&block, bytes, job->block.size) && decode_runs(&block))) {
        status = EENS_ERR_BLOCK_CONTENT;
    }
    return status;
}

eens_status eens_shared_decode(const eens_job *job) {
    eens_status status = decode_codes(job);
    return status == EENS_OK ? eens_put_all(job) : status;
}

#endif
