/* What the files of the decoder share with each other. Never installed, never included by a user.
 *
 * The way of a call: eens_open.c checks the file (S12) with eens_head.c, eens_check.c, eens_name.c,
 * eens_record.c, eens_block.c and eens_section.c. eens_decode.c walks blocks and hands each to
 * eens_lanes.c, eens_shared.c or eens_drawn.c, which leave codes in the output, or, with the coder
 * entropy, to eens_entropy.c (see eens_entropy.h); eens_values.c turns codes into values.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_INTERNAL_H
#define EENS_INTERNAL_H

#include <stdbool.h>
#include <string.h>

#include "edgeens.h"

/* The switches of README.md: what a build leaves out leaves out what needs it. */
#if defined(EENS_NO_ENTROPY) && !defined(EENS_NO_JOINT)
#define EENS_NO_JOINT
#endif
#if defined(EENS_NO_ENTROPY) && !defined(EENS_NO_FILTER)
#define EENS_NO_FILTER
#endif

#define EENS_HEADER_BYTES 64u /* S3 */
#define EENS_RECORD_BYTES 96u /* S4 */
#define EENS_ENTRY_BYTES 8u   /* S6 */
#define EENS_SECTION_BYTES 20u /* S11 */
#define EENS_MINOR 3u          /* the newest minor version that this decoder knows */
#define EENS_MAX_SHARED 16u    /* members of a shared tensor (S4.3) */

/* True only where the compiler says so; elsewhere values are composed byte by byte. */
#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#define EENS_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#elif defined(_WIN32)
#define EENS_LITTLE_ENDIAN 1
#else
#define EENS_LITTLE_ENDIAN 0
#endif

/* Offsets and sizes in a file. A small build reads files below 4 GiB, as machines of 32 bits count. */
#if defined(EENS_SMALL)
typedef uint32_t eens_offset;
#else
typedef uint64_t eens_offset;
#endif

/* For functions that only become fast when a constant argument makes them another function. */
#if defined(__GNUC__)
#define EENS_ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define EENS_ALWAYS_INLINE static inline
#endif

/* For functions whose arrays must not lie on the stack while their callers call others. */
#if defined(__GNUC__)
#define EENS_OWN_FRAME static __attribute__((noinline))
#else
#define EENS_OWN_FRAME static
#endif

/* For functions without which their caller is smaller, counted with what the call takes. */
#if defined(__GNUC__) && defined(EENS_SMALL)
#define EENS_APART static __attribute__((noinline))
#else
#define EENS_APART static
#endif

/* Loads of any alignment on any machine; compilers make them one instruction where there is one, but
 * not always when they optimise for size: for those the second form. */
#if EENS_LITTLE_ENDIAN && defined(__GNUC__) && defined(__ARM_FEATURE_UNALIGNED)
static inline uint32_t eens_load16(const uint8_t *p) {
    uint16_t word;
    __builtin_memcpy(&word, p, 2);
    return word;
}

static inline uint32_t eens_load32(const uint8_t *p) {
    uint32_t word;
    __builtin_memcpy(&word, p, 4);
    return word;
}
#else
static inline uint32_t eens_load16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t eens_load32(const uint8_t *p) {
    return eens_load16(p) | eens_load16(p + 2) << 16;
}
#endif

static inline uint64_t eens_load64(const uint8_t *p) {
    return (uint64_t)eens_load32(p) | (uint64_t)eens_load32(p + 4) << 32;
}

/* ceil8 of S1. bits is at most 2^28: a block holds at most 2^20 positions of 32 * 8 bits. */
static inline uint32_t eens_ceil8(uint32_t bits) {
    return (bits + 7) / 8;
}

/* A block that has been located: every number here is checked against the file. */
typedef struct eens_block {
    eens_offset offset; /* of its first byte, in the file */
    uint32_t size;
    uint32_t crc;   /* of the common part */
    uint32_t first; /* position in the tensor */
    uint32_t count; /* positions */
} eens_block;

/* One call of eens_decode, at one block. */
typedef struct eens_job {
    const eens_file *file;
    const eens_tensor *tensor;
    eens_block block;
    uint8_t *workspace; /* used when the file is not in memory, and by the coder entropy */
    size_t workspace_size;
    const struct eens_coding *coding; /* eens_entropy.h; NULL with the coder fixed */
    uint8_t *output; /* where the block starts in the first copy asked for; NULL: check only */
    size_t stride;      /* bytes from one copy to the next in the output */
    uint16_t first_copy;
    uint16_t copy_count;
    uint8_t type;    /* what the output holds: an eens_dtype */
    uint8_t element; /* its bytes */
    bool fast_crc;
    uint8_t way; /* of making values: eens_vector.h */
} eens_job;

/* What a file that is being opened has used up so far. */
typedef struct eens_head {
    eens_where where; /* what is being looked at */
    uint64_t limit;   /* of a tensor's decoded size; 0: none */
    uint32_t names_used; /* bytes */
    uint32_t scales_used;
    uint32_t blocks_used;
    uint32_t previous_size; /* of the name before; 0 before the first */
    eens_offset data_end;   /* of the head, then of the tensors so far */
} eens_head;

