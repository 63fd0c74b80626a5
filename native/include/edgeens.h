/* edgeens: decodes the ensemble container of docs/SPEC.md. The only public header.
 *
 * No heap, no operating system, no state: the caller owns the file's bytes, the structs, the
 * workspace and the output. Every function may be called from any number of threads at once.
 * Nothing has to be closed.
 *
 * Macros for the compilation of src: EENS_SMALL prefers small code, for files below 4 GiB and
 * without the coder split, which no file of the mcu profile has.
 * EENS_NO_SHARED, EENS_NO_DRAWN, EENS_NO_JOINT, EENS_NO_FILTER, EENS_NO_ENTROPY, EENS_NO_READER and
 * EENS_ONLY_FLOAT32 leave out what README.md says; what needs it is then refused with
 * EENS_ERR_UNSUPPORTED. EENS_NO_VECTOR leaves out vector code. SPDX-License-Identifier: Apache-2.0 */
#ifndef EDGEENS_H
#define EDGEENS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A shared library, built with EENS_BUILD_SHARED and -fvisibility=hidden, shows these functions. */
#if defined(EENS_BUILD_SHARED) && defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* Between the two marks stand only declarations and integer macros: cffi reads them as they are. */
/* [cffi begin] */

#define EENS_VERSION 0x000100 /* of this library: major, minor, patch, a byte each */
#define EENS_MAX_MEMBERS 64
#define EENS_MAX_DIMS 8
#define EENS_MAX_NAME 1024
#define EENS_NO_AXIS 255
#define EENS_ALL_MEMBERS (-1)

/* S12. Append only; each number keeps its meaning for ever. */
typedef enum eens_status {
    EENS_OK = 0,
    EENS_ERR_ARGUMENT = 1,
    EENS_ERR_MAGIC = 2,
    EENS_ERR_BYTE_ORDER = 3,
    EENS_ERR_VERSION = 4,
    EENS_ERR_TRUNCATED = 5,
    EENS_ERR_TRAILING = 6,
    EENS_ERR_HEADER = 7,
    EENS_ERR_HEAD_CHECKSUM = 8,
    EENS_ERR_TABLE = 9,
    EENS_ERR_NAME = 10,
    EENS_ERR_RECORD = 11,
    EENS_ERR_SCALE = 12,
    EENS_ERR_INDEX = 13,
    EENS_ERR_LIMIT = 14,
    EENS_ERR_SECTION = 15,
    EENS_ERR_CRITICAL = 16,
    EENS_ERR_SECTION_CHECKSUM = 17,
    EENS_ERR_BLOCK_CHECKSUM = 18,
    EENS_ERR_BLOCK_CONTENT = 19,
    EENS_ERR_DIGEST = 20,
    EENS_ERR_UNSUPPORTED = 21,
    EENS_ERR_WORKSPACE = 22,
    EENS_ERR_OUTPUT = 23,
    EENS_ERR_READ = 24,
    EENS_ERR_NOT_FOUND = 25
} eens_status;

/* S4.2: the numbers of ONNX. */
typedef enum eens_dtype {
    EENS_FLOAT32 = 1,
    EENS_UINT8 = 2,
    EENS_INT8 = 3,
    EENS_UINT16 = 4,
    EENS_INT16 = 5,
    EENS_INT32 = 6,
    EENS_INT64 = 7,
    EENS_BOOL = 9,
    EENS_FLOAT16 = 10,
    EENS_DOUBLE = 11,
    EENS_UINT32 = 12,
    EENS_UINT64 = 13,
    EENS_BFLOAT16 = 16
} eens_dtype;

/* S4.3 */
typedef enum eens_method {
    EENS_RAW = 0,
    EENS_PLAIN = 1,
    EENS_SHARED = 2,
    EENS_JOINT = 3,
    EENS_DRAWN = 4
} eens_method;

typedef enum eens_coder {
    EENS_FIXED = 0,
    EENS_ENTROPY = 1,
    EENS_FILTERED = 2,
    EENS_SPLIT = 3
} eens_coder;

