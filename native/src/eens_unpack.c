/* Bit streams of equal fields (S1, S7.2) into codes. */
#include "eens_vector.h"

uint32_t eens_take_bits(eens_stream *stream, uint32_t width) {
    uint32_t byte = stream->at / 8;
    uint32_t field = 0;
    if (byte < stream->size) {
        field = stream->bytes[byte];
    }
    if (byte + 1 < stream->size) {
        field |= (uint32_t)stream->bytes[byte + 1] << 8;
    }
    field = field >> stream->at % 8 & ((1u << width) - 1);
    stream->at += width;
    return field;
}

#if !defined(EENS_SMALL)

/* Field number i, which lies in one byte or in two. */
static inline int8_t field_at(const uint8_t *stream, uint32_t i, uint32_t width) {
    uint32_t begin = i * width % 8;
    uint32_t half = 1u << (width - 1);
    uint32_t field = (uint32_t)stream[i * width / 8] >> begin;
    if (begin + width > 8) {
        field |= (uint32_t)stream[i * width / 8 + 1] << (8 - begin);
    }
    field &= 2 * half - 1;
    return (int8_t)((int32_t)(field ^ half) - (int32_t)half);
}

/* The low bits of each of the parts that a word is divided into. */
static inline uint64_t low_bits(uint32_t part, uint32_t bits) {
    uint64_t mask = 0;
    for (uint32_t i = 0; i < 64; i += part) {
        mask |= (((uint64_t)1 << bits) - 1) << i;
    }
    return mask;
}

/* Eight fields in the low bits of a word, sign-extended to a byte each: the fields are halved three
 * times, each time their upper half moves to the middle. width is a constant wherever this is
 * called, and so are the masks. */
static inline uint64_t spread8(uint64_t word, uint32_t width) {
    uint64_t low = low_bits(64, 4 * width);
    word = (word & low) | (word << (32 - 4 * width) & low << 32);
    low = low_bits(64, 2 * width) | low_bits(64, 2 * width) << 32;
    word = (word & low) | (word << (16 - 2 * width) & low << 16);
    low = low_bits(16, width);
    word = (word & low) | (word << (8 - width) & low << 8);
    /* A byte with its sign bit set gets all bits above it: 2^(w-1) x (2^(9-w) - 2) = 256 - 2^w. */
    uint64_t negative = word & low_bits(8, 1) << (width - 1);
    return word | negative * ((1u << (9 - width)) - 2);
}

static inline void store8(int8_t *codes, uint64_t bytes) {
    for (uint32_t i = 0; i < 8; i++) {
        codes[i] = (int8_t)(bytes >> 8 * i);
    }
}

/* Groups of eight fields; size bytes may be read. */
static inline void unpack_groups(const uint8_t *stream, uint32_t size, uint32_t groups,
                                 uint32_t width, int8_t *codes) {
    for (uint32_t i = 0; i < groups; i++) {
        uint32_t at = width * i;
        uint64_t word = 0;
        if (at + 8 <= size) {
            word = eens_load64(stream + at);
        } else {
            for (uint32_t k = 0; k < width; k++) {
                word |= (uint64_t)stream[at + k] << 8 * k;
            }
        }
        store8(codes + 8 * i, spread8(word, width));
    }
}

/* Two fields a byte: a loop that compilers turn into vector code. */
static void unpack4(const uint8_t *restrict stream, uint32_t groups, int8_t *restrict codes) {
    for (uint32_t i = 0; i < 4 * groups; i++) {
        codes[2 * i] = (int8_t)(((stream[i] & 15) ^ 8) - 8);
        codes[2 * i + 1] = (int8_t)((stream[i] >> 4 ^ 8) - 8);
    }
}

/* All whole groups of eight; returns how many fields that is. */
static uint32_t unpack_all_groups(const uint8_t *stream, uint32_t count, uint32_t width,
                                  int8_t *codes) {
    uint32_t groups = count / 8;
    uint32_t size = eens_ceil8(count * width);
    switch (width) {
    case 1: unpack_groups(stream, size, groups, 1, codes); break; /* low bits */
    case 2: unpack_groups(stream, size, groups, 2, codes); break;
    case 3: unpack_groups(stream, size, groups, 3, codes); break;
    case 4: unpack4(stream, groups, codes); break;
    case 5: unpack_groups(stream, size, groups, 5, codes); break;
    case 6: unpack_groups(stream, size, groups, 6, codes); break;
    default: unpack_groups(stream, size, groups, 7, codes); break;
    }
    return 8 * groups;
}

void eens_unpack(uint8_t way, const uint8_t *stream, uint32_t first, uint32_t count,
                 uint32_t width, int8_t *codes) {
    stream += first / 8 * width;
    if (width == 8) {
        memcpy(codes, stream, count);
        return;
    }
#if defined(EENS_VECTOR)
    if (way != EENS_BY_SCALAR) {
        uint32_t done = eens_unpack_signed(stream, eens_ceil8(count * width), count, width, codes);
        stream += done / 8 * width;
        codes += done;
        count -= done;
    }
#else
    (void)way;
#endif
    for (uint32_t i = unpack_all_groups(stream, count, width, codes); i < count; i++) {
        codes[i] = field_at(stream, i, width);
    }
}

#else

int8_t eens_take_code(eens_stream *stream, uint32_t width) {
    uint32_t half = 1u << (width - 1);
    return (int8_t)((int32_t)(eens_take_bits(stream, width) ^ half) - (int32_t)half);
}

void eens_unpack(uint8_t way, const uint8_t *stream, uint32_t first, uint32_t count,
                 uint32_t width, int8_t *codes) {
    eens_stream fields = {stream, eens_ceil8((first + count) * width), first * width};
    (void)way;
    for (uint32_t i = 0; i < count; i++) {
        codes[i] = eens_take_code(&fields, width);
    }
}

#endif

bool eens_padding_is_zero(const uint8_t *stream, uint32_t bits) {
    return bits % 8 == 0 || stream[bits / 8] >> bits % 8 == 0;
}

bool eens_stream_ends(const eens_stream *stream) {
    return eens_ceil8(stream->at) == stream->size &&
           (stream->size == 0 || eens_padding_is_zero(stream->bytes, stream->at));
}
