/* Shared bits, coder fixed (S8): digits stored once for all members that agree on them. */
#include "eens_internal.h"

/* A bit stream (S1), never read past its end: what is missing reads as zeros and sets overrun. */
typedef struct bit_reader {
    const uint8_t *next;
    const uint8_t *end;
    uint64_t window; /* the next held bits, lowest first */
    uint32_t held;
    bool overrun;
} bit_reader;

typedef struct shared_block {
    const eens_job *job;
    const uint8_t *runs;
    uint32_t run_count;
    uint32_t members;
    bool planes;
    bit_reader patterns4;
    bit_reader patterns8;
    bit_reader bases;
    bit_reader digits4;
    bit_reader digits8;
} shared_block;

static bit_reader reader_of(const uint8_t *bytes, uint32_t size) {
    bit_reader reader = {bytes, bytes + size, 0, 0, false};
    return reader;
}

static void refill(bit_reader *reader) {
    if (reader->end - reader->next >= 8) {
        /* Bits above held are those of the bytes not counted yet; the next refill sets them again. */
        reader->window |= eens_load64(reader->next) << reader->held;
        reader->next += (63 - reader->held) / 8;
        reader->held |= 56;
        return;
    }
    while (reader->held <= 56 && reader->next < reader->end) {
        reader->window |= (uint64_t)*reader->next++ << reader->held;
        reader->held += 8;
    }
}

/* width is at most 32. */
static inline uint32_t take(bit_reader *reader, uint32_t width) {
    if (reader->held < width) {
        refill(reader);
        if (reader->held < width) {
            reader->overrun = true;
            return 0;
        }
    }
    uint32_t field = (uint32_t)(reader->window & (((uint64_t)1 << width) - 1));
    reader->window >>= width;
    reader->held -= width;
    return field;
}

/* Whether the stream was read to its last byte and the rest of that byte is zero. */
static bool is_finished(const bit_reader *reader) {
    return !reader->overrun && reader->next == reader->end && reader->held < 8 &&
           reader->window == 0;
}

/* The restricted-growth strings of the first two, three or four members, in order. r_1 is in bits 4
 * to 7, r_2 above it, r_3 above that; r_0 is 0, and its place holds the number of clusters. */
static const uint16_t first_two[2] = {0x001, 0x012};
static const uint16_t first_three[5] = {0x001, 0x102, 0x012, 0x112, 0x213};
static const uint16_t first_four[15] = {0x0001, 0x1002, 0x0102, 0x1102, 0x2103,
                                        0x0012, 0x1012, 0x2013, 0x0112, 0x1112,
                                        0x2113, 0x0213, 0x1213, 0x2213, 0x3214};

/* Cluster numbers, 4 bits a member; the number of clusters comes back, or 0 for no such pattern. */
static inline uint32_t take_pattern(bit_reader *reader, uint32_t members, uint64_t *pattern) {
    uint64_t numbers = 0;
    if (members == 2) {
        numbers = first_two[take(reader, 1)];
    } else if (members == 3) {
        uint32_t index = take(reader, 3);
        numbers = index < 5 ? first_three[index] : 0;
    } else {
        uint32_t index = take(reader, 4);
        numbers = index < 15 ? first_four[index] : 0;
    }
    uint32_t clusters = numbers & 15;
    numbers -= clusters;
    for (uint32_t m = 4; m < members; m++) {
        uint32_t number = take(reader, m < 8 ? 3 : 4);
        if (number > clusters || clusters == 0) {
            return 0;
        }
        clusters += number == clusters;
        numbers |= (uint64_t)number << 4 * m;
    }
    *pattern = numbers;
    return clusters;
}

/* One digit for each cluster of a pattern, added to the codes of the cluster's members. unit is the
 * digit's weight, least the digit of field 0, fields how many values a field may have. */
static inline bool add_level(bit_reader *patterns, bit_reader *digits, uint32_t members,
                             uint32_t width, uint32_t fields, int32_t least, int32_t unit,
                             int32_t *codes) {
    int32_t values[EENS_MAX_SHARED];
    uint64_t pattern = 0;
    uint32_t largest = 0;
    uint32_t clusters = take_pattern(patterns, members, &pattern);
    for (uint32_t i = 0; i < clusters; i++) {
        uint32_t field = take(digits, width);
        largest = field > largest ? field : largest;
        values[i] = unit * ((int32_t)field + least);
    }
    if (clusters == 0 || largest >= fields) {
        return false;
    }
    for (uint32_t m = 0; m < members; m++) {
        codes[m] += values[pattern >> 4 * m & 15];
    }
    return true;
}