/* S10.3 */
typedef enum eens_predictor {
    EENS_NO_PREDICTOR = 0,
    EENS_FIRST_MEMBER = 1,
    EENS_RUNNING_MEAN = 2,
    EENS_TRANSFORM = 3
} eens_predictor;

typedef enum eens_digits { EENS_NO_DIGITS = 0, EENS_BALANCED = 1, EENS_PLANES = 2 } eens_digits;

/* What eens_decode writes. Exact tensors (bits 0) know EENS_AS_VALUES only. */
typedef enum eens_format {
    EENS_AS_VALUES = 0,  /* elements of the tensor's dtype, in the byte order of this machine */
    EENS_AS_INT8 = 1,    /* codes */
    EENS_AS_INT16 = 2,   /* codes */
    EENS_AS_FLOAT32 = 3, /* values, before they are rounded to the tensor's dtype (S4.4) */
    EENS_AS_FLOAT16 = 4  /* those, rounded to nearest, ties to even */
} eens_format;

/* Where a refusal happened. -1: not in a tensor, not in a block. */
typedef struct eens_where {
    int32_t tensor;  /* its number */
    int32_t block;   /* counted within the tensor */
    int32_t section; /* its number */
} eens_where;

/* Storage that is not memory: reads size bytes from offset into buffer; returns 0 if it did. */
typedef int (*eens_read_fn)(void *context, uint64_t offset, void *buffer, size_t size);

/* An open container: its header (S3), the fields where the file has them, and what follows from it.
 * Filled by eens_open; read it, do not write it. */
typedef struct eens_file {
    uint8_t magic[8];
    uint16_t major;
    uint16_t minor;
    uint32_t byte_order;
    uint32_t head_crc;
    uint32_t section_count;
    uint64_t size;
    uint16_t member_count;
    uint8_t profile;     /* 0 desktop, 1 mcu */
    uint8_t reserved_35; /* 0 */
    uint32_t tensor_count;
    uint32_t names_size;
    uint32_t scale_count;
    uint32_t table_count;
    uint32_t tables_size;
    uint32_t block_count;
    uint32_t reserved_60; /* 0 */
    uint32_t names_offset;
    uint32_t scales_offset;
    uint32_t tables_offset;
    uint32_t index_offset;
    uint64_t sections_offset;
    const uint8_t *data; /* the whole file, or NULL when it is read through the callback */
    eens_read_fn read;
    void *context;
} eens_file;

/* A tensor record (S4), its fields where the file has them, and what follows from them. */
typedef struct eens_tensor {
    uint64_t data_offset;
    uint32_t name_offset;
    uint16_t name_size;
    uint8_t dtype;
    uint8_t ndim;
    uint32_t dims[8];
    uint8_t method;
    uint8_t coder;
    uint8_t bits;
    uint8_t predictor;
    uint8_t digits;
    uint8_t channel_axis;
    uint8_t parent_levels;
    uint8_t reserved_55; /* 0 */
    uint32_t scale_index;
    uint32_t scale_count;
    uint32_t first_block;
    uint32_t block_count;
    uint32_t block_positions;
    uint16_t copies;
    int16_t zero_point;
    uint16_t first_table;
    uint16_t table_count;
    uint32_t reserved_84; /* 0 */
    uint64_t key;
    uint32_t index; /* number of the tensor in the file */
    uint32_t elements;
} eens_tensor;

/* A section (S11). */
typedef struct eens_section {
    char type[4];
    uint32_t critical; /* 0 or 1 */
    uint64_t size;     /* of the payload */
    uint32_t crc;
    uint32_t index;
    uint64_t offset; /* of the payload */
} eens_section;

/* What to decode: a range of blocks, of one member or all, in which form. */
typedef struct eens_request {
    uint32_t first_block; /* counted within the tensor */
    uint32_t block_count;
    int32_t member;  /* 0 to member_count - 1, or EENS_ALL_MEMBERS for every copy */
    int32_t format;  /* an eens_format */
    size_t stride;   /* elements from one copy to the next in the output; 0: they touch */
} eens_request;

