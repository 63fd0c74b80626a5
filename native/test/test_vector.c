/* The vector kernels of fields and values against the scalar code that they stand for, at every
 * alignment and every length up to some hundreds. Needs no files:
 * cc -std=c11 -ffp-contract=off -Inative/include native/test/test_vector.c native/src/?*.c
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "../src/eens_vector.h"

#define ALIGNMENTS 64u
#define LENGTHS 300u
#define GUARD_BYTE 0xA5
#define GUARD 32u

static unsigned long passed;
static unsigned long failed;

static void check(int holds, const char *what, uint32_t kind, uint32_t at, uint32_t count) {
    passed += holds != 0;
    if (!holds && failed++ < 20) {
        printf("%s of kind %u, alignment %u, length %u: differs from the scalar code\n", what,
               (unsigned)kind, (unsigned)at, (unsigned)count);
    }
}

static uint32_t random24(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* Memory of exactly this size, bytes behind where malloc begins: sanitizers see what is read or
 * written behind its end. */
static uint8_t *grab(uint32_t bytes, size_t size, uint8_t **all) {
    *all = malloc(bytes + size + (bytes + size == 0));
    if (*all == NULL) {
        printf("out of memory\n");
        exit(2);
    }
    return *all + bytes;
}

static void fill(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)random24();
    }
}

/* One bit at a time, as S1 says it. */
static uint32_t field_of(const uint8_t *stream, uint32_t i, uint32_t width) {
    uint32_t field = 0;
    for (uint32_t bit = 0; bit < width; bit++) {
        uint32_t at = i * width + bit;
        field |= (uint32_t)(stream[at / 8] >> at % 8 & 1) << bit;
    }
    return field;
}

static void check_unpack(uint32_t width, uint32_t at, uint32_t count) {
    int8_t scalar[LENGTHS];
    int8_t vector[LENGTHS + GUARD];
    uint8_t fields[LENGTHS + GUARD];
    uint8_t *all;
    uint32_t size = eens_ceil8(count * width);
    uint8_t *stream = grab(at, size, &all);
    fill(stream, size);
    memset(vector, GUARD_BYTE, sizeof vector);
    memset(fields, GUARD_BYTE, sizeof fields);
    eens_unpack(EENS_BY_SCALAR, stream, 0, count, width, scalar);
    eens_unpack(EENS_BY_VECTOR, stream, 0, count, width, vector);
    int good = memcmp(scalar, vector, count) == 0;
    for (uint32_t i = 0; i < GUARD; i++) {
        good = good && (uint8_t)vector[count + i] == GUARD_BYTE;
    }
    uint32_t done = eens_unpack_unsigned(stream, size, count, width, fields);
    good = good && done % 16 == 0 && done <= count && (size < 2 * width + 32 || done != 0);
    for (uint32_t i = 0; i < done; i++) {
        good = good && fields[i] == field_of(stream, i, width);
    }
    for (uint32_t i = 0; i < GUARD; i++) {
        good = good && fields[done + i] == GUARD_BYTE;
    }
    check(good, "unpacking", width, at, count);
    free(all);
}

/* Fields below numbers that are there. */
static void check_below(uint32_t width, uint32_t at, uint32_t count) {
    uint8_t before[LENGTHS + GUARD], after[LENGTHS + GUARD];
    uint8_t *all;
    uint32_t size = eens_ceil8(count * width);
    uint8_t *stream = grab(at, size, &all);
    fill(stream, size);
    fill(before, sizeof before);
    memcpy(after, before, sizeof after);
    uint32_t done = eens_unpack_below(stream, size, count, width, (int8_t *)after);
    int good = done % 16 == 0 && done <= count && (size < 2 * width + 32 || done != 0);
    for (uint32_t i = 0; i < done; i++) {
        uint32_t joined = (uint32_t)before[i] << width | field_of(stream, i, width);
        good = good && after[i] == (uint8_t)joined;
    }
    good = good && memcmp(after + done, before + done, sizeof after - done) == 0;
    check(good, "unpacking below numbers", width, at, count);
    free(all);
}

/* A file of which only the scales are there, and a tensor of shape (97, channels, inner). */
typedef struct grid_case {
    eens_file file;
    eens_tensor tensor;
    uint8_t scales[4 * 61];
} grid_case;

