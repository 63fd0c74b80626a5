/* Shared bits, coder fixed (S8): digits stored once for all members that agree on them.
 *
 * Faults in the content are collected and looked at once a run: until then a wrong field leads to
 * wrong codes, never to a wrong address, because streams read as zeros behind their end. */
#include "eens_vector.h"

#if !defined(EENS_NO_SHARED) && !defined(EENS_SMALL) /* eens_shared_small.c */

/* By planes, then by level. */
static const eens_digit digit_kinds[2][2] = {{{3, 4, 17}, {5, 16, 1}}, {{2, 3, 16}, {4, 15, 1}}};

/* The restricted-growth strings of the first two, three or four members, in order, 4 bits a member:
 * r_1 in bits 4 to 7, r_2 and r_3 above. r_0 is 0, and its place holds the number of clusters; 0
 * clusters: there is no such string. */
static const uint16_t first_members[3][16] = {
    {0x001, 0x012},
    {0x001, 0x102, 0x012, 0x112, 0x213},
    {0x0001, 0x1002, 0x0102, 0x1102, 0x2103, 0x0012, 0x1012, 0x2013, 0x0112, 0x1112, 0x2113,
     0x0213, 0x1213, 0x2213, 0x3214},
};

/* Cluster numbers, 4 bits a member, from the bits of a pattern; returns the number of clusters. */
static uint32_t read_pattern(uint64_t bits, uint32_t members, uint64_t *numbers,
                             uint32_t *faults) {
    uint32_t head = members < 4 ? members : 4;
    uint32_t first = first_members[head - 2][bits & (head == 2 ? 1 : head == 3 ? 7 : 15)];
    uint32_t clusters = first & 15;
    *faults |= clusters - 1; /* the top bit tells of a fault */
    *numbers = first - clusters;
    bits >>= 4;
    for (uint32_t m = 4; m < members; m++) {
        uint32_t width = m < 8 ? 3 : 4;
        uint32_t number = (uint32_t)bits & ((1u << width) - 1);
        bits >>= width;
        *faults |= clusters - number;
        *numbers |= (uint64_t)number << 4 * m;
        clusters += number == clusters;
    }
    return clusters;
}

/* Adds the digits of level 4 (0) or 8 (1) to the codes of a position. */
static void add_level(eens_shared *block, uint32_t level, uint32_t *faults, int16_t *codes) {
    const eens_digit *kind = &block->kinds[level];
    eens_stream *digits = &block->digits[level];
    uint64_t numbers;
    uint64_t pattern = eens_peek(&block->patterns[level], block->patterns[level].at);
    uint32_t clusters = read_pattern(pattern, block->members, &numbers, faults);
    for (uint32_t m = 0; m < block->members; m++, numbers >>= 4) {
        uint32_t skip = kind->width * ((uint32_t)numbers & 15);
        uint32_t digit = (uint32_t)eens_peek(digits, digits->at + skip) & ((1u << kind->width) - 1);
        *faults |= kind->most - digit;
        codes[m] = (int16_t)(codes[m] + kind->unit * (int32_t)digit);
    }
    block->patterns[level].at += block->pattern_bits;
    digits->at += clusters * kind->width;
}

int32_t eens_lowest_code(bool planes, uint32_t levels) {
    static const int8_t balanced_codes[4] = {0, -85, -85 - 34, -85 - 34 - 8};
    static const int8_t planes_codes[4] = {0, 32 - 128, 8 - 128, -128};
    return planes ? planes_codes[levels] : balanced_codes[levels];
}

/* The bases of a position, with what the digits that follow cannot say. */
static void take_bases(eens_shared *block, int32_t lowest, uint32_t *faults, int16_t *codes) {
    uint32_t fields = (uint32_t)eens_peek(&block->bases, block->bases.at);
    for (uint32_t m = 0; m < block->members; m++, fields >>= 2) {
        int32_t field = (int32_t)(fields & 3);
        codes[m] = (int16_t)(lowest + (block->planes ? 64 : 85) * field);
        *faults |= block->planes ? 0 : 2 - (fields & 3);
    }
    block->bases.at += 2 * block->members;
}