/* A part of the file, or of memory, taken from its beginning to its end byte by byte. */
typedef struct eens_cursor {
    const eens_file *file;
    const uint8_t *next;
    eens_offset offset; /* in the file, of what is not at hand yet */
    uint32_t left;      /* bytes from there on */
    uint32_t ready;     /* bytes at next */
    uint8_t buffer[8];
} eens_cursor;

/* eens_head.c (S12, 1 to 6): the header, the head's checksum, the tables. */
eens_status eens_head_check(eens_file *file, eens_head *head);
/* eens_check.c (S12, 7): one tensor, after those before it. */
eens_status eens_tensor_check(const eens_file *file, uint32_t index, eens_head *head);

/* Little-endian elements of size bytes into the byte order of this machine, in place. */
#if EENS_LITTLE_ENDIAN
static inline void eens_to_machine_order(void *elements, uint32_t count, uint32_t size) {
    (void)elements, (void)count, (void)size;
}
#else
void eens_to_machine_order(void *elements, uint32_t count, uint32_t size);
#endif

/* eens_source.c: bytes of the file, which the caller has proven to lie in it. Everything that reads a
 * container does it by these; a build without the callback has them in eens_memory.h. */
#if defined(EENS_NO_READER)
#include "eens_memory.h"
#else
/* size bytes from offset on: in place when the file is in memory, else read into buffer. NULL: the
 * storage could not be read. */
const uint8_t *eens_view(const eens_file *file, eens_offset offset, size_t size, void *buffer);
/* The same, always in buffer; false: the storage could not be read. */
bool eens_fetch(const eens_file *file, eens_offset offset, size_t size, void *buffer);
/* count numbers of 32 bits from offset on; false: the storage could not be read. */
bool eens_fetch_words(const eens_file *file, eens_offset offset, uint32_t count, uint32_t *words);
/* size bytes from offset on, one after the other; not more of them are taken. Below 0: the storage
 * could not be read. */
void eens_cursor_begin(eens_cursor *cursor, const eens_file *file, eens_offset offset,
                       uint32_t size);
int32_t eens_take(eens_cursor *cursor);
/* Whether all of the file is in memory. */
static inline bool eens_is_in_memory(const eens_file *file) {
    return file->data != NULL;
}
#endif
/* Lets crc run on over a part of the file. */
eens_status eens_crc_part(const eens_file *file, eens_offset offset, eens_offset size,
                          uint32_t *crc);

#if defined(EENS_SMALL)
static inline bool eens_crc_is_fast(uint64_t size) {
    (void)size;
    return false;
}

static inline uint32_t eens_crc_update(bool fast, uint32_t crc, const uint8_t *data, size_t size) {
    (void)fast;
    return eens_crc32c(crc, data, size);
}
#else
/* eens_crc.c: whether the machine's own instruction is there and this many bytes are worth the
 * question; the answer is handed down because the decoder keeps no state to remember it in. */
bool eens_crc_is_fast(uint64_t size);
/* state is the complement of the CRC so far. Called only where the line above says yes. */
uint32_t eens_crc_by_instruction(uint32_t state, const uint8_t *data, size_t size);
uint32_t eens_crc_update(bool fast, uint32_t crc, const uint8_t *data, size_t size);
#endif

/* eens_name.c (S4.1): its size and bytes, and that it is greater than the name before it. */
eens_status eens_name_check(const eens_file *file, uint32_t offset, uint32_t size,
                            uint32_t previous_size);
/* The sign of (name of the file - other). */
eens_status eens_name_compare(const eens_file *file, uint32_t offset, uint32_t size,
                              const uint8_t *other, size_t other_size, int *order);

/* eens_record.c (S4): reads record number index, and checks what stands for itself (S12, 7.2). */
eens_status eens_record_load(const eens_file *file, uint32_t index, eens_tensor *tensor);
eens_status eens_record_check(const eens_file *file, eens_tensor *tensor);
uint32_t eens_dtype_bytes(uint8_t dtype); /* 0: unknown */

/* eens_block.c (S6, S7) */
uint32_t eens_parent_bits(const eens_tensor *tensor);
uint32_t eens_pattern_bits(uint32_t members);
uint32_t eens_lane_count(const eens_tensor *tensor);
uint32_t eens_lane_bytes(const eens_tensor *tensor, uint32_t count);
uint32_t eens_block_count_at(const eens_tensor *tensor, uint32_t block);
eens_status eens_block_at(const eens_file *file, const eens_tensor *tensor, uint32_t block,
                          eens_block *found);

/* eens_section.c (S11) */
eens_status eens_sections_check(const eens_file *file, eens_where *where);

/* Whether this decoder decodes the tensor; shared with the coder entropy and joint with the coder
 * fixed are reserved (S10). */
