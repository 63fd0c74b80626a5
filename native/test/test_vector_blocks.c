/* Blocks of shared bits and of drawn members, made up here, decoded by the vector kernels and by the
 * scalar code: the same statuses and the same output, from right blocks and from damaged ones whose
 * checksum is right. Needs no files:
 * cc -std=c11 -ffp-contract=off -Inative/include native/test/test_vector_blocks.c native/src/?*.c
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "../src/eens_vector.h"

#define MOST_POSITIONS 2600u
#define MOST_MEMBERS 17u
#define MOST_BYTES (MOST_POSITIONS * 16u * 8u)
#define CHANNELS 5u
#define SCALES (4 * CHANNELS) /* bytes: the file begins with the scales */
#define GUARD 64u
#define GUARD_BYTE 0xA5

static unsigned long passed;
static unsigned long failed;
static unsigned long decoded; /* without a fault */

static uint32_t random24(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static uint32_t below(uint32_t end) {
    return random24() % end;
}

static void *grab(size_t size) {
    void *memory = malloc(size + (size == 0));
    if (memory == NULL) {
        printf("out of memory\n");
        exit(2);
    }
    return memory;
}

/* A bit stream (S1) that is being written. */
typedef struct writer {
    uint8_t bytes[MOST_BYTES];
    uint32_t bits;
} writer;

static void put(writer *to, uint32_t field, uint32_t width) {
    for (uint32_t i = 0; i < width; i++, to->bits++) {
        uint8_t *byte = &to->bytes[to->bits / 8];
        *byte = (uint8_t)(to->bits % 8 == 0 ? field >> i & 1
                                            : *byte | (field >> i & 1) << to->bits % 8);
    }
}

static uint32_t append(uint8_t *block, uint32_t at, const writer *from) {
    memcpy(block + at, from->bytes, eens_ceil8(from->bits));
    return at + eens_ceil8(from->bits);
}

/* What is to be decoded. */
typedef struct sample {
    eens_tensor tensor;
    uint32_t count; /* positions */
    uint32_t first; /* in the tensor */
    uint32_t size;
    uint8_t block[MOST_BYTES];
} sample;

/* One level's patterns and digits of one position. */
static void put_level(writer *patterns, writer *digits, uint32_t members, uint32_t width,
                      uint32_t most, uint32_t variety) {
    static const uint8_t clusters[3][15] = {
        {1, 2}, {1, 2, 2, 2, 3}, {1, 2, 2, 2, 3, 2, 2, 3, 2, 2, 3, 3, 3, 3, 4}};
    static const uint8_t choices[3] = {2, 5, 15};
    static const uint8_t widths[3] = {1, 3, 4};
    uint32_t pattern = below(variety) != 0 ? below(choices[members - 2]) : 0;
    put(patterns, pattern, widths[members - 2]);
    for (uint32_t i = 0; i < clusters[members - 2][pattern]; i++) {
        put(digits, below(most + 1), width);
    }
}

/* A right block of 2 to 4 members (S8), in runs of all kinds of lengths. */
static void make_shared(sample *made, uint32_t longest) {
    static writer streams[5]; /* patterns 4 and 8, bases, digits 4 and 8 */
    bool planes = made->tensor.digits == EENS_PLANES;
    uint32_t members = made->tensor.copies;
    uint32_t runs = 0;
    uint32_t variety = 1 + below(4);
    for (uint32_t i = 0; i < 5; i++) {
        streams[i].bits = 0;
    }
    for (uint32_t at = 0; at < made->count; runs++) {
        uint32_t left = made->count - at;
        uint32_t run = 1 + below(longest < left ? longest : left);
        uint32_t levels = below(8) < 5 ? 3 : below(4);
        uint32_t word = (run - 1) << 2 | levels;
        made->block[2 + 2 * runs] = (uint8_t)word;
        made->block[3 + 2 * runs] = (uint8_t)(word >> 8);
        for (uint32_t end = at + run; at < end; at++) {
            for (uint32_t m = 0; levels >= 1 && m < members; m++) {
                put(&streams[2], below(planes ? 4 : 3), 2);
            }
            if (levels >= 2) {
                put_level(&streams[0], &streams[3], members, planes ? 2 : 3, planes ? 3 : 4,
                          variety);
            }
            if (levels >= 3) {
                put_level(&streams[1], &streams[4], members, planes ? 4 : 5, planes ? 15 : 16,
                          variety);
            }
        }
    }
    made->block[0] = (uint8_t)runs;
    made->block[1] = (uint8_t)(runs >> 8);
    made->size = 2 + 2 * runs;
    for (uint32_t i = 0; i < 4; i++) {
        made->block[made->size++] = (uint8_t)(eens_ceil8(streams[3].bits) >> 8 * i);
    }
    for (uint32_t i = 0; i < 5; i++) {
        made->size = append(made->block, made->size, &streams[i]);
    }
}

/* A right block of drawn members (S9), but for its lane's checksum. */
static void make_drawn(sample *made) {
    static writer lane;
    uint32_t levels = made->tensor.parent_levels;
    lane.bits = 0;
    for (uint32_t i = 0; i < made->count; i++) {
        uint32_t field = below(2 * levels + 1) - levels;
        uint32_t width = eens_parent_bits(&made->tensor);
        put(&lane, field & ((1u << width) - 1), width);
    }
    made->size = append(made->block, 4, &lane);
}

static eens_status decode(const sample *given, uint8_t way, uint8_t type, uint32_t first_copy,
                          uint32_t copies, uint8_t *output) {
    /* 0.041015625, .082, .035, .026, .063 */
    static const uint8_t scales[SCALES] = {0, 0, 0x28, 0x3D, 0, 0, 0xA8, 0x3D, 3, 7, 0x10, 0x3D,
                                           1, 1, 0xD5, 0x3C, 9, 0, 0x80, 0x3D};
    eens_file file = {0};
    eens_job job = {0};
    uint8_t *bytes = grab(SCALES + given->size);
    memcpy(bytes, scales, SCALES);
    memcpy(bytes + SCALES, given->block, given->size);
    if (given->tensor.method == EENS_DRAWN) {
        uint32_t crc = eens_crc32c(0, bytes + SCALES + 4, given->size - 4);
        for (uint32_t i = 0; i < 4; i++) {
            bytes[SCALES + i] = (uint8_t)(crc >> 8 * i);
        }
    }
    file.data = bytes;
    file.size = SCALES + given->size;
    job.file = &file;
    job.tensor = &given->tensor;
    job.block.offset = SCALES;
    job.block.size = given->size;
    job.block.crc =
        eens_crc32c(0, bytes + SCALES, given->tensor.method == EENS_DRAWN ? 4 : given->size);
    job.block.first = given->first;
    job.block.count = given->count;
    job.type = type;
    job.element = (uint8_t)eens_dtype_bytes(type);
    job.output = output;
    job.stride = (size_t)given->count * job.element;
    job.first_copy = (uint16_t)first_copy;
    job.copy_count = (uint16_t)copies;
    job.way = way;
    eens_status status = given->tensor.method == EENS_DRAWN ? eens_drawn_decode(&job)
                                                            : eens_shared_decode(&job);
    free(bytes);
    return status;
}

static void compare(const sample *given, uint8_t type, uint32_t first_copy, uint32_t copies) {
    size_t size = (size_t)given->count * eens_dtype_bytes(type) * copies;
    uint8_t *scalar = grab(size + GUARD);
    uint8_t *vector = grab(size + GUARD);
    memset(vector + size, GUARD_BYTE, GUARD);
    eens_status expected = decode(given, EENS_BY_SCALAR, type, first_copy, copies, scalar);
    eens_status status = decode(given, EENS_BY_VECTOR, type, first_copy, copies, vector);
    bool good = status == expected && (status != EENS_OK || memcmp(scalar, vector, size) == 0);
    status = decode(given, EENS_STREAMED, type, first_copy, copies, vector);
    good = good && status == expected && (status != EENS_OK || memcmp(scalar, vector, size) == 0);
    good = good && decode(given, EENS_BY_VECTOR, type, first_copy, copies, NULL) == expected;
    for (uint32_t i = 0; i < GUARD; i++) {
        good = good && vector[size + i] == GUARD_BYTE;
    }
    passed += good;
    decoded += status == EENS_OK;
    if (!good && failed++ < 20) {
        printf("method %d, digits %d, %d members, %u positions, type %d: status %d, not %d, or other "
               "values\n",
               given->tensor.method, given->tensor.digits, given->tensor.copies,
               (unsigned)given->count, type, (int)status, (int)expected);
    }
    free(scalar);
    free(vector);
}

/* As it is, and with a few bytes changed. */
static void compare_all(sample *given) {
    static const uint8_t types[] = {EENS_INT8, EENS_FLOAT32, EENS_FLOAT16, EENS_INT16};
    uint32_t members = given->tensor.copies;
    uint32_t one = below(members);
    compare(given, types[below(4)], 0, members);
    compare(given, types[below(4)], one, 1);
    compare(given, EENS_FLOAT32, one, 1 + below(members - one));
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t at = below(given->size);
        uint8_t kept = given->block[at];
        given->block[at] ^= (uint8_t)(1u << below(8));
        compare(given, types[below(4)], 0, members);
        given->block[at] = kept;
    }
    if (given->tensor.method == EENS_SHARED && given->size > 9) { /* a stream that ends early */
        given->size--;
        compare(given, EENS_INT8, 0, members);
        given->size++;
    }
}