/* One sentence, in English, without a full stop. Never NULL. */
const char *eens_strerror(eens_status status);

/* Opens a container that lies in memory, checking all that is structural (S12, "Opening"). The
 * bytes must stay where they are as long as the file is used. tensor_limit: largest decoded size of
 * a tensor, in bytes, that the caller is ready for; 0: no limit. where may be NULL. */
eens_status eens_open(const void *data, size_t size, uint64_t tensor_limit, eens_file *file,
                      eens_where *where);

/* The same through a callback; size is that of the whole file. In a small build both refuse a file of
 * 4 GiB and more: ARGUMENT. */
eens_status eens_open_reader(eens_read_fn read, void *context, uint64_t size,
                             uint64_t tensor_limit, eens_file *file, eens_where *where);

/* Tensor number index, in the order of the file (sorted by name). When the file was refused because
 * of this tensor, its fields are here as they stand there, so that its name can be asked for. */
eens_status eens_tensor_at(const eens_file *file, uint32_t index, eens_tensor *tensor);

/* The tensor of this name (name_size bytes, no terminator needed). */
eens_status eens_find(const eens_file *file, const char *name, size_t name_size,
                      eens_tensor *tensor);

/* The name with a terminating zero: name_size + 1 bytes. */
eens_status eens_tensor_name(const eens_file *file, const eens_tensor *tensor, char *name,
                             size_t name_capacity);

/* count scales from number first (of this tensor) on. */
eens_status eens_scales(const eens_file *file, const eens_tensor *tensor, uint32_t first,
                        uint32_t count, float *scales);

/* Bytes of workspace that eens_decode needs for any blocks of this tensor, exactly. With a coder
 * other than fixed: its tables made ready, and the codes of one copy of a block (joint: of all members). For
 * a file that is not in memory besides: the largest common part or lane. Each call that runs at the
 * same time as another needs a workspace of its own. */
eens_status eens_workspace_size(const eens_file *file, const eens_tensor *tensor, size_t *size);

/* Bytes of output that a request needs, from the first to the last element, strides included. */
eens_status eens_output_size(const eens_file *file, const eens_tensor *tensor,
                             const eens_request *request, size_t *size);

/* Decodes a range of blocks (S7 to S10). Output: the copies one after the other, each the
 * positions of the range; it has to be aligned for its element type. Output NULL: nothing is
 * written, everything is checked. After a refusal the output is unspecified. The workspace needs no
 * alignment and may be NULL where none is needed. where may be NULL. */
eens_status eens_decode(const eens_file *file, const eens_tensor *tensor,
                        const eens_request *request, void *workspace, size_t workspace_size,
                        void *output, size_t output_size, eens_where *where);

/* Turns count codes, those of the positions from first_position on, into values (S4.4). format: any
 * but EENS_AS_INT8 and EENS_AS_INT16. */
eens_status eens_dequantize(const eens_file *file, const eens_tensor *tensor, const int8_t *codes,
                            uint32_t first_position, uint32_t count, int32_t format, void *output,
                            size_t output_size);

/* Section number index, in the order of the file. */
eens_status eens_section_at(const eens_file *file, uint32_t index, eens_section *section);

/* The section of this type (four letters). */
eens_status eens_section_find(const eens_file *file, const char *type, eens_section *section);

/* size bytes of the payload from offset on. */
eens_status eens_section_read(const eens_file *file, const eens_section *section, uint64_t offset,
                              void *buffer, size_t size);

/* Compares the section's checksum. */
eens_status eens_section_check(const eens_file *file, const eens_section *section);

/* CRC-32C (S1) of more bytes; crc is 0 at the start, then the result so far. */
uint32_t eens_crc32c(uint32_t crc, const void *data, size_t size);

/* [cffi end] */

#if defined(EENS_BUILD_SHARED) && defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
