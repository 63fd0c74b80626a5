/* What the files of the coder entropy (S5, S10) share with each other.
 *
 * eens_prefix.c reads one prefix code, eens_ready.c makes a table of it, eens_tables.c has all
 * tables of a tensor, eens_classes.c the classes of positions, eens_stream.c and eens_stream_fast.c
 * decode a code stream, eens_filter.c and eens_filter_fast.c undo the filter, eens_joint.c the
 * predictors; eens_entropy.c puts them together for a
 * block. A decoder built with EENS_NO_ENTROPY has none of them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EENS_ENTROPY_H
#define EENS_ENTROPY_H

#include "eens_internal.h"

#define EENS_PREFIX_CODE 1u /* kinds of tables (S5) */
#define EENS_CLASSES 2u
#define EENS_FILTER 3u
#define EENS_LOW_BITS 4u
#define EENS_LONGEST 12u               /* bits of a codeword */
#define EENS_COUNTS (EENS_LONGEST + 1) /* for numbers of codewords by their lengths */
#define EENS_MAX_SYMBOLS 1024u
#define EENS_MAX_CLASS_TABLES 8u /* C of S5.3 */
#define EENS_MCU_TABLES 2u       /* of kind 1 that a tensor may have in the mcu profile */
#define EENS_PARTS 4u            /* of a code stream */
#define EENS_TAPS 4u             /* of a filter (S5.4) */
#define EENS_SETS 8u             /* or one */
#if defined(EENS_SMALL)
#define EENS_FIELDS 16u /* classes or sets read at a time */
#else
#define EENS_FIELDS 64u
#endif
/* Where compilers have vectors as types, and bytes of a vector stand in the order of its numbers. */
#if !defined(EENS_SMALL) && EENS_LITTLE_ENDIAN && !defined(EENS_NO_FILTER) && \
    (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 9))
#define EENS_FILTER_FAST
#endif
/* The coder split is no gain where codes are looked up one by one. */
#if !defined(EENS_SMALL) && !defined(EENS_NO_FILTER)
#define EENS_HAS_SPLIT
#endif
#define EENS_FILTER_ROWS 16u                       /* that eens_filter_fast.c takes at a time */
#define EENS_FILTER_COLUMN (2 * EENS_FILTER_ROWS) /* bytes that it keeps of each column */
#define EENS_FILTER_WIDTH 16u /* columns taken together, the last of which may not be there */
#define EENS_FILTER_WIDEST (1u << 13)              /* columns of rows that it takes */

/* Positions of a part whose tables are worked out at a time; a small build takes the parts one
 * after the other. */
#if defined(EENS_SMALL)
#define EENS_COLUMN_BYTES 0u /* of workspace, for each column that has a class */
#define EENS_CLASS_CHUNK EENS_FIELDS
#define EENS_CHUNK_BYTES EENS_CLASS_CHUNK
#else
#define EENS_COLUMN_BYTES 1u
#define EENS_CLASS_CHUNK 256u
#define EENS_CHUNK_BYTES (EENS_CLASS_CHUNK * EENS_PARTS)
#endif

#if !defined(EENS_SMALL) && defined(__GNUC__)
typedef uint8_t eens_bytes16 __attribute__((vector_size(16)));
#endif

/* A table of the pool, located. */
typedef struct eens_table {
    uint32_t offset; /* of the body, in the file; the head is below 2^28 bytes */
    uint32_t size;
    uint8_t kind;
} eens_table;

/* A prefix code's outline (S5.1). */
typedef struct eens_prefix {
    uint16_t symbols; /* A^g */
    uint16_t used;    /* those with a length; 1 if A = 1 */
    uint16_t values;  /* A */
    int8_t low;
    uint8_t group;   /* g */
    uint8_t longest; /* length; 0: the one symbol takes no bits */
    uint16_t counts[EENS_COUNTS]; /* of symbols, by their lengths; of length 0 only if A = 1 */
} eens_prefix;

/* Prefix codes made ready in the workspace, all of one shape: that of a stream, or, with classes,
 * one for each class. What a table holds, eens_ready.c says. */