static bool decode_run(eens_shared *block, uint32_t levels, uint32_t first, uint32_t count) {
    const eens_job *job = block->job;
    int32_t lowest = eens_lowest_code(block->planes, levels);
    uint32_t faults = 0;
    int16_t codes[EENS_MAX_SHARED] = {0};
    for (uint32_t i = first; i < first + count; i++) {
        if (levels >= 1) {
            take_bases(block, lowest, &faults, codes);
        }
        for (uint32_t level = 0; level + 1 < levels; level++) {
            add_level(block, level, &faults, codes);
        }
        for (uint32_t k = 0; job->output != NULL && k < job->copy_count; k++) {
            eens_codes(job, k)[i] = (int8_t)codes[job->first_copy + k];
        }
    }
    return faults >> 31 == 0;
}

static eens_stream stream_of(const uint8_t **bytes, uint32_t size) {
    eens_stream stream = {*bytes, size, 0};
    *bytes += size;
    return stream;
}

/* Checks the runs and cuts the common part into its streams. */
static bool open_block(eens_shared *block, const uint8_t *bytes, uint32_t size) {
    uint32_t with[4] = {0, 0, 0, 0}; /* positions with at least 0, 1, 2, 3 levels */
    block->run_count = eens_load16(bytes); /* a block has at least 8 bytes (S6) */
    block->runs = bytes + 2;
    if (block->run_count == 0 || size < 6 + 2 * block->run_count) {
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
    const uint8_t *part = block->runs + 2 * block->run_count + 4;
    uint32_t size4 = eens_load32(part - 4);
    uint32_t patterns4 = eens_ceil8(with[2] * block->pattern_bits);
    uint32_t patterns8 = eens_ceil8(with[3] * block->pattern_bits);
    uint32_t bases = eens_ceil8(with[1] * 2 * block->members);
    uint32_t left = size - (6 + 2 * block->run_count);
    uint32_t fixed = patterns4 + patterns8 + bases;
    if (fixed > left || size4 > left - fixed) {
        return false;
    }
    block->patterns[0] = stream_of(&part, patterns4);
    block->patterns[1] = stream_of(&part, patterns8);
    block->bases = stream_of(&part, bases);
    block->digits[0] = stream_of(&part, size4);
    block->digits[1] = stream_of(&part, left - fixed - size4);
    return true;
}

static bool decode_runs(eens_shared *block) {
    uint32_t first = 0;
    for (uint32_t i = 0; i < block->run_count; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        uint32_t count = (run >> 2) + 1;
        /* Counted again: memory that changes after its checksum must not lead past the output. */
        if (count > block->job->block.count - first) {
            return false;
        }
        bool good = block->members <= 4 ? eens_shared_few(block, run & 3, first, count)
                                        : decode_run(block, run & 3, first, count);
        if (!good) {
            return false;
        }
        first += count;
    }
    return true;
}

static bool streams_end(const eens_shared *block) {
    return eens_stream_ends(&block->bases) && eens_stream_ends(&block->patterns[0]) &&
           eens_stream_ends(&block->patterns[1]) && eens_stream_ends(&block->digits[0]) &&
           eens_stream_ends(&block->digits[1]);
}

eens_status eens_shared_decode(const eens_job *job) {
    eens_shared block;
    const uint8_t *bytes;
    eens_status status = 
        eens_piece(job, 0, job->block.size, job->block.crc, job->workspace, &bytes);
    if (status != EENS_OK) {
        return status;
    }
    block.job = job;
    block.members = job->tensor->copies;
    block.pattern_bits = eens_pattern_bits(block.members);
    block.planes = job->tensor->digits == EENS_PLANES;
    block.kinds = digit_kinds[block.planes];
    if (!open_block(&block, bytes, job->block.size)) {
        return EENS_ERR_BLOCK_CONTENT;
    }
#if defined(EENS_VECTOR)
    if (job->way != EENS_BY_SCALAR && block.members <= 4) {
        status = eens_shared_vector(&block, bytes + job->block.size);
        return status == EENS_OK && !streams_end(&block) ? EENS_ERR_BLOCK_CONTENT : status;
    }
#endif
    return decode_runs(&block) && streams_end(&block) ? eens_put_all(job)
                                                      : EENS_ERR_BLOCK_CONTENT;
}

#endif
