/* Shared bits, coder fixed (S8): digits stored once for all members that agree on them.
 *
 * Faults in the content are collected and looked at once a run: until then a wrong field leads to
 * wrong codes, never to a wrong address, because streams read as zeros behind their end. */
#include "eens_internal.h"

/* A bit stream (S1) and the next bit. A block's bits stay far below 2^32: at most 2^19 positions of
 * at most 16 x 5 bits in any stream. */
typedef struct bit_stream {
    const uint8_t *bytes;
    uint32_t size; /* bytes */
    uint32_t at;   /* bits */
} bit_stream;

/* One of the two levels that members share: its streams and how to read a digit. */
typedef struct shared_level {
    bit_stream patterns;
    bit_stream digits;
    uint32_t width; /* bits of a digit's field */
    uint32_t most;  /* its largest value */
    int32_t unit;   /* what the digit counts in a code */
} shared_level;

typedef struct shared_block {
    const eens_job *job;
    const uint8_t *runs;
    uint32_t run_count;
    uint32_t members;
    uint32_t pattern_bits;
    bool planes;
    bit_stream bases;
    shared_level fours;  /* level 4: the digit b */
    shared_level eights; /* level 8: the digit c */
} shared_block;

/* 57 bits or more from bit at on, zeros behind the end. */
static inline uint64_t peek(const bit_stream *stream, uint32_t at) {
    uint32_t skip = at / 8;
    uint64_t word = 0;
    if (skip + 8 <= stream->size) {
        return eens_load64(stream->bytes + skip) >> at % 8;
    }
    for (uint32_t i = 0; i < 8 && skip + i < stream->size; i++) {
        word |= (uint64_t)stream->bytes[skip + i] << 8 * i;
    }
    return word >> at % 8;
}

