/* Code streams (S10.1): codewords into codes.
 *
 * The default build looks them up in tables (eens_ready.c), most of them in eens_stream_fast.c.
 * Near the ends of parts symbols are taken one by one. Faults lead to wrong codes, never to a wrong address; they show at the end of a part. */
#include "eens_entropy.h"

#if !defined(EENS_NO_ENTROPY) && !defined(EENS_SMALL) /* eens_codes_small.c */

#define FIRST_OF_FOUR 1024u /* codes from which a stream has four parts */

/* A code stream and where its codes go. */
typedef struct code_stream {
    const eens_job *job;
    const eens_codes_ready *code;
    const uint8_t *bytes;
    uint32_t size;
    uint32_t copy;
    int8_t *codes;
} code_stream;

/* The numbers of the tables of count positions, into the chunk; false: READ. */
static bool find_tables(const code_stream *stream, uint32_t begin, uint32_t count) {
    const eens_job *job = stream->job;
    return eens_classes_at(job, stream->copy, job->block.first + begin, count, job->coding->chunk);
}

static uint32_t take_entry(const uint8_t *table, uint32_t width, eens_stream *bits) {
    uint16_t entry;
    uint32_t index = (uint32_t)eens_peek(bits, bits->at) & ((1u << width) - 1);
    memcpy(&entry, table + 2 * index, 2);
    bits->at += entry & 63u;
    return entry;
}

static uint32_t take_symbol(const uint8_t *table, uint32_t width, eens_stream *bits) {
    return take_entry(table, width, bits) >> 6;
}

static uint32_t take_code(const uint8_t *table, uint32_t width, eens_stream *bits) {
    return take_entry(table, width, bits) >> 8;
}

bool eens_take_one_value(const eens_codes_ready *code, const uint8_t *table, eens_part *of,
                         int8_t *codes) {
    uint16_t entry;
    memcpy(&entry, table, 2);
    if ((entry & 63) != 0) {
        return false;
    }
    int8_t value = code->group == 1 ? (int8_t)(entry >> 8) : code->low;
    memset(codes + of->begin, value, of->end - of->begin);
    of->begin = of->end;
    return true;
}

/* Groups of one part, near its end. */
static void take_last_groups(const eens_codes_ready *code, const uint8_t *table, eens_part *of,
                             int8_t *codes) {
    const uint8_t *groups = table + (2u << code->width);
    while (of->end - of->begin >= code->most) {
        uint32_t index = (uint32_t)eens_peek(&of->bits, of->bits.at) & ((1u << code->index) - 1);
        uint64_t said = 0;
        uint32_t count;
        if (code->entry == 4) {
            uint32_t entry;
            memcpy(&entry, groups + 4 * index, 4);
            of->bits.at += entry & 63;
            said = entry >> 6;
            count = entry >> 30;
        } else {
            memcpy(&said, groups + 8 * index, 8);
            of->bits.at += said & 63;
            count = (uint32_t)(said >> 56);
            said >>= 8;
        }
        for (; count != 0; count--, said >>= 8) {
            codes[of->begin++] = (int8_t)(uint8_t)said;
        }
    }
}

/* What four parts can give side by side; false: the storage could not be read. */
static bool take_four(const code_stream *stream, eens_part *parts) {
    const eens_codes_ready *code = stream->code;
    if (stream->job->coding->classes.columns != 0) {
        return code->entry != 0
                   ? eens_take_rows(stream->job, code, stream->copy, parts, stream->codes)
                   : eens_take_classed(stream->job, code, stream->copy, parts, stream->codes);
    }
    if (eens_take_one_value(code, code->tables, &parts[0], stream->codes)) {
        return true; /* the other parts likewise, one by one */
    }
    if (code->entry != 0) {
        const uint8_t *same = code->tables;
        const uint8_t *tables[EENS_PARTS] = {same, same, same, same};
        while (eens_take_groups(code, tables, parts, stream->codes)) {
        }
    } else {
        eens_take_singles(code, parts, stream->codes);
    }
    return true;
}

/* Symbols one by one; false: surplus codes that are not low. */
static bool take_symbols(const eens_codes_ready *code, eens_part *of, int8_t *codes) {
    while (code->group == 1 && of->begin < of->end) {
        codes[of->begin++] = (int8_t)(uint8_t)take_code(code->tables, code->width, &of->bits);
    }
    while (of->begin < of->end) {
        uint32_t symbol = take_symbol(code->tables, code->width, &of->bits);
        for (uint32_t i = 0; i < code->group; i++, symbol /= code->values) {
            if (of->begin < of->end) {
                codes[of->begin++] = (int8_t)(code->low + (int32_t)(symbol % code->values));
            } else if (symbol != 0) {
                return false;
            }
        }
    }
    return true;
}