typedef struct eens_codes_ready {
    uint8_t *tables;
    uint16_t stride; /* bytes from one table to the next: at most 2 x 2^12 + 8 x 2^12 */
    uint16_t values; /* A and low, used only for groups of more than one code */
    int8_t low;
    uint8_t group;
#if !defined(EENS_SMALL)
    uint8_t width; /* the longest length of all */
    uint8_t entry; /* bytes of an entry of a table of groups of codes; 0: there is none */
    uint8_t most;  /* codes that such an entry gives at most */
    uint8_t index; /* bits that such an entry is looked up by, at least width */
#endif
#if defined(EENS_HAS_SPLIT)
    uint8_t low_bits; /* of the codes that have any (S5.5) */
    uint8_t with_low; /* which those are, as bits */
#endif
} eens_codes_ready;

/* The classes of a tensor's positions (S5.2); columns 0: it has none. */
typedef struct eens_classes {
    uint32_t offset; /* of the columns' classes; the head is below 2^28 bytes */
#if !defined(EENS_SMALL)
    const uint8_t *column_classes; /* the columns' classes, a byte each */
    bool only_rows;                /* all of them 0 */
    bool by_row;                   /* and rows are long */
#endif
    uint32_t columns;
} eens_classes;

/* Where the classes of the rows begin. */
static inline uint32_t eens_rows_offset(const eens_classes *classes) {
    return classes->offset + eens_ceil8(3 * classes->columns);
}

/* Whether tables change only between rows, and rows are long. */
static inline bool eens_has_row_tables(const eens_classes *classes) {
#if defined(EENS_SMALL)
    (void)classes;
    return false;
#else
    return classes->by_row;
#endif
}

/* A filter (S5.4); columns 0: there is none. */
typedef struct eens_filter {
#if defined(EENS_FILTER_FAST)
    const uint8_t *column_sets; /* the columns' sets, a byte each */
    uint8_t *past;              /* room for sixteen rows, for what stands before them, and for columns
                                 * that a tile has behind them */
#endif
    uint32_t columns;
    uint32_t offset : 31; /* of the table's body, in the file: the head is below 2^28 bytes */
    uint32_t one_set : 1;
} eens_filter;

static inline uint32_t eens_filter_sets(const eens_filter *filter) {
    return filter->one_set != 0 ? 1 : EENS_SETS;
}

/* Its lags, and as many sets of weights as it has. */
typedef struct eens_taps {
    uint16_t lags[EENS_TAPS];
    int8_t weights[EENS_SETS][EENS_TAPS];
} eens_taps;

/* All that a call of eens_decode needs of the tables, and how it divides its workspace. */
typedef struct eens_coding {
    eens_codes_ready codes_ready[2]; /* of the first stream of a joint block, or of all streams of
                                        another; of the other streams of a joint block */
    eens_classes classes;
    eens_filter filters[2]; /* of the first stream of a joint block, and of all others */
    uint16_t first_table; /* of kind 1 */
    uint16_t table_count; /* C of S5.3 */
    uint8_t *chunk;       /* numbers of tables: EENS_CHUNK_BYTES */
    int8_t *codes;        /* of one copy, of the parent, or of all members (joint) */
} eens_coding;

/* A part: bits are read up to where memory ends, which is the end of the whole stream or behind it; a
 * part that reads behind its own end has not the size that it should have. */
typedef struct eens_part {
    eens_stream bits;
    uint32_t size;  /* bytes */
    uint32_t begin; /* its next code, counted in the stream */
    uint32_t end;
} eens_part;

/* Reads the lengths of a prefix code, one after the other. */
typedef struct eens_length_reader {
    eens_cursor bytes;
    uint32_t bits; /* read, not used yet */
    uint32_t bit_count;
    uint32_t length; /* the last one */
} eens_length_reader;

/* eens_prefix.c: reads a prefix code from the file and checks all of it (S5.1); status TABLE if it
 * is malformed. */
eens_status eens_prefix_check(const eens_file *file, const eens_table *table, eens_prefix *prefix);
/* The lengths of a code that has more than one symbol. The next one is in reader->length; above
 * most, or below 0: TABLE. */
void eens_lengths_begin(eens_length_reader *reader, const eens_file *file,
                        const eens_table *table);
eens_status eens_lengths_next(eens_length_reader *reader, uint32_t most);

/* eens_ready.c. The shape of tables of groups for so many codes (entry, most, index), if it pays to look
 * up several at once: one that suits this table, which is number i of count, and those before it. Never
 * in a small build. */