bool eens_is_supported(const eens_tensor *tensor);

/* eens_decode.c: what all methods need of a block. */
/* size bytes of the block from offset on, which lie in it, their CRC compared; in place, or in buffer.
 * WORKSPACE: the buffer is the workspace and too small. */
eens_status eens_piece(const eens_job *job, uint32_t offset, uint32_t size, uint32_t crc,
                       void *buffer, const uint8_t **bytes);
/* Codes of a copy (counted from the first asked for), of the block's positions from at on, into the
 * output as what it is to hold. */
eens_status eens_put_codes(const eens_job *job, uint32_t copy, uint32_t at, uint32_t count,
                           const int8_t *codes);
/* The same for all codes of the block that stand where eens_codes says. */
eens_status eens_put_all(const eens_job *job);
/* Where the codes of a copy (counted from the first asked for) go: the last count bytes of the room
 * that its values will take, so eens_put_codes can turn them into values from the front. */
static inline int8_t *eens_codes(const eens_job *job, uint32_t copy) {
    size_t skip = (size_t)(job->element - 1) * job->block.count;
    return (int8_t *)(job->output + copy * job->stride + skip);
}

/* eens_lanes.c (S7.1, S7.2), eens_shared.c (S8), eens_drawn.c (S9): one block, checked, into the
 * output. */
eens_status eens_lanes_decode(const eens_job *job);
eens_status eens_shared_decode(const eens_job *job);
eens_status eens_drawn_decode(const eens_job *job);
/* The lane's bytes, its CRC compared; in place, or in buffer. */
eens_status eens_lane_view(const eens_job *job, uint32_t lane, uint8_t *buffer,
                           const uint8_t **bytes);
/* The same for fields of bits bits, in place or in the workspace, the padding behind them checked. */
eens_status eens_lane_fields(const eens_job *job, uint32_t lane, uint32_t bits,
                             const uint8_t **bytes);
/* The CRCs of the lanes (S7), their own CRC compared. */
eens_status eens_lanes_open(const eens_job *job);

/* A bit stream (S1) and the next bit. A shared block's bits are far below 2^32: at most 2^20 / K
 * positions of K x 5 bits. */
typedef struct eens_stream {
    const uint8_t *bytes;
    uint32_t size; /* bytes */
    uint32_t at;   /* bits */
} eens_stream;

/* 57 bits or more from bit at on, zeros behind the end. */
static inline uint64_t eens_peek(const eens_stream *stream, uint32_t at) {
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

/* The next field of at most 8 bits; zeros behind the end. */
uint32_t eens_take_bits(eens_stream *stream, uint32_t width);
/* The same, sign-extended; only in a small build. */
int8_t eens_take_code(eens_stream *stream, uint32_t width);
/* Whether the stream was read to its last byte and the rest of that byte is zero. */
bool eens_stream_ends(const eens_stream *stream);

/* How a shared digit is written (S8). */
typedef struct eens_digit {
    uint8_t width; /* bits of its field */
    uint8_t most;  /* the field's largest value */
    uint8_t unit;  /* what it counts in a code */
} eens_digit;

/* A block of shared bits, cut into its streams. [0] is level 4 (the digit b), [1] level 8 (c). */
typedef struct eens_shared {
    const eens_job *job;
    const uint8_t *runs;
    uint32_t run_count;
    uint32_t members;
    uint32_t pattern_bits;
    bool planes;
    const eens_digit *kinds;
    eens_stream bases;
    eens_stream patterns[2];
    eens_stream digits[2];
} eens_shared;

/* eens_shared_few.c: one run of a block with up to four members; false: a fault in its content. */
bool eens_shared_few(eens_shared *block, uint32_t levels, uint32_t first, uint32_t count);
/* What a code of this many levels is when all fields that it has are 0 (S8). */
int32_t eens_lowest_code(bool planes, uint32_t levels);

/* eens_unpack.c: count fields of width bits from field first on, a multiple of 8, sign-extended.
 * way: eens_vector.h. */
void eens_unpack(uint8_t way, const uint8_t *stream, uint32_t first, uint32_t count,
                 uint32_t width, int8_t *codes);
/* Whether the bits of the stream's last byte behind the first bits bits are zero. */
bool eens_padding_is_zero(const uint8_t *stream, uint32_t bits);

/* eens_values.c (S4.4): count codes, of the block's positions from at on, into elements of the job's
 * type. codes may be the last count bytes of the output itself. */
eens_status eens_spread(const eens_job *job, uint32_t at, uint32_t count, const int8_t *codes,
                        void *output);

/* eens_floats.c: finite values into other types, rounded to nearest, ties to even, beyond the
 * largest to infinity. */
void eens_to_float16(const float *values, uint32_t count, uint16_t *halves);
void eens_to_bfloat16(const float *values, uint32_t count, uint16_t *halves);
void eens_to_double(const float *values, uint32_t count, uint64_t *bits);

#endif