void eens_take_last(const eens_codes_ready *code, const uint8_t *table, eens_part *of,
                    int8_t *codes) {
    take_last_groups(code, table, of, codes);
    while (of->begin < of->end) {
        codes[of->begin++] = (int8_t)(uint8_t)take_code(table, code->width, &of->bits);
    }
}

/* The same with classes; false: the storage could not be read. */
static bool take_symbols_classed(const code_stream *stream, eens_part *of) {
    const eens_codes_ready *code = stream->code;
    while (of->begin < of->end) {
        uint32_t left = of->end - of->begin;
        uint32_t count = left < EENS_CLASS_CHUNK ? left : EENS_CLASS_CHUNK;
        if (!find_tables(stream, of->begin, count)) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            uint32_t number = stream->job->coding->chunk[i];
            const uint8_t *table = code->tables + (size_t)number * code->stride;
            stream->codes[of->begin++] = (int8_t)(uint8_t)take_code(table, code->width, &of->bits);
        }
    }
    return true;
}

/* Bytes of a file in memory from its place at on, if that is not in the workspace, at most those that
 * a part near its end is slow without. What they hold does not matter: who uses them has failed. */
static uint32_t readable(const eens_file *file, const uint8_t *at) {
#if defined(EENS_SMALL)
    (void)file, (void)at;
    return 0;
#else
    uint64_t left = file->data != NULL ? file->size - (uint64_t)(at - file->data) : 0;
    return left < 8 ? (uint32_t)left : 8;
#endif
}

/* Finds part number j, which begins at byte *at of the stream; false: it does not fit. */
static bool cut_part(const code_stream *stream, uint32_t j, uint32_t count, uint32_t *at,
                     eens_part *of) {
    uint32_t positions = stream->job->block.count;
    uint32_t most = count == 1 ? positions : 12 * ((positions + 47) / 48);
    bool is_last = j + 1 == count;
    uint32_t left = stream->size - *at;
    of->size = is_last ? left : eens_load32(stream->bytes + 4 * j);
    if (of->size > left) {
        return false;
    }
    of->bits.bytes = stream->bytes + *at;
    of->bits.size = left + readable(stream->job->file, stream->bytes + stream->size);
    of->bits.at = 0;
    of->begin = j * most;
    of->end = is_last ? positions : (j + 1) * most;
    *at += of->size;
    return true;
}

static eens_status take_part(const code_stream *stream, eens_part *of) {
    if (stream->job->coding->classes.columns != 0) {
        if (!take_symbols_classed(stream, of)) {
            return EENS_ERR_READ;
        }
    } else if (!eens_take_one_value(stream->code, stream->code->tables, of, stream->codes)) {
        if (stream->code->entry != 0) {
            take_last_groups(stream->code, stream->code->tables, of, stream->codes);
        }
        if (!take_symbols(stream->code, of, stream->codes)) {
            return EENS_ERR_BLOCK_CONTENT;
        }
    }
    bool ends = eens_ceil8(of->bits.at) == of->size &&
                (of->size == 0 || eens_padding_is_zero(of->bits.bytes, of->bits.at));
    return ends ? EENS_OK : EENS_ERR_BLOCK_CONTENT;
}

static eens_status take_parts(const code_stream *stream, uint32_t count, uint32_t at) {
    eens_part parts[EENS_PARTS];
    eens_status status = EENS_OK;
    for (uint32_t j = 0; j < count; j++) {
        if (!cut_part(stream, j, count, &at, &parts[j])) {
            return EENS_ERR_BLOCK_CONTENT;
        }
    }
    if (count == EENS_PARTS && !take_four(stream, parts)) {
        return EENS_ERR_READ;
    }
    for (uint32_t j = 0; j < count && status == EENS_OK; j++) {
        status = take_part(stream, &parts[j]);
    }
    return status;
}

eens_status eens_code_stream_decode(const eens_job *job, const eens_codes_ready *code,
                                    uint32_t copy, const uint8_t *bytes, uint32_t size,
                                    int8_t *codes) {
    code_stream stream = {job, code, bytes, size, copy, codes};
    uint32_t count =
        job->file->profile == 0 && job->block.count >= FIRST_OF_FOUR ? EENS_PARTS : 1;
    uint32_t sizes = 4 * (count - 1); /* bytes of the parts' sizes */
    return size >= sizes ? take_parts(&stream, count, sizes) : EENS_ERR_BLOCK_CONTENT;
}

#endif
