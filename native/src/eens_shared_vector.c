/* Shared bits of up to four members (S8) by vector kernels: a thousand positions at a time,
 * each stream becomes bytes, those become codes, and the codes go on into the output.
 *
 * Each stream may be read up to the end of the block: what stands behind the stream's end is only
 * looked at in a block that is refused, as then the stream is too short. */
#include "eens_vector.h"

#if !defined(EENS_NO_SHARED) && defined(EENS_VECTOR)

#define CHUNK 1024u /* positions; a multiple of EENS_EXPAND */
#define SLACK 160u /* fields unpacked too many, and EENS_EXPAND patterns' digits read behind */

/* The lists of patterns (S8), by members: the cluster of member 1, 2, 3, and the number of clusters. */
static const eens_share_table tables[3] = {
    {{{0, 1}}, {1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {{{0, 0, 1, 1, 1}, {0, 1, 0, 1, 2}}, {1, 2, 2, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {{{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
      {0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2},
      {0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3}},
     {1, 2, 2, 2, 3, 2, 2, 3, 2, 2, 3, 3, 3, 3, 4, 1}},
};
static const uint8_t last_patterns[3] = {1, 4, 14};

/* A stream's fields as bytes: those from number first on, a multiple of 8, up to end. */
typedef struct field_window {
    eens_stream *stream;
    uint32_t width;
    uint32_t limit; /* bytes from the stream's first one that may be read */
    uint32_t first;
    uint32_t end;
    uint8_t *fields;
} field_window;

typedef struct shared_windows {
    eens_shared *block;
    field_window bases;
    field_window patterns[2];
    field_window digits[2];
    uint8_t base_fields[CHUNK + SLACK];
    uint8_t pattern_fields[2][CHUNK + SLACK];
    uint8_t digit_fields[2][4 * CHUNK + SLACK];
    int8_t codes[4 * CHUNK];
} shared_windows;

static void window_begin(field_window *window, eens_stream *stream, uint32_t width,
                         const uint8_t *end, uint8_t *fields) {
    window->stream = stream;
    window->width = width;
    window->limit = (uint32_t)(end - stream->bytes);
    window->first = 0;
    window->end = 0;
    window->fields = fields;
}

/* The next count fields, which are taken by adding to stream->at. */
static const uint8_t *window_view(field_window *window, uint32_t count) {
    eens_stream *stream = window->stream;
    uint32_t next = stream->at / window->width;
    if (window->width == 8 && next + count <= stream->size) {
        return stream->bytes + next;
    }
    uint32_t kept = window->end - (next & ~7u); /* it never lies before first or behind end */
    if (next + count > window->end) {
        memmove(window->fields, window->fields + ((next & ~7u) - window->first), kept);
        window->first = next & ~7u;
        uint32_t wanted = (next + count - window->end + 31) & ~31u;
        uint32_t skip = window->end / 8 * window->width;
        uint32_t left = skip < window->limit ? window->limit - skip : 0;
        uint8_t *fields = window->fields + kept;
        uint32_t done = eens_unpack_unsigned(stream->bytes + (left != 0 ? skip : 0), left, wanted,
                                             window->width, fields);
        for (; done < wanted; done++) {
            uint32_t at = (window->end + done) * window->width;
            fields[done] = (uint8_t)(eens_peek(stream, at) & ((1u << window->width) - 1));
        }
        window->end += wanted;
    }
    return window->fields + (next - window->first);
}

/* A level's patterns and digits of the next count positions; false: one of them is a fault. */
static bool take_level(shared_windows *windows, uint32_t level, uint32_t count,
                       const uint8_t **patterns, const uint8_t **digits) {
    eens_shared *block = windows->block;
    *patterns = window_view(&windows->patterns[level], count);
    if (eens_largest(*patterns, count) > last_patterns[block->members - 2]) {
        return false;
    }
    uint32_t clusters = eens_count_clusters(&tables[block->members - 2], *patterns, count);
    *digits = window_view(&windows->digits[level], clusters);
    if (eens_largest(*digits, clusters) > block->kinds[level].most) {
        return false;
    }
    block->patterns[level].at += count * block->pattern_bits;
    block->digits[level].at += clusters * block->kinds[level].width;
    return true;
}

/* The last positions, fewer than the kernel takes at once, with zeros behind them. */
static bool expand_rest(eens_expansion *from, uint32_t count, int8_t *codes) {
    uint8_t padded[3][EENS_EXPAND] = {{0}};
    memcpy(padded[0], from->bases, count);
    from->bases = padded[0];
    for (uint32_t level = 0; level + 1 < from->levels; level++) {
        memcpy(padded[1 + level], from->patterns[level], count);
        from->patterns[level] = padded[1 + level];
    }
    return eens_expand(from, EENS_EXPAND, codes, CHUNK);
}

/* What a field of a base and a digit of level 4 come to; all else of a code is level 8's digit. */
static void expansion_begin(const eens_shared *block, uint32_t levels, eens_expansion *from) {
    int32_t lowest = eens_lowest_code(block->planes, levels);
    for (int32_t i = 0; i < 16; i++) {
        from->base_codes[i] = (uint8_t)(lowest + (block->planes ? 64 : 85) * i);
        from->digit_codes[i] = (uint8_t)(block->kinds[0].unit * i);
    }
    from->table = &tables[block->members - 2];
    from->base_fault = block->planes ? 0 : 0x55;
    from->levels = levels;
}

/* Codes of the next count positions, at most CHUNK, all of these levels. */
static bool take_codes(shared_windows *windows, eens_expansion *from, uint32_t count) {
    uint32_t levels = from->levels;
    uint32_t whole = count & ~(EENS_EXPAND - 1);
    if (levels == 0) {
        memset(windows->codes, 0, sizeof windows->codes);
        return true;
    }
    from->bases = window_view(&windows->bases, count);
    windows->block->bases.at += 2 * windows->block->members * count;
    for (uint32_t level = 0; level < 2; level++) {
        from->patterns[level] = from->digits[level] = windows->pattern_fields[level];
        if (level + 1 < levels &&
            !take_level(windows, level, count, &from->patterns[level], &from->digits[level])) {
            return false;
        }
    }
    return eens_expand(from, whole, windows->codes, CHUNK) &&
           (whole == count || expand_rest(from, count - whole, windows->codes + whole));
}

static eens_status put_run(shared_windows *windows, uint32_t levels, uint32_t first,
                           uint32_t count) {
    const eens_job *job = windows->block->job;
    eens_expansion from;
    eens_status status = EENS_OK;
    expansion_begin(windows->block, levels, &from);
    for (uint32_t at = 0; at < count; at += CHUNK) {
        uint32_t part = count - at < CHUNK ? count - at : CHUNK;
        if (!take_codes(windows, &from, part)) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        for (uint32_t k = 0; job->output != NULL && k < job->copy_count && status == EENS_OK; k++) {
            status = eens_put_codes(job, k, first + at, part,
                                    windows->codes + CHUNK * (size_t)(job->first_copy + k));
        }
    }
    return status;
}

eens_status eens_shared_vector(eens_shared *block, const uint8_t *end) {
    shared_windows windows;
    eens_status status = EENS_OK;
    uint32_t first = 0;
    windows.block = block;
    window_begin(&windows.bases, &block->bases, 2 * block->members, end, windows.base_fields);
    for (uint32_t level = 0; level < 2; level++) {
        window_begin(&windows.patterns[level], &block->patterns[level], block->pattern_bits, end,
                     windows.pattern_fields[level]);
        window_begin(&windows.digits[level], &block->digits[level], block->kinds[level].width,
                     end, windows.digit_fields[level]);
    }
    for (uint32_t i = 0; i < block->run_count && status == EENS_OK; i++) {
        uint32_t run = eens_load16(block->runs + 2 * i);
        uint32_t count = (run >> 2) + 1;
        /* Counted again: memory that changes after its checksum must not lead past the output. */
        if (count > block->job->block.count - first) {
            return EENS_ERR_BLOCK_CONTENT;
        }
        status = put_run(&windows, run & 3, first, count);
        first += count;
    }
    return status;
}

#endif
