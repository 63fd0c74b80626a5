/* Bit streams of equal fields (S1, S7.2) into codes. */
#include "eens_internal.h"

/* Eight fields of one width begin and end on a byte, so they are loaded as one word. width is a
 * constant wherever this is called, and the loop becomes eight shifts. */
static inline void unpack8(const uint8_t *bytes, uint32_t width, int8_t *codes) {
    uint32_t mask = (1u << width) - 1;
    int32_t half = 1 << (width - 1);
    uint64_t word = 0;
    for (uint32_t i = 0; i < width; i++) {
        word |= (uint64_t)bytes[i] << 8 * i;
    }
    for (uint32_t i = 0; i < 8; i++) {
        int32_t field = (int32_t)((uint32_t)(word >> width * i) & mask);
        codes[i] = (int8_t)((field ^ half) - half);
    }
}

static inline void unpack_wide(const uint8_t *stream, uint32_t groups, uint32_t width,
                               int8_t *codes) {
    for (uint32_t i = 0; i < groups; i++) {
        unpack8(stream + width * i, width, codes + 8 * i);
    }
}

/* Two and four fields a byte: loops that compilers turn into vector code. */
static void unpack4(const uint8_t *restrict stream, uint32_t groups, int8_t *restrict codes) {
    for (uint32_t i = 0; i < 4 * groups; i++) {
        codes[2 * i] = (int8_t)(((stream[i] & 15) ^ 8) - 8);
        codes[2 * i + 1] = (int8_t)((stream[i] >> 4 ^ 8) - 8);
    }
}

static void unpack2(const uint8_t *restrict stream, uint32_t groups, int8_t *restrict codes) {
    for (uint32_t i = 0; i < 2 * groups; i++) {
        codes[4 * i] = (int8_t)(((stream[i] & 3) ^ 2) - 2);
        codes[4 * i + 1] = (int8_t)(((stream[i] >> 2 & 3) ^ 2) - 2);
        codes[4 * i + 2] = (int8_t)(((stream[i] >> 4 & 3) ^ 2) - 2);
        codes[4 * i + 3] = (int8_t)((stream[i] >> 6 ^ 2) - 2);
    }
}

void eens_unpack(const uint8_t *stream, uint32_t first, uint32_t count, uint32_t width,
                 int8_t *codes) {
    uint32_t groups = count / 8;
    uint32_t rest = count % 8;
    stream += first / 8 * width;
    switch (width) {
    case 2: unpack2(stream, groups, codes); break;
    case 3: unpack_wide(stream, groups, 3, codes); break;
    case 4: unpack4(stream, groups, codes); break;
    case 5: unpack_wide(stream, groups, 5, codes); break;
    case 6: unpack_wide(stream, groups, 6, codes); break;
    case 7: unpack_wide(stream, groups, 7, codes); break;
    default: memcpy(codes, stream, count); return;
    }
    if (rest != 0) { /* the stream ends with these fields: it may not be read as a whole group */
        uint8_t last[8] = {0};
        int8_t fields[8];
        memcpy(last, stream + groups * width, eens_ceil8(rest * width));
        unpack8(last, width, fields);
        memcpy(codes + 8 * groups, fields, rest);
    }
}

bool eens_padding_is_zero(const uint8_t *stream, uint32_t bits) {
    return bits % 8 == 0 || stream[bits / 8] >> bits % 8 == 0;
}