static int read_scales(void *context, uint64_t offset, void *buffer, size_t size) {
    memcpy(buffer, (const uint8_t *)context + offset, size);
    return 0;
}

/* Values from denormal float16 to infinite ones, so that every branch of the rounding is taken. */
static void make_case(grid_case *made, uint32_t channels, uint32_t inner, int16_t zero_point,
                      bool in_memory) {
    memset(made, 0, sizeof *made);
    for (uint32_t i = 0; i < channels; i++) {
        uint32_t exponent = 95 + random24() % 45;
        uint32_t bits = exponent << 23 | (random24() & 0x7FFFFFu);
        for (uint32_t k = 0; k < 4; k++) {
            made->scales[4 * i + k] = (uint8_t)(bits >> 8 * k);
        }
    }
    made->file.data = in_memory ? made->scales : NULL;
    made->file.read = read_scales;
    made->file.context = made->scales;
    made->file.size = sizeof made->scales;
    made->tensor.scale_count = channels;
    made->tensor.channel_axis = 1;
    made->tensor.ndim = 3;
    made->tensor.dims[0] = 97;
    made->tensor.dims[1] = channels;
    made->tensor.dims[2] = inner;
    made->tensor.zero_point = zero_point;
}

static void check_spread(const grid_case *given, uint8_t type, uint32_t at, uint32_t count) {
    int8_t codes[LENGTHS];
    uint8_t scalar[8 * LENGTHS];
    uint8_t *all;
    uint32_t element = eens_dtype_bytes(type);
    eens_job job = {.file = &given->file, .tensor = &given->tensor, .type = type};
    job.way = EENS_BY_SCALAR;
    job.element = (uint8_t)element;
    job.block.first = at * 5;
    uint8_t *vector = grab(at / element * element, element * count, &all);
    uint8_t *tail = vector + (element - 1) * (size_t)count;
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = (int8_t)random24();
    }
    eens_spread(&job, 0, count, codes, scalar);
    for (job.way = EENS_BY_VECTOR; job.way <= EENS_STREAMED; job.way++) {
        memset(vector, GUARD_BYTE, element * count);
        eens_spread(&job, 0, count, codes, vector);
        check(memcmp(scalar, vector, element * count) == 0, "values", type, at, count);
    }
    job.way = EENS_STREAMED;
    memcpy(tail, codes, count);
    eens_spread(&job, 0, count, (int8_t *)tail, vector);
    check(memcmp(scalar, vector, element * count) == 0, "values in place", type, at, count);
    free(all);
}

static void check_grids(uint8_t type) {
    /* Channels and positions of a channel in a row: one scale, a scale each, and between. */
    static const uint8_t shapes[][2] = {{1, 1}, {61, 1}, {5, 1}, {3, 7}, {3, 16}, {2, 40}, {7, 131}};
    static const int16_t zero_points[] = {0, -128, 127, 3};
    for (uint32_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        for (uint32_t count = 0; count < LENGTHS; count++) {
            grid_case made;
            make_case(&made, shapes[shape][0], shapes[shape][1], zero_points[count % 4],
                      count % 3 != 0);
            check_spread(&made, type, count * 7 % ALIGNMENTS, count);
        }
    }
    for (uint32_t at = 0; at < ALIGNMENTS; at++) {
        grid_case made;
        make_case(&made, 1, 1, 0, true);
        for (uint32_t count = 0; count < LENGTHS; count++) {
            check_spread(&made, type, at, count);
        }
    }
}

int main(void) {
    static const uint8_t types[] = {EENS_FLOAT32, EENS_FLOAT16, EENS_BFLOAT16, EENS_DOUBLE,
                                    EENS_INT16};
    if (!eens_vector_is_there()) {
        printf("this machine has no vector unit that the decoder uses: nothing to compare\n");
        return 0;
    }
#if defined(EENS_VECTOR)
    for (uint32_t width = 1; width <= 8; width++) {
        for (uint32_t at = 0; at < ALIGNMENTS; at++) {
            for (uint32_t count = 0; count < LENGTHS; count++) {
                check_unpack(width, at, count);
                check_below(width, at, count);
            }
        }
    }
    for (uint32_t i = 0; i < sizeof types; i++) {
        check_grids(types[i]);
    }
#endif
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed != 0;
}