#if defined(EENS_SMALL)
static inline void eens_groups_of(const eens_prefix *prefix, uint64_t codes, uint32_t i,
                                  uint32_t count, eens_codes_ready *code) {
    (void)prefix, (void)codes, (void)i, (void)count, (void)code;
}
#else
void eens_groups_of(const eens_prefix *prefix, uint64_t codes, uint32_t i, uint32_t count,
                    eens_codes_ready *code);
#endif
/* Bytes of such a table when it is ready, and those behind it that making it takes. */
uint32_t eens_ready_bytes(const eens_prefix *prefix, const eens_codes_ready *code);
#if defined(EENS_SMALL)
static inline uint32_t eens_ready_room(const eens_codes_ready *code) {
    (void)code;
    return 0;
}
#else
uint32_t eens_ready_room(const eens_codes_ready *code);
#endif
/* Makes it ready. The storage may have changed since it was checked, so it is checked again. */
eens_status eens_prefix_build(const eens_file *file, const eens_table *table,
                              const eens_codes_ready *code, uint8_t *ready);

/* eens_tables.c: the tables that a tensor names (S5.3), and the workspace, its size without what
 * is read from storage. */
eens_status eens_table_at(const eens_file *file, uint32_t number, eens_table *table);
/* The body of a table (S12, 6), and the tables that a record names (S12, 7.2). */
eens_status eens_body_check(const eens_file *file, const eens_table *table);
eens_status eens_tables_check(const eens_file *file, const eens_tensor *tensor);
eens_status eens_coding_size(const eens_file *file, const eens_tensor *tensor, size_t *size);
/* Moves the job's workspace behind what it takes of it. */
eens_status eens_coding_begin(eens_job *job, eens_coding *coding);

/* eens_classes.c (S5.2) */
eens_status eens_classes_check(const eens_file *file, const eens_table *table);
eens_status eens_classes_open(const eens_file *file, const eens_table *table,
                              const eens_tensor *tensor, eens_classes *classes);
/* Keeps the columns' classes in these bytes, one for each column; in a small build it does nothing.
 * False, here and below: the storage could not be read. */
#if defined(EENS_SMALL)
static inline bool eens_classes_spread(const eens_file *file, eens_classes *classes,
                                       uint8_t *columns) {
    (void)file, (void)classes, (void)columns;
    return true;
}
#else
bool eens_classes_spread(const eens_file *file, eens_classes *classes, uint8_t *columns);
#endif
/* The numbers of the tables of count positions of the tensor from position first on; in a small
 * build, of as many of them as it can find at once: how many those are, 0 where the storage could not
 * be read. */
#if defined(EENS_SMALL)
uint32_t eens_classes_some(const eens_job *job, uint32_t copy, uint32_t first, uint32_t count,
                           uint8_t *numbers);
#else
bool eens_classes_at(const eens_job *job, uint32_t copy, uint32_t first, uint32_t count,
                     uint8_t *numbers);
#endif

/* Up to EENS_FIELDS fields of 3 bits, from number first on of those that begin at offset; one a
 * byte. */
bool eens_fields(const eens_file *file, uint32_t offset, uint32_t first, uint32_t count,
                 uint8_t *fields);

/* That the last byte of a stream of so many bits has no others; else RECORD. */
eens_status eens_padding_check(const eens_file *file, uint32_t offset, uint32_t bits);

/* eens_filter.c (S5.4, S10.4): a filter that a tensor names; RECORD if it does not fit. */
#if defined(EENS_NO_FILTER)
static inline eens_status eens_filter_open(const eens_file *file, const eens_table *table,
                                           const eens_tensor *tensor, eens_filter *filter) {
    (void)file, (void)table, (void)tensor, (void)filter;
    return EENS_ERR_UNSUPPORTED; /* never asked for: the tensor is refused before */
}
#else
eens_status eens_filter_open(const eens_file *file, const eens_table *table,
                             const eens_tensor *tensor, eens_filter *filter);