/* The codes of one position with this many levels; an absent digit is the code's middle (S8). */
static inline bool take_position(shared_block *block, uint32_t levels, uint32_t members,
                                 int32_t *codes) {
    uint32_t bases = take(&block->bases, 2 * members);
    if (block->planes) {
        int32_t absent = levels == 1 ? 32 : levels == 2 ? 8 : 0; /* 16 b + c */
        for (uint32_t m = 0; m < members; m++) {
            codes[m] = 64 * ((int32_t)(bases >> 2 * m & 3) - 2) + absent;
        }
        return (levels < 2 || add_level(&block->patterns4, &block->digits4, members, 2, 4, 0, 16,
                                        codes)) &&
               (levels < 3 || add_level(&block->patterns8, &block->digits8, members, 4, 16, 0, 1,
                                        codes));
    }
    if ((bases & bases >> 1 & 0x55555555u) != 0) { /* a field of 3 */
        return false;
    }
    for (uint32_t m = 0; m < members; m++) {
        codes[m] = 85 * ((int32_t)(bases >> 2 * m & 3) - 1);
    }
    return (levels < 2 ||
            add_level(&block->patterns4, &block->digits4, members, 3, 5, -2, 17, codes)) &&
           (levels < 3 ||
            add_level(&block->patterns8, &block->digits8, members, 5, 17, -8, 1, codes));
}

static inline bool decode_run(shared_block *block, uint32_t levels, uint32_t members,
                              uint32_t first, uint32_t count) {
    const eens_job *job = block->job;
    int32_t codes[EENS_MAX_SHARED] = {0}; /* no level: the code 0 */
    for (uint32_t i = first; i < first + count; i++) {
        if (levels != 0 && !take_position(block, levels, members, codes)) {
            return false;
        }
        for (uint32_t k = 0; job->output != NULL && k < job->copy_count; k++) {
            eens_codes(job, k)[i] = (int8_t)codes[job->first_copy + k];
        }
    }
    return true;
}

/* Checks the runs and cuts the common part into its streams. */
static bool open_block(shared_block *block, const uint8_t *bytes, uint32_t size) {
    const eens_job *job = block->job;
    uint32_t with[4] = {0, 0, 0, 0}; /* positions with at least 0, 1, 2, 3 levels */
    uint32_t bits = eens_pattern_bits(block->members);
    block->run_count = eens_load16(bytes); /* a block has at least 8 bytes (S6) */
    if (block->run_count == 0 || size < 6 + 2 * block->run_count) {
        return false;
    }
    block->runs = bytes + 2;
    for (uint32_t i = 0; i < block->run_count; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        for (uint32_t level = 0; level <= (run & 3); level++) {
            with[level] += (run >> 2) + 1; /* at most 2^16 x 2^14 */
        }
    }
    if (with[0] != job->block.count) {
        return false;
    }
    const uint8_t *part = block->runs + 2 * block->run_count;
    uint32_t size4 = eens_load32(part);
    uint32_t patterns4 = eens_ceil8(with[2] * bits);
    uint32_t patterns8 = eens_ceil8(with[3] * bits);
    uint32_t bases = eens_ceil8(with[1] * 2 * block->members);
    uint32_t left = size - (6 + 2 * block->run_count);
    if ((uint64_t)patterns4 + patterns8 + bases + size4 > left) {
        return false;
    }
    part += 4;
    block->patterns4 = reader_of(part, patterns4);
    block->patterns8 = reader_of(part += patterns4, patterns8);
    block->bases = reader_of(part += patterns8, bases);
    block->digits4 = reader_of(part += bases, size4);
    block->digits8 = reader_of(part + size4, left - patterns4 - patterns8 - bases - size4);
    return true;
}

static bool decode_runs(shared_block *block) {
    uint32_t first = 0;
    for (uint32_t i = 0; i < block->run_count; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        uint32_t count = (run >> 2) + 1;
        /* Counted again: memory that changes after its checksum must not lead past the output. */
        if (count > block->job->block.count - first ||
            !decode_run(block, run & 3, block->members, first, count)) {
            return false;
        }
        first += count;
    }
    return is_finished(&block->patterns4) && is_finished(&block->patterns8) &&
           is_finished(&block->bases) && is_finished(&block->digits4) &&
           is_finished(&block->digits8);
}

eens_status eens_shared_decode(const eens_job *job) {
    shared_block block;
    const uint8_t *bytes;
    eens_status status = eens_block_view(job, &bytes);
    if (status != EENS_OK) {
        return status;
    }
    block.job = job;
    block.members = job->tensor->copies;
    block.planes = job->tensor->digits == EENS_PLANES;
    if (!open_block(&block, bytes, job->block.size) || !decode_runs(&block)) {
        return EENS_ERR_BLOCK_CONTENT;
    }
    return EENS_OK;
}