/* Whether the stream was read to its last byte and the rest of that byte is zero. */
static bool is_finished(const bit_stream *stream) {
    return eens_ceil8(stream->at) == stream->size &&
           (stream->size == 0 || eens_padding_is_zero(stream->bytes, stream->at));
}

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
static inline uint32_t read_pattern(uint64_t bits, uint32_t members, uint64_t *numbers,
                                    uint32_t *faults) {
    uint32_t head = members < 4 ? members : 4;
    uint32_t first = first_members[head - 2][bits & (head == 2 ? 1 : head == 3 ? 7 : 15)];
    uint32_t clusters = first & 15;
    *faults |= clusters - 1; /* its top bit is a fault */
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

/* Adds one level's digits to the codes of a position. */
static inline void add_level(const shared_level *level, uint32_t *pattern_at, uint32_t *digit_at,
                             uint32_t members, uint32_t pattern_bits, uint32_t *faults,
                             int32_t *codes) {
    uint64_t numbers;
    uint32_t mask = (1u << level->width) - 1;
    uint64_t pattern = peek(&level->patterns, *pattern_at);
    uint32_t clusters = read_pattern(pattern, members, &numbers, faults);
    uint64_t word = peek(&level->digits, *digit_at);
    for (uint32_t m = 0; m < members; m++) {
        uint32_t shift = level->width * (uint32_t)(numbers >> 4 * m & 15);
        /* 11 digits of 5 bits fit what peek gives; with more members each looks for itself. A shift
         * above 63 comes from a faulty number only. */
        uint64_t field =
            members <= 11 ? word >> (shift & 63) : peek(&level->digits, *digit_at + shift);
        uint32_t digit = (uint32_t)field & mask;
        *faults |= level->most - digit;
        codes[m] += level->unit * (int32_t)digit;
    }
    *pattern_at += pattern_bits;
    *digit_at += clusters * level->width;
}

/* What a code of this many levels is when all the fields that it has are 0 (S8). */
static int32_t lowest_code(bool planes, uint32_t levels) {
    static const int8_t balanced_codes[4] = {0, -85, -85 - 34, -85 - 34 - 8};
    static const int8_t planes_codes[4] = {0, 32 - 128, 8 - 128, -128};
    return planes ? planes_codes[levels] : balanced_codes[levels];
}

/* Positions of one run. Called with a constant for members where that many are common. */
static inline bool decode_run(shared_block *block, uint32_t levels, uint32_t members,
                              uint32_t first, uint32_t count) {
    const eens_job *job = block->job;
    int8_t *output = job->output != NULL ? eens_codes(job, 0) : NULL;
    size_t stride = job->stride;
    bool all = output != NULL && job->copy_count == members;
    const shared_level fours = block->fours; /* copies: stores of codes may alias anything else */
    const shared_level eights = block->eights;
    const bit_stream bases = block->bases;
    uint32_t base_at = bases.at;
    uint32_t at4 = fours.patterns.at, digit_at4 = fours.digits.at;
    uint32_t at8 = eights.patterns.at, digit_at8 = eights.digits.at;
    uint32_t no_three = block->planes ? 0 : 0x55555555u >> (32 - 2 * members);
    int32_t lowest = lowest_code(block->planes, levels);
    int32_t unit = block->planes ? 64 : 85;
    uint32_t faults = 0;
    int32_t codes[EENS_MAX_SHARED] = {0};
    for (uint32_t i = first; i < first + count; i++) {
        if (levels >= 1) {
            uint32_t fields = (uint32_t)peek(&bases, base_at);
            base_at += 2 * members;
            faults |= 0 - (fields & fields >> 1 & no_three);
            for (uint32_t m = 0; m < members; m++) {
                codes[m] = lowest + unit * (int32_t)(fields >> 2 * m & 3);
            }
        }
        if (levels >= 2) {
            add_level(&fours, &at4, &digit_at4, members, block->pattern_bits, &faults, codes);
        }
        if (levels >= 3) {
            add_level(&eights, &at8, &digit_at8, members, block->pattern_bits, &faults, codes);
        }
        if (all) {
            for (uint32_t m = 0; m < members; m++) {
                output[m * stride + i] = (int8_t)codes[m];
            }
        } else if (output != NULL) {
            output[i] = (int8_t)codes[job->first_copy];
        }
    }
    block->bases.at = base_at;
    block->fours.patterns.at = at4;
    block->fours.digits.at = digit_at4;
    block->eights.patterns.at = at8;
    block->eights.digits.at = digit_at8;
    return faults >> 31 == 0;
}

static bit_stream stream_of(const uint8_t **bytes, uint32_t size) {
    bit_stream stream = {*bytes, size, 0};
    *bytes += size;
    return stream;
}

/* Checks the runs and cuts the common part into its streams. */
static bool open_block(shared_block *block, const uint8_t *bytes, uint32_t size) {
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
    if ((uint64_t)patterns4 + patterns8 + bases + size4 > left) {
        return false;
    }
    block->fours.patterns = stream_of(&part, patterns4);
    block->eights.patterns = stream_of(&part, patterns8);
    block->bases = stream_of(&part, bases);
    block->fours.digits = stream_of(&part, size4);
    block->eights.digits = stream_of(&part, left - patterns4 - patterns8 - bases - size4);
    return true;
}

static bool decode_runs(shared_block *block) {
    uint32_t first = 0;
    for (uint32_t i = 0; i < block->run_count; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        uint32_t count = (run >> 2) + 1;
        /* Counted again: memory that changes after its checksum must not lead past the output. */
        if (count > block->job->block.count - first) {
            return false;
        }
#if defined(EENS_SMALL)
        bool good = decode_run(block, run & 3, block->members, first, count);
#else
        bool good = block->members == 4 ? decode_run(block, run & 3, 4, first, count)
                                        : decode_run(block, run & 3, block->members, first, count);
#endif
        if (!good) {
            return false;
        }
        first += count;
    }
    return is_finished(&block->bases) && is_finished(&block->fours.patterns) &&
           is_finished(&block->fours.digits) && is_finished(&block->eights.patterns) &&
           is_finished(&block->eights.digits);
}

eens_status eens_shared_decode(const eens_job *job) {
    shared_block block;
    const uint8_t *bytes;
    eens_status status = eens_block_view(job, &bytes);
    if (status != EENS_OK) {
        return status;
    }
    bool planes = job->tensor->digits == EENS_PLANES;
    block.job = job;
    block.members = job->tensor->copies;
    block.pattern_bits = eens_pattern_bits(block.members);
    block.planes = planes;
    block.fours.width = planes ? 2 : 3;
    block.fours.most = planes ? 3 : 4;
    block.fours.unit = planes ? 16 : 17;
    block.eights.width = planes ? 4 : 5;
    block.eights.most = planes ? 15 : 16;
    block.eights.unit = 1;
    return open_block(&block, bytes, job->block.size) && decode_runs(&block)
               ? EENS_OK
               : EENS_ERR_BLOCK_CONTENT;
}