/* One scale, or channels of that many positions. */
static void choose_grid(eens_tensor *tensor) {
    static const uint32_t rows[] = {1, 9, 70, 100, 576, 1100};
    tensor->ndim = 2;
    tensor->scale_count = below(2) != 0 ? CHANNELS : 1;
    tensor->dims[0] = tensor->scale_count;
    tensor->dims[1] = rows[below(6)];
    tensor->zero_point = (int16_t)(tensor->method == EENS_DRAWN ? 0 : (int32_t)below(256) - 128);
}

static void check_shared(uint32_t count, uint32_t longest) {
    static sample made;
    memset(&made.tensor, 0, sizeof made.tensor);
    made.tensor.method = EENS_SHARED;
    made.tensor.bits = 8;
    choose_grid(&made.tensor);
    made.tensor.copies = (uint16_t)(2 + below(3));
    made.tensor.digits = (uint8_t)(below(2) != 0 ? EENS_BALANCED : EENS_PLANES);
    made.count = count;
    made.first = 3 * count;
    make_shared(&made, longest);
    compare_all(&made);
}

static void check_drawn(uint32_t count) {
    static sample made;
    memset(&made.tensor, 0, sizeof made.tensor);
    made.tensor.method = EENS_DRAWN;
    made.tensor.bits = (uint8_t)(2 + below(7));
    choose_grid(&made.tensor);
    made.tensor.index = below(9);
    made.tensor.key = (uint64_t)random24() << 32 | random24();
    made.tensor.copies = (uint16_t)(1 + below(MOST_MEMBERS));
    made.tensor.parent_levels = (uint8_t)(below(3) != 0 ? 127 : 1 + below(127));
    made.count = count;
    made.first = below(1u << 24);
    make_drawn(&made);
    compare_all(&made);
}

int main(void) {
    if (!eens_vector_is_there()) {
        printf("this machine has no vector unit that the decoder uses: nothing to compare\n");
        return 0;
    }
    for (uint32_t count = 1; count < 400; count++) {
        for (uint32_t i = 0; i < 8; i++) {
            check_shared(count, i % 2 != 0 ? 16384 : 1 + below(90));
        }
        check_drawn(count);
        check_drawn(count);
        check_drawn(count);
    }
    for (uint32_t i = 0; i < 60; i++) {
        check_shared(400 + below(MOST_POSITIONS - 400), i % 2 != 0 ? 16384 : 900);
        check_drawn(400 + below(MOST_POSITIONS - 400));
    }
    printf("%lu right blocks, %lu passed, %lu failed\n", decoded, passed, failed);
    return failed != 0;
}