#endif
bool eens_filter_taps(const eens_file *file, const eens_filter *filter, eens_taps *taps);
/* Bytes of workspace, and takes them. */
#if defined(EENS_FILTER_FAST)
size_t eens_filter_bytes(const eens_filter *filter);
bool eens_filter_spread(const eens_file *file, eens_filter *filter, uint8_t *room);
#else
static inline size_t eens_filter_bytes(const eens_filter *filter) {
    (void)filter;
    return 0;
}
static inline bool eens_filter_spread(const eens_file *file, eens_filter *filter,
                                      uint8_t *room) {
    (void)file, (void)filter, (void)room;
    return true;
}
#endif
/* The residuals of all positions of the block into their numbers, by the filter of a set of tables. */
bool eens_unfilter(const eens_job *job, uint32_t set, int8_t *codes);
/* eens_filter_fast.c: as many as it can take of them, from the beginning of a row on. */
uint32_t eens_unfilter_rows(const eens_filter *filter, const eens_taps *taps, uint32_t count,
                            int8_t *codes);

#if defined(EENS_HAS_SPLIT)
/* eens_low_bits.c (S5.5, S10.5): the table of a tensor's low bits, once its others are known; RECORD if
 * it does not fit. */
eens_status eens_low_bits_open(const eens_file *file, const eens_table *table, uint32_t sets,
                               eens_coding *coding);
/* The bytes of low bits before a code stream: 0 if its codes have none. Then they are put below the
 * numbers of the stream; false: the storage could not be read. */
eens_status eens_low_bits_size(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                               const uint8_t *bytes, uint32_t size, uint32_t *low_size);
bool eens_low_bits_add(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                       const uint8_t *bytes, uint32_t size, int8_t *codes);
static inline bool eens_has_low_bits(const eens_tensor *tensor) {
    return tensor->coder == EENS_SPLIT;
}
#else
static inline bool eens_has_low_bits(const eens_tensor *tensor) {
    (void)tensor;
    return false; /* it is refused before */
}
static inline eens_status eens_low_bits_open(const eens_file *file, const eens_table *table,
                                             uint32_t sets, eens_coding *coding) {
    (void)file, (void)table, (void)sets, (void)coding;
    return EENS_OK;
}
#endif

/* eens_stream.c (S10.1) */
/* The code stream of a copy (of the block, see job), in these size bytes, into count codes. */
eens_status eens_code_stream_decode(const eens_job *job, const eens_codes_ready *code,
                                    uint32_t copy, const uint8_t *bytes, uint32_t size,
                                    int8_t *codes);

/* eens_entropy.c (S10.2, S10.3). The common part of a block, checked; then the codes of a copy
 * (counted from the first asked for), or of the parent (drawn), until the next. */
eens_status eens_entropy_open(const eens_job *job);
eens_status eens_entropy_codes(const eens_job *job, uint32_t copy, const int8_t **codes);
/* Bytes of a block that have to be in one piece. */
eens_status eens_entropy_input(const eens_file *file, const eens_tensor *tensor,
                               const eens_block *block, uint32_t *size);

/* eens_stream_fast.c, for streams of four parts. Some codes of each part by the groups of its table,
 * far from the ends of the parts; false: all that could be were taken. Then whether a part can. */
bool eens_take_groups(const eens_codes_ready *code, const uint8_t *const *tables, eens_part *parts,
                      int8_t *codes);
bool eens_can_take_groups(const eens_codes_ready *code, const eens_part *of);
/* As many codes as can be taken side by side and far from the ends of the parts: of a table without
 * groups, and of several tables, by the classes of a copy (false: the storage could not be read). */
void eens_take_singles(const eens_codes_ready *code, eens_part *parts, int8_t *codes);
bool eens_take_classed(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                       eens_part *parts, int8_t *codes);

/* eens_stream_rows.c: the same as eens_take_classed where a row has one class. */
bool eens_take_rows(const eens_job *job, const eens_codes_ready *code, uint32_t copy,
                    eens_part *parts, int8_t *codes);
/* eens_stream.c, for that: the codes of a part up to its end, if those of the table are all one value,
 * which takes no bits, else false; and by groups while they fit, else one by one. */
bool eens_take_one_value(const eens_codes_ready *code, const uint8_t *table, eens_part *of,
                         int8_t *codes);
void eens_take_last(const eens_codes_ready *code, const uint8_t *table, eens_part *of,
                    int8_t *codes);

/* eens_joint.c (S10.3): residuals of each stream, count a row, one row behind the other, into codes
 * in place; and the row that then is a member's. */
void eens_unpredict(const eens_tensor *tensor, uint32_t count, int8_t *codes);
uint32_t eens_joint_row(const eens_tensor *tensor, uint32_t member);

#endif
